"""DataFusion's side of the benches: the engine below Parcours, in one process over the same plain Parquet files.

    datafusion_side.py THREADS FOLDER TABLE...

It speaks as duckdb_side.py does.
"""

import json
import sys
import time

import datafusion


def answer(context, statement):
    started = time.perf_counter()
    batches = context.sql(statement).collect()
    seconds = time.perf_counter() - started
    rows = [row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns))]
    return {"seconds": seconds, "rows": [[None if cell is None else str(cell) for cell in row] for row in rows]}


def main(threads, folder, tables):
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(int(threads)))
    for table in tables:
        context.register_parquet(table, f"{folder}/{table}")
    print(json.dumps({"version": datafusion.__version__}), flush=True)
    for line in sys.stdin:
        try:
            result = answer(context, json.loads(line))
        except Exception as error:  # what the engine raises has no class of its own
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3:])

"""DuckDB's side of the benches: answers statements over plain Parquet files, one JSON line each way.

    duckdb_side.py THREADS FOLDER TABLE...

Every line of standard input is a statement as a JSON string. The answer is {"seconds": wall time from the statement to
the last row, "rows": [[cell as text or null]]} or {"error": message}. The first line printed is {"version": ...}.
"""

import json
import sys
import time

import duckdb


def answer(connection, statement):
    started = time.perf_counter()
    rows = connection.execute(statement).fetchall()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "rows": [[None if cell is None else str(cell) for cell in row] for row in rows]}


def main(threads, folder, tables):
    connection = duckdb.connect(config={"threads": int(threads)})
    for table in tables:
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{folder}/{table}/*.parquet')")
    print(json.dumps({"version": duckdb.__version__}), flush=True)
    for line in sys.stdin:
        try:
            result = answer(connection, json.loads(line))
        except duckdb.Error as error:
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3:])

"""What planning costs over many shards: EXPLAIN of a join of two tables, over logs that name files which are not there.

    planning.py CONNECT [SHARDS ...]

CONNECT is the connect.json of a demo (`parcours demo --keep`), whose dataset is unusable afterwards: for each number of
shards (1,000 and 10,000), it gets a version whose tables have a file a shard. EXPLAIN plans and opens none of them. Prints
the first EXPLAIN after the scheduler has read the logs, the median of the next ten, and the scheduler's memory.
"""

import json
import pathlib
import statistics
import sys
import time

from latency import ask, connect
from scaling import JOIN, memory

DATASET = "snds"


def latest(folder):
    return max(folder.glob("[0-9]*.json"))


def actions(log):
    for file in sorted(log.glob("[0-9]*.json")):
        yield from map(json.loads, file.read_text().splitlines())


def state(log):
    """The table's last metadata, and the files that it has."""
    metadata, files = None, {}
    for action in actions(log):
        metadata = action.get("metaData", metadata)
        if "add" in action:
            files[action["add"]["path"]] = action["add"]
        if "remove" in action:
            files.pop(action["remove"]["path"], None)
    return metadata, files


def commit(log, shards, split_version):
    """One more commit of a table: a file for each of so many shards, in the place of all it has."""
    metadata, files = state(log)
    metadata["configuration"] |= {"parcours.shards": str(shards), "parcours.split_version": str(split_version)}
    now = int(time.time() * 1000)
    lines = [{"commitInfo": {"timestamp": now, "operation": "WRITE"}}, {"metaData": metadata}]
    lines += [{"remove": {"path": path, "dataChange": True, "deletionTimestamp": now}} for path in files]
    model = next(iter(files.values()))
    version = int(latest(log).stem) + 1
    for n in range(shards):
        path = f"shard={n:04}/part-{version:08x}-0000-4000-8000-{n:012x}.parquet"
        lines.append({"add": model | {"path": path, "partitionValues": {"shard": str(n)}}})
    (log / f"{version:020}.json").write_text("\n".join(map(json.dumps, lines)))
    rows = json.loads(model["stats"])["numRecords"] * shards
    return {"delta_version": version, "files": shards, "rows": rows, "bytes": model["size"] * shards}


def reshard(tables, shards):
    """One more version of the dataset, over so many shards."""
    dataset = tables / DATASET
    known = json.loads(latest(dataset / "_versions").read_text())
    split_version = known["splits"]["version"] + 1
    points = [f"{n * 16**6 // shards:06x}" for n in range(1, shards)]
    known |= {"previous": known["version"], "version": known["version"] + 1, "shards": shards}
    known["splits"] |= {"version": split_version, "points": points}
    for name, table in known["tables"].items():
        if table["sharded"]:
            table |= commit(dataset / name / "_delta_log", shards, split_version)
    (dataset / "_versions" / f"{known['version']:020}.json").write_text(json.dumps(known))


def wait(connection, shards):
    """Until the scheduler, which looks for new versions now and then, plans over so many shards. That first plan, ms."""
    for _ in range(240):
        with connection.cursor() as cursor:
            started = time.perf_counter()
            cursor.execute(f"EXPLAIN {JOIN}")
            plan = dict(cursor.fetchall())["physical_plan"]
            milliseconds = (time.perf_counter() - started) * 1000
        if f"{{{shards} groups" in plan:
            return milliseconds
        time.sleep(0.5)
    sys.exit(f"the scheduler did not come to see {shards} shards, its log says why")


def main(file, *numbers):
    file = pathlib.Path(file)
    print("| Shards | First EXPLAIN, ms | Next, ms | Scheduler, MiB |\n|--:|--:|--:|--:|")
    with connect(file) as connection:
        for shards in map(int, numbers or ("1000", "10000")):
            reshard(file.parent / "tables", shards)
            first = wait(connection, shards)
            next_ones = statistics.median(ask(connection, f"EXPLAIN {JOIN}") for _ in range(10))
            print(f"| {shards:,} | {first:.1f} | {next_ones:.1f} | {memory(file, 'scheduler'):.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How fast `parcours load` is and how much memory it takes, beside DuckDB's partitioned COPY of the same files.

    load.py PARCOURS [RUNS [PATIENTS ...]]

PARCOURS is the program, which generates the patients, too (20,000 and 200,000 of them). Each load is a process of its
own, both take turns RUNS times (3) under the same limit of memory, and both write the same rows sharded alike and ordered
by patient: Parcours encrypted, DuckDB in clear and, where its threads meet, not quite in order. Prints a Markdown table
of medians. Seconds are those of the whole process; rows/s/core are of them and of all processors that may be used. Needs
Linux and DuckDB.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

CORES = len(os.sched_getaffinity(0))
MEMORY = "1GiB"
HEAD = """\
| Patients | Rows | Loaded by | Seconds | Rows/s/core | Processor time, s | Peak memory, MiB | On disk, MiB |
|--:|--:|---|--:|--:|--:|--:|--:|"""


def generated(parcours, patients, folder):
    """Sources, their dataset.toml and a keyring, as the demo leaves them; the tables it loads are not ours."""
    demo = [parcours, "demo", "--json", "--dir", folder, "--patients", str(patients)]
    done = subprocess.run(demo, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return folder / "dataset.toml"


def measured(command, target):
    """Seconds, processor time and peak memory of a command that writes into a new folder, and what it printed."""
    shutil.rmtree(target, ignore_errors=True)
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    disk = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return (seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, disk / 2**20), json.loads(printed)


def by_parcours(parcours, dataset, target):
    folder = dataset.parent
    keys = ["--keyring", folder / "master.keyring", "--key-file", folder / "master.key"]
    command = [parcours, "load", dataset, "--into", target, *keys, "--memory", MEMORY, "--quiet", "--json"]
    figures, report = measured(command, target)
    return figures, sum(table["rows"] for table in report["tables"])


def by_duckdb(dataset, target):
    return measured([sys.executable, __file__, "--copy", dataset, target], target)


def copy(dataset, target):
    """DuckDB's load in a process of its own; prints how many rows it wrote."""
    import duckdb

    connection = duckdb.connect(config={"threads": CORES, "memory_limit": MEMORY})
    spec = tomllib.loads(pathlib.Path(dataset).read_text())
    rows = 0
    for table in spec["tables"]:
        folder = pathlib.Path(target) / table["name"]
        folder.mkdir(parents=True)
        rows += connection.execute(copy_statement(spec, table, folder)).fetchone()[0]
    print(rows)


def copy_statement(spec, table, folder):
    patient = spec["patient_id"]
    source, order = f"read_parquet({table['sources']!r})", ", ".join([patient, *table["order"]])
    form = "FORMAT parquet, COMPRESSION lz4_raw"
    if all(column["name"] != patient for column in table["columns"]):
        return f"COPY (SELECT * FROM {source}) TO '{folder}/all.parquet' ({form})"
    shard = " + ".join(f"({patient} >= '{split}')::INTEGER" for split in spec["splits"])
    select = f"SELECT *, {shard} AS shard FROM {source} ORDER BY {order}"
    return f"COPY ({select}) TO '{folder}' ({form}, PARTITION_BY (shard), OVERWRITE)"


def main(parcours, runs=3, *patients):
    parcours = str(pathlib.Path(parcours).resolve())
    print(HEAD, flush=True)
    for count in patients or (20_000, 200_000):
        with tempfile.TemporaryDirectory() as folder:
            dataset = generated(parcours, count, pathlib.Path(folder))
            ours, theirs, rows = turns(parcours, dataset, int(runs))
        print(row(int(count), rows, "Parcours", ours), row(int(count), rows, "DuckDB", theirs), sep="\n", flush=True)


def turns(parcours, dataset, runs):
    """The figures of each run of both, and how many rows each has written."""
    target = dataset.parent / "measured"
    ours, theirs = [], []
    for _ in range(runs):
        our_figures, our_rows = by_parcours(parcours, dataset, target)
        their_figures, their_rows = by_duckdb(dataset, target)
        if our_rows != their_rows:
            sys.exit(f"Parcours loaded {our_rows} rows, DuckDB {their_rows}")
        ours.append(our_figures)
        theirs.append(their_figures)
    return ours, theirs, our_rows


def row(patients, rows, name, runs):
    seconds, processor, memory, disk = map(statistics.median, zip(*runs))
    speed = rows / seconds / CORES
    figures = f"{seconds:.2f} | {speed:,.0f} | {processor:.2f} | {memory:.0f} | {disk:.1f}"
    return f"| {patients:,} | {rows:,} | {name} | {figures} |"


if __name__ == "__main__":
    copy(*sys.argv[2:]) if sys.argv[1] == "--copy" else main(*sys.argv[1:])

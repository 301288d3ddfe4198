"""What a stage, a shard and an executor cost: the figures from which docs/scaling.md computes larger clusters.

    scaling.py PARCOURS [PATIENTS]

PARCOURS is the program. First table: planning and the smallest queries over 8 and 1,000 shards of 2,000 patients (EXPLAIN
plans and runs nothing; the counts run every shard). Second table: the benches' queries over PATIENTS (100,000) with 1, 2
and 4 executors of one task at a time each, which share the machine's cores. Medians of five, over mTLS, through Python's
ADBC driver.
"""

import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile

from latency import ask, connect

RUNS = 5
SHARDS = (8, 1_000)
QUERIES = pathlib.Path(__file__).parent.parent / "crates/synthetic/src/queries"
JOIN = "SELECT b.ben_sex_cod, count(*) FROM pharmacie AS p JOIN beneficiaire AS b ON b.ben_idt_ano = p.ben_idt_ano GROUP BY 1"


@contextlib.contextmanager
def cluster(parcours, *options):
    """A demo's cluster: its connect.json, while it runs."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "demo"
        command = [parcours, "demo", "--keep", "--dir", folder, *map(str, options)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
            try:
                said = []
                for line in demo.stdout:
                    said.append(line)
                    if "stays until" in line:
                        break
                else:
                    sys.exit("".join(said))
                yield folder / "connect.json"
            finally:
                demo.terminate()


def memory(file, role):
    """Resident memory of the demo's process of this role, MiB."""
    folder = str(file.parent)
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
            if len(words) > 2 and words[1] == role and any(folder in word for word in words):
                status = (entry / "status").read_text()
                return int(status.split("VmRSS:")[1].split()[0]) / 1024
    return float("nan")


def median(connection, statement):
    ask(connection, statement)
    return statistics.median(ask(connection, statement) for _ in range(RUNS))


def over_shards(parcours):
    print("| Shards | EXPLAIN of a join, ms | Count, ms | Join and grouping, ms | Scheduler, MiB | Executor, MiB |")
    print("|--:|--:|--:|--:|--:|--:|")
    for shards in SHARDS:
        with cluster(parcours, "--patients", 2_000, "--shards", shards) as file, connect(file) as connection:
            plan = median(connection, f"EXPLAIN {JOIN}")
            count = median(connection, "SELECT count(*), max(exe_soi_dtd) FROM pharmacie")
            join = median(connection, JOIN)
            scheduler, executor = memory(file, "scheduler"), memory(file, "executor")
        print(f"| {shards:,} | {plan:.1f} | {count:.1f} | {join:.1f} | {scheduler:.0f} | {executor:.0f} |", flush=True)


def over_executors(parcours, patients):
    print(f"\n| Executors | Total of medians, {patients:,} patients, ms | Two stages over a small table, ms |\n|--:|--:|--:|")
    for executors in (1, 2, 4):
        with cluster(parcours, "--patients", patients, "--executors", executors) as file, connect(file) as connection:
            statements = [path.read_text() for path in sorted(QUERIES.glob("*.sql")) if "." not in path.stem]
            total = sum(median(connection, statement) for statement in statements)
            small = median(connection, "SELECT med_mtf_cod, count(*) FROM ald GROUP BY med_mtf_cod")
        print(f"| {executors} | {total:.0f} | {small:.1f} |", flush=True)


def main(parcours, patients=100_000):
    over_shards(parcours)
    over_executors(parcours, int(patients))


if __name__ == "__main__":
    main(*sys.argv[1:])

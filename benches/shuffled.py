"""What queries exchange: bytes of all partitions that executors make for one another and for the result, per query.

    shuffled.py CONNECT [NAME ...]

CONNECT is the connect.json of a running `parcours demo --keep`, NAMEs are those of crates/synthetic/src/queries (all of
them unless told). Prints a Markdown table beside the bytes of the tables; bytes are compressed, as they are sent.
"""

import pathlib
import sys
import tomllib
import urllib.request

from latency import ask, connect

QUERIES = pathlib.Path(__file__).parent.parent / "crates/synthetic/src/queries"
METRIC = "parcours_executor_partition_bytes_made"


def made(folder):
    """The sum over the demo's executors."""
    total = 0
    for config in folder.glob("executor-*.toml"):
        health = tomllib.loads(config.read_text())["listen"]["health"]
        with urllib.request.urlopen(f"http://{health}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith(METRIC))
    return total


def main(file, *names):
    folder = pathlib.Path(file).parent
    tables = sum(path.stat().st_size for path in (folder / "tables").rglob("*.parquet"))
    print(f"Tables: {tables / 2**20:.0f} MiB.\n\n| Query | Exchanged, KiB |\n|---|--:|")
    names = names or sorted(path.stem for path in QUERIES.glob("*.sql") if "." not in path.stem)
    with connect(file) as connection:
        for name in names:
            before = made(folder)
            ask(connection, (QUERIES / f"{name}.sql").read_text())
            print(f"| {name} | {(made(folder) - before) / 1024:.1f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Joins by patient within bounds, beside DuckDB over the plain files that the tables were loaded from.

    bounds.py CONNECT [RUNS]

CONNECT is the connect.json of a running `parcours demo --keep`. Engines take turns, RUNS times (5) after one to warm up; DuckDB
has two threads. Fails if their answers differ. Prints a Markdown table of medians; the last join has no bounds.
"""

import pathlib
import statistics
import sys
import time

import duckdb

from latency import connect

STAYS = "sejour_mco AS s JOIN pharmacie AS p ON p.ben_idt_ano = s.ben_idt_ano"
DRUGS = "pharmacie AS s JOIN pharmacie AS p ON p.ben_idt_ano = s.ben_idt_ano"
AFTER = "p.exe_soi_dtd BETWEEN s.exe_soi_dtf AND s.exe_soi_dtf + 30"

JOINS = {
    "Stays and dispensings of the 30 days behind them": f"SELECT count(*), sum(p.exe_soi_dtd - s.exe_soi_dtf) FROM {STAYS} AND {AFTER}",
    "Dispensings of two classes of drugs within 30 days": f"SELECT count(*), sum(p.exe_soi_dtd - s.exe_soi_dtd) FROM {DRUGS} "
    "AND p.exe_soi_dtd BETWEEN s.exe_soi_dtd AND s.exe_soi_dtd + 30 WHERE s.atc LIKE 'C%' AND p.atc LIKE 'N%'",
    "All dispensings of the 7 days behind each": f"SELECT count(*), sum(p.exe_soi_dtd - s.exe_soi_dtd) FROM {DRUGS} "
    "AND p.exe_soi_dtd > s.exe_soi_dtd AND p.exe_soi_dtd <= s.exe_soi_dtd + 7",
    "Stays that a dispensing follows (`EXISTS`)": "SELECT count(*) FROM sejour_mco AS s WHERE EXISTS "
    f"(SELECT 1 FROM pharmacie AS p WHERE p.ben_idt_ano = s.ben_idt_ano AND {AFTER})",
    "Stays and dispensings, without bounds": f"SELECT count(*), sum(p.exe_soi_dtd - s.exe_soi_dtf) FROM {STAYS}",
}


def plain(source):
    duck = duckdb.connect(config={"threads": 2})
    for table in source.iterdir():
        duck.execute(f"CREATE VIEW {table.name} AS SELECT * FROM read_parquet('{table}/*.parquet')")
    return duck


def timed(ask):
    started = time.perf_counter()
    rows = ask()
    return (time.perf_counter() - started) * 1e3, [tuple(map(str, row)) for row in rows]


def ours(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def main(file, runs=5):
    duck = plain(pathlib.Path(file).parent / "source")
    print("| Join | Rows | Parcours, ms | DuckDB, ms | Ratio |\n|---|--:|--:|--:|--:|")
    with connect(file) as connection:
        for name, statement in JOINS.items():
            turns = []
            for _ in range(int(runs) + 1):
                (one, rows), (other, theirs) = timed(lambda: ours(connection, statement)), timed(lambda: duck.execute(statement).fetchall())
                if rows != theirs:
                    sys.exit(f"{name}: {rows} against {theirs}")
                turns.append((one, other))
            one, other = (statistics.median(side) for side in zip(*turns[1:]))
            print(f"| {name} | {int(rows[0][0]):,} | {one:.0f} | {other:.0f} | {one / other:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

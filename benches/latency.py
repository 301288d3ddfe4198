"""How long the smallest queries take through Python's ADBC driver, over one warm connection and mTLS.

    latency.py CONNECT [RUNS]

CONNECT is the connect.json of a running `parcours demo --keep`. Each statement is asked RUNS times (200), from execute to
the last row, after ten to warm up. Prints a Markdown table of the distribution in milliseconds.
"""

import json
import pathlib
import sys
import time

from adbc_driver_flightsql import DatabaseOptions, dbapi

STATEMENTS = {
    "`SELECT 1`": "SELECT 1",
    "Count of a small table": "SELECT count(*) FROM ald",
    "Two stages over a small table": "SELECT med_mtf_cod, count(*) FROM ald GROUP BY med_mtf_cod",
}


def connect(file):
    connect = json.loads(pathlib.Path(file).read_text())
    read = lambda name: pathlib.Path(connect[name]).read_text()
    options = {
        DatabaseOptions.TLS_ROOT_CERTS.value: read("ca"),
        DatabaseOptions.MTLS_CERT_CHAIN.value: read("cert"),
        DatabaseOptions.MTLS_PRIVATE_KEY.value: read("key"),
    }
    return dbapi.connect(connect["uri"], db_kwargs=options, autocommit=True)


def answer(connection, statement):
    """Returns the milliseconds from execute to the last row, and the rows."""
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    return (time.perf_counter() - started) * 1e3, rows


def ask(connection, statement):
    """Returns the milliseconds from execute to the last row."""
    return answer(connection, statement)[0]


def main(file, runs=200):
    print("| Statement | Least, ms | Median, ms | 95 % within, ms | Most, ms |\n|---|--:|--:|--:|--:|")
    with connect(file) as connection:
        for name, statement in STATEMENTS.items():
            for _ in range(10):
                ask(connection, statement)
            times = sorted(ask(connection, statement) for _ in range(int(runs)))
            at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
            print(f"| {name} | {times[0]:.1f} | {at(0.5):.1f} | {at(0.95):.1f} | {times[-1]:.1f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])

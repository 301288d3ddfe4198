"""Answers through the ADBC Flight SQL driver, as a statistician gets them, written as Arrow IPC files.

    adbc_queries.py CONNECT QUERIES OUT

CONNECT is the JSON file that `parcours demo --keep` writes (uri, ca, cert, key), QUERIES a folder of .sql files; OUT
receives one <query>.arrow each. A query is asked twice, through a prepared cursor and as a stream of batches, and both
must agree.
"""

import json
import pathlib
import sys

import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions, dbapi


def connect(file):
    """A DBAPI connection with a client certificate. Nothing else about it is special."""
    connect = json.loads(pathlib.Path(file).read_text())
    read = lambda name: pathlib.Path(connect[name]).read_text()
    return dbapi.connect(
        connect["uri"],
        db_kwargs={
            DatabaseOptions.TLS_ROOT_CERTS.value: read("ca"),
            DatabaseOptions.MTLS_CERT_CHAIN.value: read("cert"),
            DatabaseOptions.MTLS_PRIVATE_KEY.value: read("key"),
        },
        autocommit=True,
    )


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        batches = cursor.fetch_record_batch()
        rows = sum(batch.num_rows for batch in batches)
    assert rows == table.num_rows, f"{rows} rows as a stream, {table.num_rows} as a table"
    assert batches.schema.equals(table.schema), "two schemas for one query"
    return table


def main(connect_file, queries, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    failures = []
    with connect(connect_file) as connection:
        for query in sorted(pathlib.Path(queries).glob("*.sql")):
            try:
                answer = ask(connection, query.read_text())
            except Exception as error:
                failures.append(f"{query.stem}: {error}")
                continue
            with pa.OSFile(str(out / f"{query.stem}.arrow"), "wb") as sink, pa.ipc.new_file(sink, answer.schema) as file:
                file.write_table(answer)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])

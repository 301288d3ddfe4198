"""The research queries of the benches, answered by a cluster and by two oracles on the plain files: DuckDB, and a
single process of DataFusion. All three must give the same rows in the same order.

    pathways.py CONNECTION SOURCE QUERIES

QUERIES is a JSON file of {name: statement}; they are asked in its order. Prints how many rows were compared.
"""

import datetime
import decimal
import json
import pathlib
import sys

import datafusion
import duckdb

from adbc_queries import connect


def plain(value):
    """A value as a text, whatever engine it comes from: numbers to six digits, moments as their days."""
    match value:
        case None:
            return ""
        case bool() | int():
            return str(int(value))
        case float() | decimal.Decimal():
            return f"{float(value):.6g}" if value != int(value) else str(int(value))
        case datetime.datetime():
            return value.date().isoformat()
        case datetime.date():
            return value.isoformat()
        case _:
            return str(value)


def tables(source):
    return sorted(folder.name for folder in pathlib.Path(source).iterdir() if folder.is_dir())


def duckdb_side(source):
    connection = duckdb.connect(config={"threads": 1})
    for table in tables(source):
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{source}/{table}/*.parquet')")
    return lambda sql: connection.execute(sql).fetchall()


def datafusion_side(source):
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(1))
    for table in tables(source):
        context.register_parquet(table, f"{source}/{table}/")
    return lambda sql: [tuple(row.values()) for batch in context.sql(sql).collect() for row in batch.to_pylist()]


def first_difference(ours, theirs):
    ours, theirs = ([tuple(map(plain, row)) for row in rows] for rows in (ours, theirs))
    if len(ours) != len(theirs):
        return f"{len(ours)} rows against {len(theirs)}"
    for number, (one, other) in enumerate(zip(ours, theirs), 1):
        if one != other:
            return f"row {number} is {one} against {other}"
    return None


def main(connection_file, source, queries_file):
    queries = json.loads(pathlib.Path(queries_file).read_text())
    oracles = {"DuckDB": duckdb_side(source), "DataFusion": datafusion_side(source)}
    wrong, rows = [], 0
    with connect(connection_file) as connection:
        for name, sql in queries.items():
            with connection.cursor() as cursor:
                cursor.execute(sql)
                ours = cursor.fetchall()
            rows += len(ours)
            if not ours:
                wrong.append(f"{name}: no rows, which shows nothing")
            for oracle, ask in oracles.items():
                if difference := first_difference(ours, ask(sql)):
                    wrong.append(f"{name}: {difference} of {oracle}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(queries)} queries, {rows} rows as {' and '.join(oracles)} have them")


if __name__ == "__main__":
    main(*sys.argv[1:])

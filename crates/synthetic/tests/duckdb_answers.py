"""Answers statements with DuckDB over plain Parquet files.

Standard input is one JSON object: {"dir": folder of the tables, "tables": [names], "statements": [SQL]}.
Standard output is one JSON array per statement and line: the rows, each cell as text or null.
"""

import json
import sys

import duckdb

request = json.load(sys.stdin)
connection = duckdb.connect()
for table in request["tables"]:
    connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{request['dir']}/{table}/*.parquet')")
for statement in request["statements"]:
    rows = connection.execute(statement).fetchall()
    print(json.dumps([[None if cell is None else str(cell) for cell in row] for row in rows]))

"""Many rows and the right answers over them: DuckDB makes both, and no file of Parcours is read.

    memory.py ROWS DATA QUERIES OUT

Writes ROWS rows as Parquet files into DATA, answers every .sql file of QUERIES over them as the table big.visits, and
writes one <query>.arrow each into OUT. Prints the bytes that the rows' values take in memory: texts with a length of four
bytes each, dates of four bytes, numbers of eight.
"""

import pathlib
import sys

import duckdb
import pyarrow as pa

ROW = """
    SELECT
        md5(CAST(i // 40 AS VARCHAR)) AS patient,
        DATE '2020-01-01' + CAST((i * 7919) % 1000 AS INTEGER) AS day,
        substr(md5(CAST((i * 104729) % 200000 AS VARCHAR)), 1, 10) AS code,
        md5(CAST(i AS VARCHAR)) || md5(CAST(i + 1 AS VARCHAR)) AS note,
        (i * 31) % 1000 AS amount
    FROM range({start}, {end}) AS t(i)
"""
FILES = 4


def main(rows, data, queries, out):
    rows, data, out = int(rows), pathlib.Path(data), pathlib.Path(out)
    data.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    duck = duckdb.connect()
    duck.execute("SET memory_limit = '4GB'")
    duck.execute(f"SET temp_directory = '{out}'")
    duck.execute("CREATE SCHEMA big")
    for number in range(FILES):
        part = ROW.format(start=rows * number // FILES, end=rows * (number + 1) // FILES)
        duck.execute(f"COPY ({part}) TO '{data}/visits-{number}.parquet' (FORMAT parquet)")
    duck.execute(f"CREATE VIEW big.visits AS SELECT * FROM read_parquet('{data}/*.parquet')")
    for query in sorted(pathlib.Path(queries).glob("*.sql")):
        answer = duck.sql(query.read_text()).to_arrow_table()
        with pa.OSFile(str(out / f"{query.stem}.arrow"), "wb") as sink, pa.ipc.new_file(sink, answer.schema) as file:
            file.write_table(answer)
    texts = "strlen(patient) + strlen(code) + strlen(note) + 3 * 4"
    print(duck.execute(f"SELECT CAST(sum({texts} + 4 + 8) AS BIGINT) FROM big.visits").fetchone()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The right answers: DuckDB runs each query on the original files and writes what it finds as Arrow IPC files.

    oracle.py DATASET DATA QUERIES OUT

DATASET is claims or omop, DATA the folder that holds both, QUERIES a folder of .sql files, OUT receives one
<query>.arrow each. The types below were written from the publisher's codebook; no file of Parcours is read.
"""

import pathlib
import sys

import duckdb
import pyarrow as pa

# Each table's files: one as published, or several pieces of it.
CLAIMS = {
    "beneficiary": "bene*.csv",
    "prescription": "pde*.csv",
    "inpatient": "inpatient*.csv",
    "outpatient": "outpatient*.csv",
    "carrier": "carrier*.csv",
}


def claims_type(column):
    """Dates end in _DT; amounts, counts and the year are whole numbers; all else is a code."""
    if column.endswith("_DT"):
        return "DATE"
    words = ("_AMT", "_NUM_MONS", "_TOT_MONS", "DAY_CNT", "QTY_DSPNSD_NUM", "DAYS_SUPLY_NUM", "_LBLTY_AM", "PER_DIEM")
    if column == "BENE_YEAR" or any(word in column for word in words):
        return "BIGINT"
    if column.rsplit("_", 1)[0] in ("MEDREIMB", "BENRES", "PPPYMT"):
        return "BIGINT"
    return "VARCHAR"


def open_claims(duck, folder):
    for table, pattern in CLAIMS.items():
        header = min(folder.glob(pattern)).open().readline().strip().split(",")
        types = ", ".join(f"'{column}': '{claims_type(column)}'" for column in header)
        columns = ", ".join(f'"{column}" AS {column.lower()}' for column in header)
        duck.execute(
            f"CREATE VIEW claims.{table} AS SELECT {columns} FROM read_csv('{folder / pattern}', header = true, delim = ',',"
            f" quote = '\"', nullstr = '', auto_detect = false, columns = {{{types}}})"
        )


def open_omop(duck, folder):
    for file in sorted(folder.glob("*.parquet")):
        duck.execute(f"CREATE VIEW omop.{file.stem} AS SELECT * FROM read_parquet('{file}')")


def connect(dataset, data):
    """A DuckDB whose schema `dataset` shows the original files, read anew by each query."""
    duck = duckdb.connect()
    duck.execute(f"CREATE SCHEMA {dataset}")
    {"claims": open_claims, "omop": open_omop}[dataset](duck, pathlib.Path(data) / dataset)
    return duck


def main(dataset, data, queries, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    duck = connect(dataset, data)
    for query in sorted(pathlib.Path(queries).glob("*.sql")):
        answer = duck.sql(query.read_text()).to_arrow_table()
        with pa.OSFile(str(out / f"{query.stem}.arrow"), "wb") as sink, pa.ipc.new_file(sink, answer.schema) as file:
            file.write_table(answer)
        print(query.stem, answer.num_rows)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the real files hold, said by others: DuckDB reads the claims, pyarrow the OMOP tables.

    source_oracle.py DATA > source_oracle.csv

One line a column: rows, values that are not NULL, and the sum over rows of (row number from 1) times (the value as a
whole number), so that a lost, moved or changed value shows. A date counts its days and a timestamp its microseconds
since 1970, a decimal its digits without the point, a text 256 times its bytes plus its first byte. No file of Parcours
is read; the types of the claims were written from the publisher's codebook.
"""

import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

CLAIMS = {"beneficiary": "bene", "prescription": "pde", "inpatient": "inpatient", "outpatient": "outpatient", "carrier": "carrier"}


def claims_value(column):
    name = f'"{column}"'
    if column.endswith("_DT"):
        return f"date_diff('day', DATE '1970-01-01', CAST({name} AS DATE))"
    counts = ("_AMT", "_TOT_MONS", "DAY_CNT", "QTY_DSPNSD_NUM", "DAYS_SUPLY_NUM", "_LBLTY_AM")
    amounts = ("MEDREIMB", "BENRES", "PPPYMT")
    if column == "BENE_YEAR" or any(word in column for word in counts) or column.rsplit("_", 1)[0] in amounts:
        return f"CAST({name} AS BIGINT)"
    return f"(strlen({name}) * 256 + ascii({name}))"


def claims(folder):
    for table, stem in CLAIMS.items():
        file = folder / f"{stem}.csv"
        source = f"(SELECT *, row_number() OVER () AS n FROM read_csv('{file}', all_varchar = true, header = true))"
        for column in file.open().readline().strip().split(","):
            value = claims_value(column)
            query = f"SELECT count(*), count({value}), sum(n::HUGEINT * {value}) FROM {source}"
            rows, values, weighted = duckdb.sql(query).fetchall()[0]
            yield "claims", table, column.lower(), rows, values, int(weighted or 0)


def whole(value, kind):
    if pa.types.is_decimal(kind):
        return int(value.scaleb(kind.scale))
    if isinstance(value, str):
        octets = value.encode()
        return len(octets) * 256 + (octets[0] if octets else 0)
    return int(value)


def omop(folder):
    for file in sorted(folder.glob("*.parquet")):
        table = pq.read_table(file)
        for name in table.column_names:
            column, kind = table[name], table[name].type
            if pa.types.is_date(kind):
                column = column.cast(pa.int32())
            if pa.types.is_timestamp(kind):
                column = column.cast(pa.timestamp("us")).cast(pa.int64())
            numbered = [(n, whole(v, kind)) for n, v in enumerate(column.to_pylist(), 1) if v is not None]
            yield "omop", file.stem, name, len(column), len(numbered), sum(n * v for n, v in numbered)


if __name__ == "__main__":
    data = pathlib.Path(sys.argv[1])
    print("dataset,table,column,rows,values,weighted")
    for line in [*claims(data / "claims"), *omop(data / "omop")]:
        print(*line, sep=",")

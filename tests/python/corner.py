"""A small dataset of corner values, made by DuckDB from nothing but numbers, and its descriptions for `parcours load`.

    corner.py FOLDER SHARDS…

Writes FOLDER/source/<table>.parquet and one FOLDER/corner<n>.toml, of the dataset corner<n>, for each number of
shards. Of patients' tables there are `t` (every type, with NULLs, ties, duplicates and the ends of each type's
range), `u` (some rows for some patients), `a` and `b` (keys that overlap in part), `r` (few rows, of few patients)
and `e` (no row). `ref` has no patient. In t and u: `p` patient, `id` unique, `k` a key that repeats, `g` a small
group with zeros, `x` a small number, `y` quarters with ties, `c` a code. In t alone: `f` the corners of floats, `m`
money, `n` a long decimal, `big` near 2^63, `i8` and `i16` small types, `s` texts with empty ones, `z` a truth, `d`
days of four years, `dd` days from 0001 to 9999, `ts` moments with microseconds, `tt` moments from 0001 to 9999. Every
column but `p` and `id` is NULL here and there.
"""

import pathlib
import sys

import duckdb

PATIENTS = 500

# Patients lie between 3200 and 10200 of 0 to 16000: shards of equal width are empty at both ends.
LEAST, STEP, WHOLE = 3200, 14, 16000


def some(value, salt, nulls=9):
    """The value, or NULL in one of `nulls` rows."""
    return f"CASE WHEN hash(i, {salt}) % {nulls} = 0 THEN NULL ELSE {value} END"


def below(salt, end):
    return f"CAST(hash(i, {salt}) % {end} AS INTEGER)"


def patient(salt, of=PATIENTS):
    """One patient has a tenth of the rows."""
    return f"CAST({LEAST} + {STEP} * CASE WHEN i % 10 = 7 THEN 42 ELSE hash(i, {salt}) % {of} END AS BIGINT)"


def one_of(salt, of, *values):
    """One of these values, in turns that the row's number decides."""
    return f"CAST(([{', '.join(values)}])[1 + {below(salt, len(values))}] AS {of})"


FLOATS = [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'0.0'",
    "'-0.0'",
    "'1e308'",
    "'-1e308'",
    "'5e-324'",
    "'0.1'",
    "'0.2'",
    "'1e15'",
    "'-1.5'",
    "'2.5'",
    "'3.5'",
    "'1e-9'",
    "'9007199254740993'",
]
BIGS = [
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "4611686018427387904",
    "-4611686018427387905",
    "3037000500",
    "9007199254740993",
    "0",
    "1",
    "-1",
]
TEXTS = [
    "''",
    "' '",
    "'a'",
    "'A'",
    "'ab'",
    "'a%b'",
    "'a_b'",
    r"'a\b'",
    "'é'",
    "'Éa'",
    "'été'",
    "'0'",
    "'12'",
    "'NULL'",
    "'z z'",
    "'日本'",
]
DAYS = [
    "'0001-01-01'",
    "'9999-12-31'",
    "'1582-10-15'",
    "'1900-02-28'",
    "'1969-12-31'",
    "'1970-01-01'",
    "'2000-02-29'",
    "'2020-02-29'",
    "'2020-12-31'",
    "'2021-01-01'",
    "'2262-04-12'",
    "'1677-09-20'",
]
MOMENTS = [
    "'0001-01-01 00:00:00'",
    "'9999-12-31 23:59:59.999999'",
    "'1969-12-31 23:59:59.999999'",
    "'1970-01-01 00:00:00'",
    "'2020-02-29 12:00:00'",
    "'2021-03-28 02:30:00'",
    "'2262-04-11 23:47:16.854776'",
    "'1677-09-21 00:12:43.145224'",
]


def common(salt):
    """The columns that several tables have, other values in each."""
    return {
        "id": "CAST(i AS BIGINT)",
        "k": some(below(salt + 3, 40), salt + 4),
        "g": some(below(salt + 5, 9) + " - 2", salt + 6),
        "x": some(below(salt + 7, 60) + " - 10", salt + 8),
        "y": some(f"CAST(hash(i, {salt + 9}) % 40 AS DOUBLE) / 4", salt + 10),
        "c": some(
            f"chr(CAST(65 + hash(i, {salt + 11}) % 7 AS INTEGER)) || CAST(hash(i, {salt + 12}) % 5 AS VARCHAR)",
            salt + 13,
        ),
    }


TABLES = {
    "t": (
        2_000,
        {
            "p": patient(1),
            **common(0),
            "f": some(one_of(14, "DOUBLE", *FLOATS), 15),
            "m": some("CAST(CAST(hash(i, 16) % 200000 AS BIGINT) - 50000 AS DECIMAL(12,2)) / 100", 17),
            "n": some(
                "CAST(hash(i, 18) % 1000000007 AS DECIMAL(28,0)) * CAST(10000000000.0000000001 AS DECIMAL(21,10)) / 7",
                19,
            ),
            "big": some(one_of(20, "BIGINT", *BIGS), 21),
            "i8": some("CAST(CAST(hash(i, 22) % 256 AS INTEGER) - 128 AS TINYINT)", 23),
            "i16": some("CAST(CAST(hash(i, 24) % 65536 AS INTEGER) - 32768 AS SMALLINT)", 25),
            "s": some(one_of(26, "VARCHAR", *TEXTS), 27),
            "z": some("hash(i, 28) % 2 = 0", 29, nulls=3),
            "d": some(f"DATE '2020-01-01' + {below(30, 1461)}", 31),
            "dd": some(one_of(32, "DATE", *DAYS), 33),
            "ts": some("TIMESTAMP '2020-01-01' + to_microseconds(CAST(hash(i, 34) % 126230400000000 AS BIGINT))", 35),
            "tt": some(one_of(36, "TIMESTAMP", *MOMENTS), 37),
        },
    ),
    "u": (
        1_500,
        {"p": patient(2, of=PATIENTS // 2), **common(100), "d": some(f"DATE '2020-01-01' + {below(38, 1461)}", 39)},
    ),
    "a": (
        240,
        {
            "p": f"CAST({LEAST} + {STEP} * (i % 120) AS BIGINT)",
            "k": some(below(40, 50), 41, nulls=5),
            "v": some("i % 13", 42),
        },
    ),
    "b": (
        300,
        {
            "p": f"CAST({LEAST} + {STEP} * (60 + i % 200) AS BIGINT)",
            "k": some(f"25 + {below(43, 50)}", 44, nulls=5),
            "w": some("i % 11", 45),
        },
    ),
    "r": (
        30,
        {
            "p": f"CAST({LEAST} + {STEP} * (i % 7) AS BIGINT)",
            "k": some("i % 12", 46, nulls=6),
            "q": some("CAST(i AS DOUBLE) / 8", 47),
        },
    ),
    "e": (0, {"p": patient(1), **common(0)}),
    "ref": (60, {"k": "i", "name": some("'name ' || CAST(i // 2 AS VARCHAR)", 48), "h": some("i % 4", 49)}),
}

# The types of what the expressions above leave to DuckDB.
TYPES = {"k": "INTEGER", "v": "INTEGER", "w": "INTEGER", "h": "INTEGER", "m": "DECIMAL(12,2)", "n": "DECIMAL(38,10)"}


def description(folder, shards):
    points = ", ".join(str(WHOLE * shard // shards) for shard in range(1, shards))
    text = f'name = "corner{shards}"\npatient_id = "p"\nshards = {shards}\nsplits = [{points}]\n'
    for table, (_, columns) in TABLES.items():
        text += f'\n[[tables]]\nname = "{table}"\nsources = ["{folder}/source/{table}.parquet"]\n'
        text += 'date_min = "0001-01-01"\ndate_max = "9999-12-31"\n'
        text += "" if "p" in columns else "sharded = false\n"
        lines = [f'  {{ name = "{name}", class = "{"identity" if name == "p" else "plain"}" }},' for name in columns]
        text += "columns = [\n" + "\n".join(lines) + "\n]\n"
    return text


def main(folder, *shards):
    folder = pathlib.Path(folder).resolve()
    (folder / "source").mkdir(parents=True, exist_ok=True)
    duck = duckdb.connect()
    for table, (rows, columns) in TABLES.items():
        typed = lambda name, value: f"CAST({value} AS {TYPES[name]})" if name in TYPES else value
        shown = ", ".join(f"{typed(*column)} AS {column[0]}" for column in columns.items())
        duck.execute(
            f"COPY (SELECT {shown} FROM range({rows}) AS of(i)) TO '{folder}/source/{table}.parquet' (FORMAT parquet)"
        )
    for number in shards:
        (folder / f"corner{number}.toml").write_text(description(folder, int(number)))


def connect(folder):
    """A DuckDB that shows the dataset's tables."""
    duck = duckdb.connect()
    duck.execute("SET threads = 1")
    # What PostgreSQL does where DuckDB does otherwise: `/` of integers, and NULL above all values.
    duck.execute("SET integer_division = true")
    duck.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    for table in TABLES:
        duck.execute(
            f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{pathlib.Path(folder)}/source/{table}.parquet')"
        )
    return duck


if __name__ == "__main__":
    main(*sys.argv[1:])

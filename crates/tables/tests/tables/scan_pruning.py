"""Rows with NaN, infinities, extremes and NULL, conditions over them, and how many rows DuckDB finds.

    scan_pruning.py FOLDER SEED CONDITIONS

Writes FOLDER/rows.parquet, and FOLDER/conditions.json: a list of conditions with the number of rows that each keeps. Rows
lie so that most row groups of a table in order of `n` hold a part of each column's values alone.
"""

import datetime
import json
import pathlib
import random
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 6000
SPECIAL = {
    "f": [float("nan"), float("inf"), float("-inf"), 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -5e-324, 0.0],
    "g": [float("nan"), float("inf"), float("-inf"), 3.4028234663852886e38, -3.4028234663852886e38, 0.0],
    "i": [-(2**63), 2**63 - 1, 0, -1],
    "u": [0, 2**64 - 1, 2**63],
    "d": [datetime.date(1800, 1, 1), datetime.date(2200, 12, 31), datetime.date(1969, 12, 31), datetime.date(1970, 1, 1)],
    "m": [datetime.datetime(1800, 1, 1), datetime.datetime(2200, 12, 31, 23, 59, 59, 999_999), datetime.datetime(1970, 1, 1)],
    "s": ["", " ", "A", "a", "é", "\U0001f600", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"],
    "b": [True, False],
}
TYPES = {"f": pa.float64(), "g": pa.float32(), "i": pa.int64(), "u": pa.uint64(), "d": pa.date32(), "m": pa.timestamp("us")}
TYPES |= {"s": pa.string(), "b": pa.bool_()}


def near(name, at, dice):
    """A value that grows with `at`, from 0 to 1, by and large."""
    at += dice.uniform(-0.01, 0.01)
    if name in "fg":
        return round((at - 0.5) * 2000, 1)
    if name == "i":
        return int((at - 0.5) * 10_000)
    if name == "u":
        return int(abs(at) * 10_000)
    if name == "d":
        return datetime.date(2000, 1, 1) + datetime.timedelta(days=int(at * 5000))
    if name == "m":
        return datetime.datetime(2000, 1, 1) + datetime.timedelta(minutes=int(at * 5_000_000))
    if name == "s":
        return f"{int(abs(at) * 1000):04}" + dice.choice(["", "é", "z" * 70])
    return at < 0.5


def column(name, dice):
    values = []
    for row in range(ROWS):
        chance = dice.random()
        # Stretches of NULL alone, so that a row group has nothing else.
        if chance < 0.05 or 0.3 < row / ROWS < 0.35:
            values.append(None)
        elif chance < 0.09:
            values.append(dice.choice(SPECIAL[name]))
        else:
            values.append(near(name, row / ROWS, dice))
    return pa.array(values, TYPES[name])


def literal(name, dice):
    value = dice.choice(SPECIAL[name]) if dice.random() < 0.3 else near(name, dice.random(), dice)
    if name in "fg":
        words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return f"CAST('{words.get(repr(value), repr(value))}' AS {'DOUBLE' if name == 'f' else 'REAL'})"
    if name in "iu":
        return f"CAST('{value}' AS {'BIGINT' if name == 'i' else 'BIGINT UNSIGNED'})"
    if name == "d":
        return f"DATE '{value}'"
    if name == "m":
        return f"TIMESTAMP '{value}'"
    return f"'{value}'" if name == "s" else str(value).upper()


def condition(dice, depth=2):
    if depth and dice.random() < 0.6:
        parts = [condition(dice, depth - 1) for _ in range(2)]
        return f"({parts[0]} {dice.choice(['AND', 'OR'])} {parts[1]})" if dice.random() < 0.8 else f"(NOT {parts[0]})"
    name = dice.choice(list(SPECIAL))
    value = lambda: literal(name, dice)
    return dice.choice(
        [
            lambda: f"({name} {dice.choice(['<', '<=', '=', '<>', '>=', '>'])} {value()})",
            lambda: f"({name} {dice.choice(['<', '<=', '=', '<>', '>=', '>'])} {value()})",
            lambda: f"({value()} {dice.choice(['<', '>='])} {name})",
            lambda: f"({name} {dice.choice(['', 'NOT '])}BETWEEN {value()} AND {value()})",
            lambda: f"({name} {dice.choice(['', 'NOT '])}IN ({value()}, {value()}, {value()}))",
            lambda: f"({name} IS {dice.choice(['', 'NOT '])}NULL)",
            lambda: f"({name} IS {dice.choice(['', 'NOT '])}DISTINCT FROM {value()})",
        ]
    )()


def main(folder, seed, count):
    dice = random.Random(f"{seed} rows")
    columns = {name: column(name, dice) for name in SPECIAL}
    patients = pa.array([f"p{row * 7919 % 997:04}" for row in range(ROWS)])
    table = pa.table({"id": patients, "n": pa.array(range(ROWS), pa.int64()), **columns})
    pq.write_table(table, folder / "rows.parquet")
    dice = random.Random(f"{seed} conditions")
    duck = duckdb.connect()
    duck.register("rows", table)
    conditions = []
    for _ in range(count):
        sql = condition(dice)
        asked = sql.replace("BIGINT UNSIGNED", "UBIGINT")
        conditions.append([sql, duck.execute(f"SELECT count(*) FROM rows WHERE {asked}").fetchone()[0]])
    (folder / "conditions.json").write_text(json.dumps(conditions))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

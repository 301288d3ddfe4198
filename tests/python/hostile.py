"""A dataset as unkind as real ones, made by DuckDB from nothing but numbers, and its descriptions for `parcours load`.

    hostile.py FOLDER SHARDS

Writes FOLDER/source/<table>/<n>.parquet, FOLDER/first.toml (the files numbered 0) and FOLDER/all.toml (all files): loaded
one after the other, they leave several files a shard. One patient has 5 % of the events; every column but the
patient's is NULL here and there; a third of the shards holds no patient; few patients have what others have many times.
"""

import pathlib
import sys

import duckdb

PATIENTS, EVENTS, STAYS, FILES = 20_000, 400_000, 60_000, 3

# Patients lie between 0x20 and 0xca of 0x00 to 0xff: shards of equal width are empty at both ends.
PATIENT = "printf('%02x', 32 + ({n}) % 170) || substr(md5(CAST({n} AS VARCHAR)), 1, 14)"
SKEWED = f"CASE WHEN i % 20 = 7 THEN 4242 ELSE hash(i, 1) % {PATIENTS * 9 // 10} END"


def some(value, salt, nulls=13):
    """The value, or NULL in one of `nulls` rows."""
    return f"CASE WHEN hash(i, {salt}) % {nulls} = 0 THEN NULL ELSE {value} END"


def day(salt, days=1500):
    return f"DATE '2020-01-01' + CAST(hash(i, {salt}) % {days} AS INTEGER)"


def code(salt, codes=300):
    return f"printf('%s%02d', chr(CAST(65 + hash(i, {salt}) % {codes} % 13 AS INTEGER)), hash(i, {salt}) % {codes} // 13)"


TABLES = {
    "person": (
        PATIENTS,
        {
            "pid": ("identity", PATIENT.format(n="i")),
            "sex": ("quasi", some("CAST(1 + i % 2 AS INTEGER)", 2)),
            "born": ("quasi", some("CAST(1930 + hash(i, 3) % 80 AS INTEGER)", 4)),
            "dept": ("quasi", some("printf('%02d', hash(i, 5) % 96)", 6)),
            "died": ("health", some(day(7), 8, nulls=2)),
        },
        [],
    ),
    "event": (
        EVENTS,
        {
            "pid": ("identity", PATIENT.format(n=SKEWED)),
            "day": ("quasi", some(day(9), 10, nulls=50)),
            "code": ("health", some(code(11), 12)),
            "n": ("plain", some("CAST(hash(i, 13) % 40 AS INTEGER) - 5", 14)),
            "cost": ("plain", some("CAST(hash(i, 15) % 10000 AS DOUBLE) / 4", 16)),
        },
        ["day", "code"],
    ),
    "stay": (
        STAYS,
        {
            "pid": ("identity", PATIENT.format(n=f"hash(i, 17) % {PATIENTS // 3}")),
            "start": ("quasi", some(day(18), 19, nulls=40)),
            "stop": ("quasi", some(day(18) + " + CAST(hash(i, 20) % 30 AS INTEGER)", 21)),
            "diag": ("health", some(code(22, codes=60), 23)),
            "nights": ("quasi", some("CAST(hash(i, 20) % 30 AS INTEGER)", 24)),
        },
        ["start"],
    ),
    "label": (
        400,
        {
            "code": ("plain", "printf('%s%02d', chr(CAST(65 + i % 13 AS INTEGER)), i // 13)"),
            "name": ("plain", some("'name ' || CAST(i // 3 AS VARCHAR)", 25)),
            "family": ("plain", some("CAST(i % 7 AS INTEGER)", 26)),
        },
        ["code"],
    ),
}


def description(folder, shards, files):
    points = ", ".join(f'"{(shard << 32) // shards:08x}"' for shard in range(1, shards))
    text = f'name = "hostile"\npatient_id = "pid"\nshards = {shards}\nsplits = [{points}]\n'
    for table, (_, columns, order) in TABLES.items():
        sources = f"{folder}/source/{table}/{files}.parquet"
        text += f'\n[[tables]]\nname = "{table}"\nsources = ["{sources}"]\norder = {order}\n'.replace("'", '"')
        text += "" if table != "label" else "sharded = false\n"
        lines = [f'  {{ name = "{name}", class = "{column[0]}" }},' for name, column in columns.items()]
        text += "columns = [\n" + "\n".join(lines) + "\n]\n"
    return text


def main(folder, shards):
    folder, shards = pathlib.Path(folder).resolve(), int(shards)
    duck = duckdb.connect()
    for table, (rows, columns, _) in TABLES.items():
        (folder / "source" / table).mkdir(parents=True, exist_ok=True)
        shown = ", ".join(f"{column[1]} AS {name}" for name, column in columns.items())
        for number in range(FILES):
            part = f"SELECT {shown} FROM range({rows}) AS t(i) WHERE i % {FILES} = {number}"
            duck.execute(f"COPY ({part}) TO '{folder}/source/{table}/{number}.parquet' (FORMAT parquet)")
    (folder / "first.toml").write_text(description(folder, shards, "0"))
    (folder / "all.toml").write_text(description(folder, shards, "*"))


if __name__ == "__main__":
    main(*sys.argv[1:])

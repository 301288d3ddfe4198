"""Every example of the SQL surface over the corner dataset: answered as its oracle says, or refused with its sentence.

    surface.py CONNECT SOURCE [NAME…]

CONNECT is the connect.json of a person who sees the corner dataset in some number of shards, SOURCE the folder of corner.py,
NAME the entries to ask, all unless any is said. The tables lie in crates/sql/surface. DuckDB over the same files is the
oracle; where no engine says the same, the table says the rows. Prints how many were right, and fails with those that were
not.
"""

import datetime
import decimal
import pathlib
import sys
import tomllib

import pyarrow as pa

import answers
import corner

TABLES = pathlib.Path(__file__).resolve().parents[2] / "crates" / "sql" / "surface"

KINDS = (
    "clauses", "operators", "scalar_functions", "aggregate_functions", "window_functions", "table_functions",
)


def entries():
    """The entries with an example, each with the kind that it is of."""
    for kind in KINDS:
        for entry in tomllib.loads((TABLES / f"{kind}.toml").read_text())["entry"]:
            if not entry.get("internal"):
                yield kind, entry


def expected(duck, entry, like):
    """The answer that an example has to have. Rows that the table says have the columns of the answer that came."""
    if "expected" in entry:
        rows = [tuple(row) for row in entry["expected"]]
        return answers.Answer(like.names, [family(rows, at) for at in range(len(like.names))], rows)
    sql = entry.get("oracle_sql") or entry["example"]
    return answers.of_duckdb(duck, sql, entry.get("parameters"))


def family(rows, at):
    """The kind of value that rows of a table have in a column."""
    kinds = {bool: "truth", int: "integer", float: "float", str: "text", datetime.date: "date", decimal.Decimal: "decimal"}
    found = {kinds[type(row[at])] for row in rows if row[at] is not None}
    return found.pop() if len(found) == 1 else "null"


def bound(entry):
    """The parameters of an example as the driver takes them."""
    values = entry.get("parameters")
    return values and pa.record_batch([pa.array([value]) for value in values], [str(at) for at in range(len(values))])


def wrong(parcours, duck, entry):
    """What is wrong with the answer to an example, or None."""
    refusal = entry.get("refused")
    try:
        got = parcours.ask(entry["example"], bound(entry))
    except answers.Refused as refused:
        if refusal and refusal.lower() in str(refused).lower():
            return None
        return f"refused: {refused}" + (f"\n  the sentence should have: {refusal}" if refusal else "")
    except answers.Fault as fault:
        return f"fault: {fault}"
    if refusal:
        return f"answered with {len(got.rows)} rows what is to be refused: {refusal}"
    right = expected(duck, entry, got)
    if not right.rows:
        return "an example without a row proves nothing"
    return answers.difference(right, got, ordered=entry.get("ordered", False))


def main(connect_file, source, *names):
    duck = corner.connect(source)
    asked, failed = 0, []
    with answers.Parcours(connect_file) as parcours:
        for kind, entry in entries():
            if names and entry["name"] not in names:
                continue
            asked += 1
            said, replanned = parcours.replans(lambda: wrong(parcours, duck, entry))
            if said is None and replanned:
                said = f"REPLANNED: planned anew {replanned} times"
            if said:
                failed.append(f"{kind}, {entry['name']}: {said}\n  {entry['example'].strip()}")
    print(f"{asked - len(failed)} of {asked} examples of the SQL surface are answered or refused as they should be")
    if failed:
        sys.exit("\n\n".join(failed))


if __name__ == "__main__":
    main(*sys.argv[1:])

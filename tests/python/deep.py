"""Statements so deep or long that planning them could take the scheduler's stack or time: answered or refused, and it
lives.

    deep.py SOURCE DEPTH CONNECT

SOURCE is the folder of corner.py, CONNECT a connect.json of a person who sees one corner dataset. Each shape nests
DEPTH times (or holds that many of what it holds). After each one the scheduler answers a small statement at once, and
that it is the same process can be told by the number of queries that it has started, which does not begin anew.
Prints the seconds of each.
"""

import sys
import time

import answers
import corner

# Seconds within which a statement is answered or refused.
SOON = 20


def shapes(depth):
    select = "SELECT count(*) FROM t WHERE "
    yield "ors", select + " OR ".join(f"x = {number}" for number in range(depth))
    yield "ands", select + " AND ".join(f"x <> {number + 100}" for number in range(depth))
    yield "ors of two columns", select + " OR ".join(f"(x = {number} AND k = {number})" for number in range(depth))
    yield "parentheses", select + "(" * depth + "x > 3" + ")" * depth
    yield "nots", select + "NOT (" * depth + "x > 3" + ")" * depth
    yield "functions", select + "abs(" * depth + "x" + ")" * depth + " > 3"
    yield "coalesces", select + "coalesce(x, " * depth + "1" + ")" * depth + " > 3"
    yield "cases", select + "CASE WHEN x = 1 THEN 1 ELSE " * depth + "2" + " END" * depth + " > 1"
    yield "casts", select + "CAST(" * depth + "x" + " AS BIGINT)" * depth + " > 3"
    yield "additions", "SELECT sum(" + " + ".join(["x"] * depth) + ") AS v FROM t"
    yield "concatenations", "SELECT max(" + " || ".join(["c"] * depth) + ") AS v FROM t"
    yield "a list", select + f"x IN ({', '.join(map(str, range(depth)))})"
    yield "a list of texts", select + "c IN (" + ", ".join(f"'A{number}'" for number in range(depth)) + ")"
    few = max(1, depth // 20)
    yield "subqueries", "SELECT count(*) FROM " + "(SELECT * FROM " * few + "t" + ") AS s" * few
    yield "subqueries that filter", "SELECT count(*) FROM " + "(SELECT * FROM " * few + "t" + "".join(
        f") AS s{n} WHERE x <> {n}" for n in range(few)
    )
    yield "exists", "SELECT count(*) FROM t WHERE " + "".join(
        f"EXISTS (SELECT 1 FROM u AS u{n} WHERE " for n in range(few)
    ) + "1 = 1" + ")" * few
    yield "unions", " UNION ALL ".join(["SELECT count(*) AS n FROM t"] * few)
    yield "ctes", "WITH c0 AS (SELECT * FROM t)" + "".join(
        f", c{n + 1} AS (SELECT * FROM c{n} WHERE x <> {n})" for n in range(few)
    ) + f" SELECT count(*) FROM c{few}"
    yield "columns", "SELECT " + ", ".join(
        f"x + {number} AS c{number}" for number in range(depth)
    ) + " FROM r AS t(a, x, b)"
    yield "minus signs", "SELECT count(*) FROM t WHERE " + "- " * depth + "x > 3"


def main(source, depth, connect):
    expected = corner.connect(source).execute("SELECT count(*) FROM t").fetchone()[0]
    failures, started = [], 0
    for name, sql in shapes(int(depth)):
        begin = time.monotonic()
        with answers.Parcours(connect) as parcours:
            try:
                parcours.ask(sql)
                said = "answered"
            except answers.Refused as refused:
                said = f"refused: {str(refused)[:120]}"
            except answers.Fault as fault:
                said = f"FAULT: {str(fault)[:300]}"
                failures.append(f"{name}: {said}")
        took = time.monotonic() - begin
        print(f"{took:6.1f} s  {name}, {len(sql)} characters: {said}", flush=True)
        if took > SOON:
            failures.append(f"{name}: {took:.0f} s")
        try:
            with answers.Parcours(connect) as parcours:
                alive = parcours.ask("SELECT count(*) FROM t").rows[0][0] == expected
                now = parcours.counted("queries_started")
        except Exception as error:
            sys.exit("\n".join([*failures, f"after {name} nothing is answered any more: {error}"]))
        if not alive or now < started:
            failures.append(f"after {name} the scheduler is another one, or answers something else")
        started = now
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])

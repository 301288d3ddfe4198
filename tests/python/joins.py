"""Every way to join two tables: type, condition, which side is small or empty, correlated or not, with and without
NULLs.

    joins.py SOURCE REFUSED [--every N] [--anew] CONNECT…

SOURCE is the folder of corner.py, REFUSED a list of sentences that may be answered (answers.py says its form), each
CONNECT a connect.json of a person who sees one corner dataset. Each statement is held against DuckDB's answer. Prints
what failed and, for each kind of join, how many were asked; fails if an answer is wrong, a refusal is not listed or,
without `--anew`, a statement was planned anew.
"""

import argparse
import collections
import itertools
import pathlib
import sys

import answers
import corner

# A number of each table that is not a key.
NUMBER = {"t": "x", "u": "x", "a": "v", "b": "w", "r": "k", "e": "x", "ref": "h"}

# Which tables meet: alike, either side small, either side empty, one table with itself, one without a patient.
PAIRS = [("a", "b"), ("t", "r"), ("r", "t"), ("a", "e"), ("e", "a"), ("e", "e"), ("b", "b"), ("a", "ref"), ("ref", "a")]

# What joins l and m; `n` is the number that is not a key.
CONDITIONS = {
    "key": "l.k = m.k",
    "patient": "l.p = m.p",
    "patient and key": "l.p = m.p AND l.k = m.k",
    "unequal": "l.k > m.k + 3",
    "between": "l.k BETWEEN m.k - 1 AND m.k + 1",
    "unlike": "l.k <> m.k",
    "mixed": "l.k = m.k AND l.n < m.n",
    "patient and unequal": "l.p = m.p AND l.k < m.k",
    "either": "l.k = m.k OR l.n = m.n",
    "null safe": "l.k IS NOT DISTINCT FROM m.k",
    "left alone": "l.k > 10",
    "right alone": "m.k > 10",
    "none": "1 = 1",
    "never": "1 = 0",
}

SUMS = "count(*) AS rows, count({0}.k) AS keys, sum({0}.k) AS total, min({0}.n) AS least, max({0}.n) AS most"
OTHERS = "count(m.k) AS others, sum(m.k) AS sum, count(m.one) AS found"
OUTER = f"SELECT {SUMS.format('l')}, {OTHERS} FROM {{l}} {{join}} {{m}} ON {{on}}"
SEMI = f"SELECT {SUMS.format('l')} FROM {{l}} WHERE {{test}}"

OUTERS = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
TESTS = {
    "exists": "EXISTS (SELECT 1 FROM {m} WHERE {on})",
    "not exists": "NOT EXISTS (SELECT 1 FROM {m} WHERE {on})",
    "in": "l.n IN (SELECT m.n FROM {m} WHERE {on})",
    "not in": "l.n NOT IN (SELECT m.n FROM {m} WHERE {on})",
    "any": "l.n = ANY (SELECT m.n FROM {m} WHERE {on})",
    "above any": "l.n > ANY (SELECT m.n FROM {m} WHERE {on})",
    "above all": "l.n >= ALL (SELECT m.n FROM {m} WHERE {on})",
    "unlike all": "l.n <> ALL (SELECT m.n FROM {m} WHERE {on})",
    "constant in": "3 IN (SELECT m.n FROM {m} WHERE {on})",
    "constant not in": "3 NOT IN (SELECT m.n FROM {m} WHERE {on})",
    "exists or": "(l.n > 9 OR EXISTS (SELECT 1 FROM {m} WHERE {on}))",
    "not exists or": "(l.n > 9 OR NOT EXISTS (SELECT 1 FROM {m} WHERE {on}))",
    "not in or": "(l.n > 9 OR l.n NOT IN (SELECT m.n FROM {m} WHERE {on}))",
    "in is null": "(l.n IN (SELECT m.n FROM {m} WHERE {on})) IS NULL",
    "count": "(SELECT count(*) FROM {m} WHERE {on}) > 2",
    "no count": "(SELECT count(*) FROM {m} WHERE {on}) = 0",
    "maximum": "l.n = (SELECT max(m.n) FROM {m} WHERE {on})",
}
SHOWN = {
    "exists shown": "EXISTS (SELECT 1 FROM {m} WHERE {on})",
    "in shown": "l.n IN (SELECT m.n FROM {m} WHERE {on})",
    "not in shown": "l.n NOT IN (SELECT m.n FROM {m} WHERE {on})",
    "count shown": "(SELECT count(*) FROM {m} WHERE {on})",
    "sum shown": "(SELECT sum(m.n) FROM {m} WHERE {on})",
}

# What of a side is looked at.
SIDES = {"all": "", "without null": " WHERE k IS NOT NULL", "nothing": " WHERE k > 1000"}


def side(table, name, rows):
    patient = "p" if table != "ref" else "CAST(k AS BIGINT) AS p"
    return f"(SELECT {patient}, k, {NUMBER[table]} AS n, 1 AS one FROM {table}{SIDES[rows]}) AS {name}"


def statements():
    """Every statement with its kind."""
    rows = [("all", "all"), ("without null", "all"), ("all", "without null"), ("nothing", "all"), ("all", "nothing")]
    number = 0
    for (l, m), (condition, on) in itertools.product(PAIRS, CONDITIONS.items()):
        for kind in [*OUTERS, *TESTS, *SHOWN]:
            # Each way of looking at the sides in turn, so that every kind and condition meets each of them.
            number += 1
            some_l, some_m = rows[number % len(rows)] if number % 3 == 0 else rows[0]
            named = {"l": side(l, "l", some_l), "m": side(m, "m", some_m), "on": on}
            if kind in OUTERS:
                sql = OUTER.format(join=kind, **named)
            elif kind in TESTS:
                sql = SEMI.format(test=TESTS[kind].format(**named), **named)
            else:
                shown = f"SELECT l.k, {SHOWN[kind].format(**named)} AS v FROM {named['l']}"
                sql = f"SELECT v, count(*) AS rows, sum(k) AS total FROM ({shown}) AS s GROUP BY v"
            yield f"{kind}, {condition}", sql


def main(arguments):
    duck, allowed = corner.connect(arguments.source), answers.Allowed(arguments.refused)
    asked = list(statements())[:: arguments.every]
    counts, failed, expected, table = collections.Counter(), 0, {}, collections.defaultdict(collections.Counter)
    refusals, replans = collections.Counter(), 0
    for kind, sql in asked:
        try:
            expected[sql] = answers.of_duckdb(duck, sql)
        except Exception as error:
            expected[sql] = None
            counts["left out, for DuckDB refuses it"] += 1
    for connect in arguments.connect:
        with answers.Parcours(connect) as parcours:
            for kind, sql in asked:
                if expected[sql] is None:
                    continue
                ask = lambda: failure(parcours, sql, expected[sql], allowed, refusals)
                said, replanned = parcours.replans(ask, times=1 if arguments.anew else 3)
                replans += replanned
                if said is None and replanned and not arguments.anew:
                    said = "REPLANNED"
                word = (said or "RIGHT").split(":")[0]
                counts[word] += 1
                table[kind.split(", ")[0]][word] += 1
                if said:
                    failed += 1
                    print(f"{pathlib.Path(connect).stem} {kind}\n{sql}\n  {said}\n", flush=True)
    for kind, words in table.items():
        print(f"{kind:16} {dict(words)}")
    for sentence, times in refusals.most_common():
        print(f"{times:7} refused: {sentence}")
    print(
        f"{len(asked)} statements over {len(arguments.connect)} connections: {dict(counts)},"
        f" planned anew {replans} times"
    )
    if failed:
        sys.exit(f"{failed} failed")


def failure(parcours, sql, expected, allowed, refusals):
    try:
        said = answers.difference(expected, parcours.ask(sql))
    except answers.Refused as refused:
        sentence = answers.pattern(str(refused))
        refusals[sentence] += 1
        return None if allowed.allows(sentence, False) else f"REFUSED: {refused}"
    except answers.Fault as fault:
        return f"FAULT: {fault}"
    return said and f"WRONG: {said}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("refused")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("connect", nargs="+")
    main(parser.parse_args())

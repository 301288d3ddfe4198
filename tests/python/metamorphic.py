"""Answers that must agree with each other, whatever is right: random conditions over columns with NULLs.

    metamorphic.py SOURCE REFUSED REPLANS SEED FIRST COUNT CONNECT…

SOURCE is the folder of corner.py, REFUSED a list of sentences that may be answered (answers.py says its form), REPLANS
what share of the conditions may be planned anew, in percent, each CONNECT a connect.json of a person who sees one
corner dataset; the statements take them in turn. Of those that SEED makes, numbers FIRST to FIRST + COUNT are asked.
Each makes a condition of every operator and function and looks at it three ways:

    parts     the rows for which it holds, does not hold and is unknown are together all rows, and none twice
    counted   as many rows are kept by it as have it true, when it is computed for all of them, or as are counted behind it
    duckdb    DuckDB keeps as many

A statement that fails is made smaller as long as it fails, and printed with the number that makes it.
"""

import collections
import pathlib
import random
import sys

import duckdb

import answers
import corner


class Conditions:
    """Makes conditions over the columns of `t`, or of `t` and `u`, with a depth. Every part stands in parentheses."""

    def __init__(self, random, both):
        self.random, self.both = random, both

    def one(self, *choices):
        chosen = self.random.choice(choices)
        return chosen() if callable(chosen) else chosen

    def column(self, *names):
        """A column of t, or of u where it is there and has it."""
        name = self.one(*names)
        return f"u.{name}" if self.both and name in "kgxycd" and self.random.random() < 0.4 else f"t.{name}"

    def whole(self, depth):
        if depth <= 0:
            return self.one(
                lambda: self.column("x", "g", "k"),
                lambda: self.column("x", "g", "k"),
                lambda: str(self.random.randint(-12, 60)),
            )
        less = depth - 1
        return self.one(
            lambda: self.whole(0),
            lambda: f"({self.whole(less)} {self.one('+', '-')} {self.whole(less)})",
            lambda: f"({self.whole(0)} * {self.whole(0)})",
            lambda: f"(-{self.whole(less)})".replace("--", "- -"),
            lambda: f"({self.whole(less)} / {self.one('2', '7', 'nullif(t.g, 0)')})",
            lambda: f"({self.whole(less)} % {self.one('3', '5', 'nullif(t.g, 0)')})",
            lambda: f"abs({self.whole(less)})",
            lambda: f"coalesce({self.whole(less)}, {self.whole(0)})",
            lambda: f"nullif({self.whole(less)}, {self.whole(0)})",
            lambda: f"(CASE WHEN {self.truth(less)} THEN {self.whole(less)} ELSE {self.whole(0)} END)",
            lambda: f"(CASE WHEN {self.truth(less)} THEN {self.whole(less)} END)",
            lambda: f"greatest({self.whole(less)}, {self.whole(0)})",
            lambda: f"least({self.whole(less)}, {self.whole(0)})",
            lambda: f"CAST(length({self.text(less)}) AS INTEGER)",
            lambda: f"CAST(extract({self.one('year', 'month', 'day')} FROM {self.day(less)}) AS INTEGER)",
            lambda: f"CAST({self.column('i8', 'i16')} AS INTEGER)" if not self.both else self.whole(0),
        )

    def fraction(self, depth):
        if depth <= 0:
            return self.one(lambda: self.column("y"), "t.m", "2.5", "0.0", "t.f")
        less = depth - 1
        return self.one(
            lambda: self.fraction(0),
            lambda: f"coalesce({self.fraction(0)}, {self.fraction(0)})",
            lambda: f"abs({self.column('y')})",
            lambda: f"({self.column('y')} + {self.whole(less)})",
            lambda: f"({self.column('y')} * 0.5)",
            lambda: f"floor({self.column('y')})",
            lambda: f"CAST({self.whole(less)} AS DOUBLE)",
            lambda: f"(t.m + {self.whole(0)})",
        )

    def text(self, depth):
        if depth <= 0:
            return self.one(lambda: self.column("c"), "t.s", "t.s", "'a'", "''", "'B2'")
        less = depth - 1
        return self.one(
            lambda: self.text(0),
            lambda: f"({self.text(less)} || {self.text(0)})",
            lambda: f"{self.one('upper', 'lower', 'trim')}({self.text(less)})",
            lambda: f"substr({self.text(less)}, {self.one('1', '2')}, {self.one('1', '2')})",
            lambda: f"coalesce({self.text(less)}, {self.text(0)})",
            lambda: f"nullif({self.text(less)}, {self.text(0)})",
            lambda: f"replace({self.text(less)}, 'a', 'é')",
            lambda: f"CAST({self.whole(0)} AS VARCHAR)",
            lambda: f"concat({self.text(less)}, {self.text(0)})",
        )

    def day(self, depth):
        if depth <= 0:
            return self.one(
                lambda: self.column("d"),
                "t.d",
                "t.dd",
                f"DATE '202{self.random.randint(0, 3)}-0{self.random.randint(1, 9)}-11'",
            )
        less = depth - 1
        return self.one(
            lambda: self.day(0),
            lambda: f"coalesce({self.day(less)}, {self.day(0)})",
            lambda: f"({self.column('d')} {self.one('+', '-')} {self.whole(0)})",
            lambda: f"(CASE WHEN {self.truth(less)} THEN {self.day(0)} END)",
            lambda: "CAST(t.ts AS DATE)",
            lambda: f"CAST(({self.column('d')} + INTERVAL '{self.random.randint(1, 40)} days') AS DATE)",
        )

    def moment(self, _):
        return self.one(
            "t.ts", "t.tt", "TIMESTAMP '2021-06-15 12:00:00'", "CAST(t.d AS TIMESTAMP)", "coalesce(t.ts, t.tt)"
        )

    def pair(self, depth):
        """Two values of one kind, and a third."""
        make = self.one(
            *[
                lambda made=made: made
                for made in (self.whole, self.whole, self.fraction, self.text, self.day, self.moment)
            ]
        )
        return make(depth), make(depth), make(0)

    def truth(self, depth):
        if depth <= 0:
            one, other, _ = self.pair(0)
            return self.one("t.z", f"({one} {self.comparison()} {other})", f"({one} IS {self.one('', 'NOT ')}NULL)")
        less = depth - 1
        one, other, third = self.pair(less)
        return self.one(
            lambda: f"({self.truth(less)} AND {self.truth(less)})",
            lambda: f"({self.truth(less)} OR {self.truth(less)})",
            lambda: f"(NOT {self.truth(less)})",
            lambda: f"({one} {self.comparison()} {other})",
            lambda: f"({one} {self.comparison()} {other})",
            lambda: f"({one} {self.one('', 'NOT ')}BETWEEN {other} AND {third})",
            lambda: f"({one} {self.one('', 'NOT ')}IN ({other}, {third}{self.one('', ', NULL')}))",
            lambda: f"({self.text(less)} {self.one('', 'NOT ')}LIKE {self.one('', '')}{self.pattern()})",
            lambda: f"({one} IS {self.one('', 'NOT ')}DISTINCT FROM {other})",
            lambda: f"({self.truth(less)} IS {self.one('', 'NOT ')}{self.one('TRUE', 'FALSE', 'NULL')})",
            lambda: f"(CASE WHEN {self.truth(less)} THEN {self.truth(0)} ELSE {self.one('NULL', self.truth(0))} END)",
            lambda: f"coalesce({self.truth(less)}, {self.one('true', 'false', self.truth(0))})",
            lambda: f"({self.truth(less)} {self.one('=', '<>')} {self.truth(0)})",
            lambda: f"({self.whole(less)} {self.one('', 'NOT ')}IN ({self.within()}))",
            lambda: f"({self.one('', 'NOT ')}EXISTS (SELECT 1 FROM a AS i WHERE i.p = t.p{self.further()}))",
            lambda: f"({self.whole(0)} {self.comparison()} (SELECT {self.one('max(k)', 'min(k)', 'count(*)')} FROM r))",
        )

    def within(self):
        """A subquery of whole numbers: with NULL and without, and of no row."""
        table = self.one(
            "(SELECT k, k AS x FROM r) AS q", "(SELECT k, x FROM u WHERE x > 30) AS q", "(SELECT k, x FROM e) AS q"
        )
        return f"SELECT {self.one('k', 'x', 'k + 1')} FROM {table}{self.one('', ' WHERE k IS NOT NULL')}"

    def further(self):
        return self.one("", " AND i.v < t.x", " AND i.k = t.k")

    def comparison(self):
        return self.one("=", "<>", "<", "<=", ">", ">=")

    def pattern(self):
        return self.one("'A%'", "'%a%'", "'_'", "''", "'%'", "'a!%%' ESCAPE '!'", "NULL", "'é%'", "'_2'")


# What is asked for: rows that are told apart by what is shown.
SOURCES = {
    "t": ("t", "t.id", False),
    "filtered": ("(SELECT * FROM t WHERE k IS NULL OR k > 5) AS t", "t.id", False),
    "join": ("t JOIN u ON t.p = u.p", "t.id, u.id AS other", True),
    "left join": ("t LEFT JOIN u ON t.p = u.p AND u.x > 0", "t.id, u.id AS other", True),
    "left join by key": (
        "(SELECT * FROM t WHERE id < 600) AS t LEFT JOIN u ON t.k = u.k AND t.g = u.g",
        "t.id, u.id AS other",
        True,
    ),
    "full join": ("t FULL JOIN (SELECT * FROM u WHERE x > 0) AS u ON t.p = u.p", "t.id, u.id AS other", True),
    "unequal": (
        "(SELECT * FROM t WHERE id < 300) AS t LEFT JOIN (SELECT * FROM u WHERE id < 60) AS u ON t.x < u.x",
        "t.id, u.id AS other",
        True,
    ),
    "nothing": (
        "t JOIN (SELECT id, k, g, x, y, c, p, DATE '2020-01-01' AS d FROM e) AS u ON t.p = u.p",
        "t.id, u.id AS other",
        True,
    ),
}


ROWS = {}


def every_row(parcours, source, ask):
    """The rows of a source without a condition, which are asked for once of each connection."""
    key = (parcours.file, source)
    if key not in ROWS:
        ROWS[key] = ask()
    return ROWS[key]


class Check:
    """One condition over one source, and what is wrong with how it is answered."""

    def __init__(self, seed, number):
        self.number = number
        chance = random.Random(f"{seed}/{number}")
        self.name = chance.choice(list(SOURCES))
        self.source, self.shown, both = SOURCES[self.name]
        self.condition = Conditions(chance, both).truth(chance.randint(1, 4))
        self.way = chance.randrange(3)

    def wrong(self, parcours, duck, condition):
        """The kind of fault and what there is to say, or None. Refusals come as an exception; `asked` says of what."""

        def ask(sql):
            self.asked = sql
            return parcours.ask(sql).rows

        every = every_row(parcours, self.name, lambda: ask(f"SELECT {self.shown} FROM {self.source}"))
        three = (condition, f"NOT ({condition})", f"({condition}) IS NULL")
        parts = [ask(f"SELECT {self.shown} FROM {self.source} WHERE {part}") for part in three]
        together = [row for part in parts for row in part]
        if collections.Counter(together) != collections.Counter(every):
            return "parts", f"{' + '.join(str(len(part)) for part in parts)} rows of {len(every)}"
        kept = len(parts[0])
        counts = [
            f"SELECT sum(CASE WHEN {condition} THEN 1 ELSE 0 END) AS v FROM {self.source}",
            f"SELECT count(*) FILTER (WHERE v) AS v FROM (SELECT {condition} AS v FROM {self.source}) AS s",
            f"SELECT count(*) AS v FROM {self.source} WHERE {condition}",
        ]
        counted = ask(counts[self.way])[0][0] or 0
        if counted != kept:
            return "counted", f"{kept} rows are kept, {counted} are counted"
        try:
            theirs = duck.execute(f"SELECT count(*) FROM {self.source} WHERE {condition}").fetchone()[0]
        except duckdb.Error:
            return None
        return ("duckdb", f"{kept} rows are kept, {theirs} by DuckDB") if theirs != kept else None

    def smaller(self, parcours, duck, kind):
        def fails(condition):
            try:
                said = self.wrong(parcours, duck, condition)
            except (answers.Refused, answers.Fault):
                return False
            return bool(said) and said[0] == kind

        return answers.shrunk(self.condition, fails)


def main(source, refused, replans, seed, first, count, *connects):
    duck, allowed = corner.connect(source), answers.Allowed(refused)
    print(f"seed {seed}")
    opened = [answers.Parcours(connect) for connect in connects]
    agreed, failures, sentences, replanned = 0, 0, collections.Counter(), []

    def failed(said):
        nonlocal failures
        failures += 1
        print(f"{where}\n{said}\n", file=sys.stderr, flush=True)

    for number in range(int(first), int(first) + int(count)):
        check, parcours = Check(seed, number), opened[number % len(opened)]
        where = f"number {number}, {parcours.file.stem}, over {check.name}: {check.source}"
        try:
            said, times = parcours.replans(lambda: check.wrong(parcours, duck, check.condition))
        except answers.Refused as sentence:
            sentences[answers.pattern(str(sentence))] += 1
            if not allowed.allows(answers.pattern(str(sentence)), False):
                failed(f"{check.asked}\n  REFUSED: {sentence}")
            continue
        except answers.Fault as fault:
            failed(f"{check.asked}\n  FAULT: {fault}")
            continue
        if times:
            replanned.append(f"{where}: {check.condition}")
        if said:
            small = check.smaller(parcours, duck, said[0])
            failed(f"{check.condition}\n  {said[0].upper()}: {said[1]}\n  smaller: {small}")
        else:
            agreed += 1
    for parcours in opened:
        parcours.close()
    for sentence, times in sentences.most_common():
        print(f"{times:7} refused: {sentence}")
    print(
        f"{agreed} of {count} conditions from {first} on are answered alike each way,"
        f" {sum(sentences.values())} refused, {len(replanned)} planned anew"
    )
    if len(replanned) > answers.most_replans(int(count), int(replans)):
        failed("\n".join(["REPLANNED", *replanned]))
    if failures:
        sys.exit(f"seed {seed}: {failures} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])

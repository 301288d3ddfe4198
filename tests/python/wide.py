"""Random statements as wide as the SQL surface, over the corner dataset: answered as DuckDB answers, values and types.

    wide.py SOURCE REFUSED SEED FIRST COUNT CONNECT… [--open FILE] [--coverage FILE] [--threads N]

SOURCE is the folder of corner.py, REFUSED a list of sentences that may be answered (answers.py says its form), each
CONNECT a connect.json of a person who sees one corner dataset; the statements take them in turn. Of those that SEED
makes, numbers FIRST to FIRST + COUNT are asked; each is the same on every machine. What may be written in an
expression is in forms.py, read from the tables of the surface; draw.py has the clauses around it. Each statement has
two features (clauses, functions or operators) that its number decides, so that all pairs of them are met in turn, and
others by chance.

DuckDB is asked what it calls by other names or does otherwise by its own words (forms.py). It has the tables twice, in
different orders of rows, and once without its optimizer: where it does not agree with itself, the statement does not say
its answer or DuckDB is wrong, and nothing is concluded. Statements that DuckDB refuses for a value (an overflow, a text
that is no number) are counted, too.

A statement that fails is made smaller, part by part, as long as it fails in the same way. OPEN lists failures that are
known: a kind of failure, a regular expression and what is missing, with tabs between; they are counted where the
expression is found in the answer or the statement. FILE gets a table of the features that were met together. Fails if
anything else failed.
"""

import argparse
import collections
import concurrent.futures
import itertools
import pathlib
import re
import sys
import threading
import time

import duckdb

import answers
import corner
import draw
import forms

# How often a statement is drawn for both features.
ATTEMPTS = 8

# Characters of a line that tells an answer.
WIDEST = 300


class Statement:
    """A statement as a tree, and as either engine reads it."""

    def __init__(self, tree, numbered):
        self.tree, self.numbered = tree, numbered
        self.ours, self.theirs = draw.Written(tree, False, numbered), draw.Written(tree, True)

    @classmethod
    def of(cls, all_forms, seed, number):
        """The statement of a number: the first draw that has both features, or the one that has most."""
        best, best_left = None, None
        for attempt in range(ATTEMPTS):
            drawn = draw.Draw(all_forms, seed, number, attempt)
            tree = drawn.statement()
            left = len(set(draw.pair_of(all_forms.features, seed, number)) - features(tree))
            if best is None or left < best_left:
                best, best_left = tree, left
            if left == 0:
                break
        return cls(best, number % 2 == 0)

    def sql(self):
        return self.ours.text

    def features(self):
        return features(self.tree)

    def ordered(self):
        """Whether the statement itself is in an order, and not a part of it."""
        query = self.tree.parts[1] if self.tree.kind == "statement" else self.tree
        while query.kind in ("query", "ordered query") and query.text == "#0#1":
            if query.parts[1].kind == "order by":
                return True
            query = query.parts[0]
        return query.kind == "query" and bool(query.parts) and query.parts[-1].kind == "order by"

    def shown(self):
        bound = "".join(f"\n  bound: {value}" for value in self.ours.bound)
        theirs = "" if self.ours.text == self.theirs.text else f"\n  for DuckDB: {self.theirs.text}"
        return f"{self.ours.text}{bound}{theirs}"


def features(tree):
    return {node.feature for node in tree.every() if node.feature}


# Made smaller


def smaller(tree):
    """Trees with one part less: the whole gives way to a query in it, a part to one of its kind or a constant."""
    for node in tree.every():
        if node.kind == "query" and node is not tree:
            yield draw.Node("statement", "#0#1", None, [draw.NOTHING, node])
    yield from changed(tree)


def changed(node):
    """A node in every way in which it can be less, and with each of its parts less."""
    if node.kind == "frozen":
        return
    if node.optional:
        yield draw.NOTHING
    if node.joint is not None and len(node.parts) > node.least:
        for at in range(len(node.parts)):
            yield node.with_parts(node.parts[:at] + node.parts[at + 1 :])
    if node.kind in forms.WITHIN or node.kind in ("source", "query"):
        for inner in node.every():
            if inner is not node and (inner.kind == node.kind or inner.kind in forms.WITHIN.get(node.kind, [])):
                yield inner
    if node.kind in LEAST and node.parts:
        yield draw.Node(node.kind, LEAST[node.kind])
    for at, part in enumerate(node.parts):
        for less in changed(part):
            yield node.with_parts([*node.parts[:at], less, *node.parts[at + 1 :]])


LEAST = {
    "few": "1", "int": "1", "big": "1", "dbl": "CAST(1 AS DOUBLE)", "text": "'a'", "code": "'A1'", "bool": "true",
    "day": "DATE '2020-01-01'", "moment": "TIMESTAMP '2020-01-01 00:00:00'", "ints": "[1]",
}  # fmt: skip


def shrunk(statement, fails, seconds):
    """A smaller statement that fails in the same way, found greedily within a time."""
    tried, end = {statement.sql()}, time.monotonic() + seconds
    while True:
        candidates = sorted(smaller(statement.tree), key=draw.Node.size)
        for tree in candidates:
            candidate = Statement(tree, statement.numbered)
            if candidate.sql() in tried:
                continue
            tried.add(candidate.sql())
            if time.monotonic() > end:
                return statement
            if fails(candidate):
                statement = candidate
                break
        else:
            return statement


# Asked

# What DuckDB says of a value, not of the statement.
OF_VALUES = (duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.InvalidInputException)


class Undecided(Exception):
    """The statement does not say its answer, or DuckDB has none."""


class Oracle:
    """DuckDB over the tables, and over the same in another order of rows and without its optimizer."""

    def __init__(self, source):
        self.first, self.second = corner.connect(source), corner.connect(source)
        for table, columns in draw.TABLES.items():
            keys = ", ".join(columns)
            self.second.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {table} ORDER BY hash({keys}, 7)")

    def cursors(self):
        found = Oracle.__new__(Oracle)
        found.first, found.second = self.first.cursor(), self.second.cursor()
        for duck in (found.first, found.second):
            duck.execute("SET TimeZone = 'UTC'")
            duck.execute("SET integer_division = true")
            duck.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        found.second.execute("PRAGMA disable_optimizer")
        return found

    def answer(self, statement, duck=None):
        _, parameters = answers.arrow_parameters(statement.theirs.bound)
        try:
            return answers.of_duckdb(duck or self.first, statement.theirs.text, parameters or None)
        except OF_VALUES as error:
            raise Undecided(f"value: {str(error).splitlines()[0][:100]}") from None
        except duckdb.Error as error:
            raise Undecided(f"statement: {answers.pattern(str(error).splitlines()[0][:160])}") from None

    def agrees(self, statement, expected):
        """Whether rows in another order, and the plan as it is written, give the same answer."""
        other = self.answer(statement, self.second)
        return compared(expected, other, statement) is None


def compared(expected, got, statement):
    """What tells two answers apart. Floats that come of rounding are zero where they are next to it."""
    near = [snapped(answer) for answer in (expected, got)]
    return answers.difference(*near, ordered=statement.ordered(), share=1e-9)


def snapped(answer):
    zero = lambda value: 0.0 if isinstance(value, float) and abs(value) < 1e-9 else value
    return answer._replace(rows=[tuple(map(zero, row)) for row in answer.rows])


class Verdict(Exception):
    """What is wrong: a kind of fault, and what there is to say."""

    def __init__(self, kind, said):
        super().__init__(said)
        self.kind, self.said = kind, said

    def alike(self, other):
        """Whether two failures are of one kind: types that differ in the same way, or one sentence."""
        if other is None or self.kind != other.kind:
            return False
        return self.kind == "WRONG" or answers.pattern(self.said.splitlines()[0]) == answers.pattern(
            other.said.splitlines()[0]
        )


class Checker:
    """One connection to Parcours and one to DuckDB."""

    def __init__(self, connect, oracle, allowed):
        self.parcours, self.oracle, self.allowed = answers.Parcours(connect), oracle.cursors(), allowed

    def check(self, statement):
        """What is wrong, as a Verdict, or None. Undecided comes as an exception, a refusal that may be as a text."""
        batch = answers.arrow_parameters(statement.ours.bound)[0] if statement.ours.bound else None
        expected = self.oracle.answer(statement)
        try:
            got = self.parcours.ask(statement.ours.text, batch)
        except answers.Refused as refused:
            sentence = self.behind(statement, str(refused))
            return sentence if self.allowed.allows(answers.pattern(sentence), False) else Verdict("REFUSED", sentence)
        except answers.Fault as fault:
            return Verdict("FAULT", str(fault))
        said = compared(expected, got, statement)
        if said is None:
            return None
        if not self.oracle.agrees(statement, expected):
            raise Undecided("order: the statement leaves a choice")
        return Verdict("TYPE" if "is of the type" in said else "WRONG", said)

    def behind(self, statement, sentence):
        """The sentence that the driver keeps to itself where what it prepares with parameters is not supported."""
        if "IngestTargetTable" not in sentence and "must call Prepare" not in sentence:
            return sentence
        try:
            with self.parcours.connection.cursor() as cursor:
                cursor.adbc_statement.set_sql_query(statement.ours.text)
                cursor.adbc_statement.prepare()
        except Exception as error:
            return str(answers.understood(error))
        return sentence

    def smaller(self, statement, verdict, seconds):
        def fails(candidate):
            try:
                found = self.check(candidate)
            except Undecided:
                return False
            return isinstance(found, Verdict) and verdict.alike(found)

        small = shrunk(statement, fails, seconds)
        try:
            found = self.check(small)
        except Undecided:
            found = None
        return (small, found) if isinstance(found, Verdict) else (statement, verdict)


class Coverage:
    """Which features were met in one statement."""

    def __init__(self, all_forms):
        self.forms, self.pairs, self.single = all_forms, collections.Counter(), collections.Counter()

    def add(self, met):
        met = sorted(met)
        self.single.update(met)
        self.pairs.update(itertools.combinations(met, 2))

    def total(self):
        count = len(self.forms.features)
        return count * (count - 1) // 2

    def said(self):
        return f"{len(self.pairs)} of {self.total()} pairs of {len(self.forms.features)} features were met"

    def met(self, one, other):
        return self.single[one] if one == other else self.pairs[min(one, other), max(one, other)]

    def table(self, names, columns):
        head = "| | " + " | ".join(f"{at + 1}" for at in range(len(columns))) + " |"
        rule = "|---" * (len(columns) + 1) + "|"
        rows = [
            f"| {escaped(name)} | " + " | ".join(str(self.met(name, column)) for column in columns) + " |"
            for name in names
        ]
        return [head, rule, *rows]

    def write(self, file, seed, asked):
        """The table: clauses with clauses, then each group of functions with the clauses."""
        clauses = self.forms.clauses
        lines = ["# Features met in one statement", "", f"Seed {seed}, {asked} statements: {self.said()}.", ""]
        lines += [f"{at + 1}. {escaped(name)}" for at, name in enumerate(clauses)]
        lines += ["", "## Clauses with clauses", "", *self.table(clauses, clauses)]
        groups = collections.defaultdict(list)
        for name in self.forms.features:
            if name not in clauses:
                groups[self.forms.groups[name]].append(name)
        for group, names in groups.items():
            lines += ["", f"## {group} with clauses", "", *self.table(names, clauses)]
        never = [name for name in self.forms.features if not self.single[name]]
        lines += ["", f"Never met: {', '.join(map(escaped, never)) or 'none'}.", ""]
        pathlib.Path(file).write_text("\n".join(lines))


def escaped(name):
    return name.replace("|", r"\|").replace("*", r"\*").replace("<", r"\<")


class Open:
    """Failures that are known: lines of a kind, a regular expression and what is missing, with tabs between.

    The expression is searched in what Parcours answered, and once the statement is small in the statement as well, so
    that nothing that merely stands in it is taken for the cause.
    """

    def __init__(self, file):
        lines = pathlib.Path(file).read_text().splitlines() if file else []
        fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
        self.lines = [(kind, re.compile(pattern, re.S), missing) for kind, pattern, missing in fields]

    def missing(self, verdict, small=None):
        """What is missing where a failure is known, or None."""
        text = f"{verdict.said}\n{small.sql()}" if small else verdict.said
        fits = (missing for kind, pattern, missing in self.lines if kind == verdict.kind and pattern.search(text))
        return next(fits, None)


class Run:
    """The statements of a run, and what came of them."""

    def __init__(self, arguments):
        self.arguments, self.forms = arguments, forms.Forms()
        self.oracle, self.allowed = Oracle(arguments.source), answers.Allowed(arguments.refused)
        self.open, self.coverage = Open(arguments.open), Coverage(self.forms)
        self.counts, self.refusals, self.undecided = collections.Counter(), collections.Counter(), collections.Counter()
        self.known = collections.Counter()
        self.lock, self.local, self.missed = threading.Lock(), threading.local(), 0
        self.rows = 0

    def checker(self, number):
        """This thread's connections, the one whose turn it is."""
        if not hasattr(self.local, "checkers"):
            self.local.checkers = [Checker(connect, self.oracle, self.allowed) for connect in self.arguments.connect]
        return self.local.checkers[number % len(self.local.checkers)]

    def ask(self, number):
        statement = Statement.of(self.forms, self.arguments.seed, number)
        checker = self.checker(number)
        try:
            found = checker.check(statement)
        except Undecided as undecided:
            with self.lock:
                kind = str(undecided).split(":")[0]
                self.counts[f"undecided ({kind})"] += 1
                self.undecided[str(undecided)] += 1
            if kind == "statement" and self.arguments.verbose:
                print(f"number {number}: {undecided}\n{statement.theirs.text}\n", file=sys.stderr)
            return
        with self.lock:
            self.coverage.add(statement.features())
            self.missed += (
                not set(draw.pair_of(self.forms.features, self.arguments.seed, number)) <= statement.features()
            )
        if found is None:
            with self.lock:
                self.counts["answered alike"] += 1
        elif isinstance(found, str):
            with self.lock:
                self.counts["refused"] += 1
                self.refusals[answers.pattern(found)] += 1
        else:
            self.failed(number, checker, statement, found)

    def failed(self, number, checker, statement, verdict):
        missing, small = self.open.missing(verdict), statement
        if not missing:
            small, verdict = checker.smaller(statement, verdict, self.arguments.seconds)
            missing = self.open.missing(verdict, small)
        with self.lock:
            if missing:
                self.counts["open"] += 1
                self.known[missing] += 1
                return
            self.counts[verdict.kind] += 1
            whole = f"\n  whole: {statement.sql()}" if self.arguments.verbose else ""
            told = "\n".join(line[:WIDEST] for line in verdict.said.splitlines())
            said = f"{verdict.kind}: {told}\n  smaller: {small.shown()}{whole}"
            print(f"number {number}, {checker.parcours.file.stem}\n  {said}\n", file=sys.stderr, flush=True)

    def all(self):
        arguments = self.arguments
        numbers = range(arguments.first, arguments.first + arguments.count)
        with concurrent.futures.ThreadPoolExecutor(arguments.threads) as pool:
            for _ in pool.map(self.ask, numbers):
                pass

    def report(self, seconds):
        arguments = self.arguments
        said = ", ".join(f"{count} {name}" for name, count in self.counts.most_common())
        print(f"seed {arguments.seed}: {arguments.count} statements from {arguments.first} on: {said}")
        print(f"{arguments.count / seconds:.1f} statements a second; {self.coverage.said()}")
        for sentence, times in (self.refusals + self.undecided).most_common(40 if arguments.verbose else 8):
            print(f"{times:7} {sentence}")
        for missing, times in self.known.most_common():
            print(f"{times:7} open: {missing}")
        if self.missed:
            print(f"{self.missed} statements lack a feature that their number asks for")
        if arguments.coverage:
            self.coverage.write(arguments.coverage, arguments.seed, arguments.count)
        failures = sum(self.counts[kind] for kind in ("WRONG", "TYPE", "REFUSED", "FAULT"))
        if failures:
            sys.exit(f"seed {arguments.seed}: {failures} failed")


def main(arguments):
    run, start = Run(arguments), time.monotonic()
    run.all()
    run.report(time.monotonic() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("refused")
    parser.add_argument("seed")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("connect", nargs="+")
    parser.add_argument("--open")
    parser.add_argument("--coverage")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15, help="for making one failure smaller")
    parser.add_argument("--verbose", action="store_true")
    main(parser.parse_args())

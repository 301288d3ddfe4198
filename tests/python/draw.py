"""Statements drawn by chance over the tables of corner.py: every clause of the SQL surface around the expressions of
forms.py.

A statement is a tree of nodes, each with a text for Parcours and one for DuckDB. Draw makes one from a seed and a
number; the number decides two features that it has to have. A subquery knows the kinds of its columns, how many rows
it has, about, and a key that tells its rows apart: what takes some of the rows, or numbers them, does so in an order
that leaves no choice, since engines would choose differently.
"""

import collections
import itertools
import math
import random
import re

import forms

# What the columns of the tables hold; forms.py says the kinds.
TABLES = {
    "t": {
        "p": "int", "id": "int", "k": "few", "g": "few", "x": "few", "y": "dbl", "c": "word", "f": "flt", "m": "dec",
        "n": "num", "big": "big", "i8": "big", "i16": "big", "s": "text", "z": "bool", "d": "day", "dd": "date",
        "ts": "moment", "tt": "stamp",
    },
    "u": {"p": "int", "id": "int", "k": "few", "g": "few", "x": "few", "y": "dbl", "c": "word", "d": "day"},
    "a": {"p": "int", "k": "few", "v": "few"},
    "b": {"p": "int", "k": "few", "w": "few"},
    "r": {"p": "int", "k": "few", "q": "dbl"},
    "e": {"p": "int", "id": "int", "k": "few", "g": "few", "x": "few", "y": "dbl", "c": "word"},
    "ref": {"k": "few", "name": "code", "h": "few"},
}  # fmt: skip
ROWS = {"t": 2000, "u": 1500, "a": 240, "b": 300, "r": 30, "e": 0, "ref": 60}

# Kinds that an ORDER BY can put in a total order that engines share.
ORDERED = set(forms.VALUES) | {"few", "word"}

# Kinds that are compared, grouped and joined to the last bit.
EXACT = forms.VALUES

# A list cannot be bound: the sentence that refuses it says to bind each value.
PARAMETERS = {
    "int": ("integer", "int64", ["7", "0", "-3", "NULL"]),
    "few": ("integer", "int32", ["7", "0", "-3", "40", "NULL"]),
    "big": ("integer", "int64", ["9223372036854775807", "-1", "NULL"]),
    "dbl": ("double", "double", ["2.5", "0", "-0.25", "NULL"]),
    "dec": ("decimal", "decimal", ["10.25", "-3.00", "NULL"]),
    "word": ("text", "text", ["B2", "A1", "NULL"]),
    "code": ("text", "text", ["B2", "A%", "NULL"]),
    "text": ("text", "text", ["a", "é", "it's", "NULL"]),
    "day": ("date", "date", ["2020-02-29", "2021-06-15", "NULL"]),
    "date": ("date", "date", ["1582-10-15", "2021-06-15", "NULL"]),
    "moment": ("timestamp", "timestamp", ["2020-02-29 12:00:00", "2022-01-01 00:00:00.000001", "NULL"]),
    "stamp": ("timestamp", "timestamp", ["1677-09-21 00:12:43.145224", "NULL"]),
    "bool": ("boolean", "truth", ["true", "false", "NULL"]),
}

GROUPINGS = ["GROUP BY", "GROUP BY ALL", "ROLLUP", "CUBE", "GROUPING SETS"]
STARS = ["SELECT *", "SELECT * EXCLUDE", "SELECT * REPLACE"]
JOINS = [
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "CROSS JOIN",
    "USING",
    "NATURAL JOIN",
    "SEMI JOIN",
    "ANTI JOIN",
]
JOINS += ["LATERAL", "UNNEST", "range in FROM", "generate_series in FROM"]
SETS = ["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]
NESTED = ["EXISTS", "ANY, ALL", "IN (SELECT)", "rows IN (SELECT)"]

PLACE = re.compile(r"#(\d+)")


class Node:
    """A part of a statement: a text for either engine, with `#0`, `#1` … where its own parts stand.

    `kind` says in place of what it may stand. With a joint it is a list of any number of parts, at least `least`. An
    optional part may be left out. A parameter has a type and a value.
    """

    def __init__(self, kind, text, duck=None, parts=(), feature=None, joint=None, optional=False, least=1, bound=None):
        self.kind, self.text, self.duck, self.parts, self.feature = kind, text, duck, list(parts), feature
        self.joint, self.optional, self.least, self.bound = joint, optional, least, bound

    def with_parts(self, parts):
        return Node(
            self.kind, self.text, self.duck, parts, self.feature, self.joint, self.optional, self.least, self.bound
        )

    def every(self):
        yield self
        for part in self.parts:
            yield from part.every()

    def size(self):
        return sum(1 for _ in self.every())


NOTHING = Node("nothing", "")


class Written:
    """The text of a statement for one engine, and its parameters in the order in which it wants them."""

    def __init__(self, node, duck, numbered=False):
        # DuckDB numbers bare question marks as it comes to them, which need not be in the order of the text.
        self.duck, self.numbered, self.bound, self.numbers = duck, numbered or duck, [], {}
        self.text = " ".join(self.write(node).split(" "))

    def write(self, node):
        if node.bound:
            return self.parameter(node)
        if node.joint is not None:
            return node.joint.join(filter(None, map(self.write, node.parts)))
        text = node.duck if self.duck and node.duck is not None else node.text
        return PLACE.sub(lambda place: self.write(node.parts[int(place[1])]), text)

    def parameter(self, node):
        text = node.duck if self.duck else node.text
        if not self.numbered or id(node) not in self.numbers:
            self.bound.append(node.bound)
            self.numbers[id(node)] = len(self.bound)
        return text.replace("?", f"${self.numbers[id(node)]}") if self.numbered else text


Column = collections.namedtuple("Column", "node kind")

Query = collections.namedtuple("Query", "node kinds names total rows exact")


class Scope:
    """The columns that an expression may name.

    `key` tells rows apart that differ. `grouped` is the scope below a GROUP BY, for the arguments of aggregates.
    `outer` has the columns outside a subquery. `sequence` is how the windows that count rows divide and order them.
    """

    def __init__(self, columns, key, rows, grouped=None, outer=()):
        self.columns, self.key, self.rows, self.grouped, self.outer = columns, key, rows, grouped, list(outer)
        self.sequence = None

    def tells_all_apart(self):
        """Whether no two rows are alike."""
        return self.grouped is not None or all(key.text.endswith(".id") for key in self.key)

    def leaves_choice(self):
        """Whether rows that are alike have values of windows that need not be."""
        return self.sequence is not None and not self.tells_all_apart()


# Where an expression stands: its scope, whether windows may be in it, with the list of named ones, and subqueries.
Place = collections.namedtuple("Place", "scope windows nested")


class Draw:
    """Makes one statement."""

    def __init__(self, all_forms, seed, number, attempt):
        self.forms = all_forms
        self.random = random.Random(f"{seed}/{number}/{attempt}")
        self.pending = set(pair_of(all_forms.features, seed, number))
        self.numbers = itertools.count(1)
        self.binds = any(name.startswith("parameter of") for name in self.pending) or self.random.random() < 0.3
        self.tables, self.ctes, self.lasting = [], [], False

    # What is chosen

    def one(self, *choices):
        return self.random.choice(choices)

    def maybe(self, chance):
        return self.random.random() < chance

    def takes(self, feature, chance):
        """Whether to write a feature: surely where the number asks for it, else by chance."""
        return feature in self.pending or self.maybe(chance)

    def which(self, features, chance=0):
        """One of several features that the number asks for, or by chance any, or None."""
        asked = [feature for feature in features if feature in self.pending]
        if asked:
            return self.one(*asked)
        return self.one(*features) if self.maybe(chance) else None

    def node(self, kind, text, duck=None, parts=(), feature=None, **more):
        self.pending.discard(feature)
        return Node(kind, text, duck, parts, feature, **more)

    def name(self, letter):
        return f"{letter}{next(self.numbers)}"

    # Values

    def literal(self, kind):
        if kind in forms.TYPES and self.maybe(0.04):
            return Node(kind, f"CAST(NULL AS {forms.TYPES[kind]})")
        day = f"{self.one(2019, 2020, 2021, 2023)}-{self.one('01-01', '02-28', '06-30', '12-31')}"
        match kind:
            case "few":
                return Node(kind, str(self.random.randint(-12, 60)))
            case "int":
                return Node(kind, str(self.one(0, 1, 7, 100, 5000)))
            case "big":
                return Node(kind, self.one("0", "-1", "9223372036854775807", "3037000500"))
            case "dbl" | "approx":
                # No tie: as a number of two digits it would be rounded away from zero, and as a double to even.
                value = self.one("0.75", "2.25", "0.0", "10.0", "3.75")
                return Node(kind, value, f"{value}::DOUBLE")
            case "flt":
                return Node(kind, f"CAST('{self.one('NaN', 'Infinity', '-0.0', '1e15')}' AS DOUBLE)")
            case "dec":
                return Node(kind, f"CAST('{self.one('0.00', '12.50', '-7.25')}' AS DECIMAL(12, 2))")
            case "num":
                return Node(kind, f"CAST('{self.one('1.0000000001', '123456789.5')}' AS DECIMAL(38, 10))")
            case "word" | "code":
                return Node(kind, self.one("'A1'", "'B2'", "'G4'"))
            case "text":
                return Node(kind, self.one("''", "'a'", "'é'", "'ab'", "'B2'", "'it''s'"))
            case "day":
                return Node(kind, f"DATE '{day}'")
            case "date":
                return Node(kind, f"DATE '{self.one('0001-01-01', '9999-12-31', '1970-01-01', '2020-02-29')}'")
            case "moment":
                return Node(kind, f"TIMESTAMP '{day} {self.one('00:00:00', '12:30:00', '23:59:59.999999')}'")
            case "stamp":
                return Node(kind, f"TIMESTAMP '{self.one('1677-09-21 00:12:43.145224', '1969-12-31 23:59:59')}'")
            case "bool":
                return Node(kind, self.one("true", "false"))
            case "span":
                return Node(kind, self.one("INTERVAL '1 day'", "INTERVAL '3 hours'", "INTERVAL '1 month'"))
            case "ints":
                return Node(kind, self.one("[1, 2, 3]", "[3, NULL, 1, 3]", "[0]"))
            case "codes":
                return Node(kind, self.one("['a', 'B2']", "['A1', NULL]"))

    def parameter(self, kind, bare=True):
        """A value that is bound, or None where there is none of the kind."""
        if not self.binds or kind not in PARAMETERS:
            return None
        name, typed, values = PARAMETERS[kind]
        cast = f"CAST(? AS {forms.TYPES[kind]})"
        feature = f"parameter of {name}"
        self.pending.discard(feature)
        # A bare parameter has the type of what stands beside it: of numbers that is a double in `round(?)` or `sign(?)`.
        said = self.one("?", cast) if bare and forms.TYPES[kind] in ("VARCHAR", "BOOLEAN") else cast
        return Node(kind, said, cast, feature=feature, bound=f"{typed} {self.one(*values)}")

    def constant(self, kind, bare=True):
        asked = self.binds and kind in PARAMETERS and f"parameter of {PARAMETERS[kind][0]}" in self.pending
        return (self.parameter(kind, bare) if asked or self.maybe(0.3) else None) or self.literal(kind)

    def leaf(self, kind, place):
        scope, within = place.scope, forms.WITHIN[kind]
        outer = [column for column in scope.outer if column.kind in within]
        columns = [column for column in scope.columns if column.kind in within]
        if outer and self.maybe(0.3):
            return self.one(*outer).node
        if columns and self.maybe(0.85):
            return self.one(*columns).node
        if scope.grouped and self.maybe(0.8) and self.forms.aggregates_by_kind[kind]:
            return self.aggregate(kind, 1, scope)
        if scope.columns and self.maybe(0.8):
            return self.bridge(kind, place)
        return self.constant(kind)

    def bridge(self, kind, place):
        """A function of a column that is of another kind, where there is none of this one."""
        there = {column.kind for column in place.scope.columns}
        fits = lambda form: any(there & set(forms.WITHIN.get(wanted, [])) for wanted in form.arguments)
        table = {name: list(filter(fits, those)) for name, those in self.forms.scalars_by_kind[kind].items()}
        table = {name: those for name, those in table.items() if those}
        if not table:
            return self.constant(kind)
        form = self.one(*table[self.one(*table)])
        parts = [self.near(wanted, place) for wanted in form.arguments]
        return self.node(kind, form.text, form.duck, parts, form.feature)

    def near(self, wanted, place):
        """A column or a constant."""
        columns = [column for column in place.scope.columns if column.kind in forms.WITHIN.get(wanted, [])]
        if columns:
            return self.one(*columns).node
        return self.argument(wanted, 0, place) if wanted.startswith("'") else self.constant(wanted)

    def value(self, kind, depth, place):
        """An expression of a kind, with features that the number asks for as soon as one fits."""
        found = self.asked(kind, depth, place)
        if found:
            return found
        if depth <= 0 or self.maybe(0.15):
            return self.leaf(kind, place)
        if place.windows is not None and self.maybe(0.15) and self.forms.windows_by_kind[kind]:
            return self.window(kind, depth - 1, place)
        if place.scope.grouped and self.maybe(0.3) and self.forms.aggregates_by_kind[kind]:
            return self.aggregate(kind, depth - 1, place.scope)
        if place.nested and self.maybe(0.08):
            found = self.subquery(kind, depth - 1, place)
            if found:
                return found
        return self.call(kind, self.forms.scalars_by_kind[kind], depth, place)

    def asked(self, kind, depth, place):
        """An expression with a feature that the number asks for, where one gives a value of the kind."""
        if not self.pending:
            return None
        for table, make in (
            (self.forms.scalars_by_kind, lambda found: self.call(kind, found, max(depth, 1), place)),
            (self.forms.aggregates_by_kind, lambda found: self.aggregate(kind, max(depth, 1), place.scope, found)),
            (self.forms.windows_by_kind, lambda found: self.window(kind, max(depth, 1), place, found)),
        ):
            if table is self.forms.aggregates_by_kind and not place.scope.grouped:
                continue
            if table is self.forms.windows_by_kind and place.windows is None:
                continue
            found = {name: those for name, those in table[kind].items() if name in self.pending and self.lasts(name)}
            if found:
                return make(found)
        if kind == "moment" and any(name in self.pending for name in self.forms.scalars_by_kind["span"]):
            later = self.value("span", 1, place)
            text = f"(#0 {self.one('+', '-')} #1)"
            return self.node(kind, text, None, [self.leaf(kind, place), later], "± INTERVAL")
        if place.nested and (
            kind == "bool" and self.which(NESTED[:-1]) or self.which(["scalar subquery", "correlated subquery"])
        ):
            return self.subquery(kind, depth, place)
        return None

    def call(self, kind, table, depth, place):
        """A function or an operator of a table, each as likely as any other."""
        form = self.one(*table[self.one(*filter(self.lasts, table))])
        self.pending.discard(form.feature)
        parts = [self.argument(wanted, depth - 1, place) for wanted in form.arguments]
        return self.node(kind, form.text, form.duck, parts, form.feature)

    def lasts(self, name):
        """Whether a function may stand here: what is read twice has to be the same twice."""
        return not (self.lasting and name in ("random", "uuid"))

    def argument(self, wanted, depth, place):
        if not wanted.startswith("'"):
            return self.value(wanted, depth, place)
        said = self.one(*forms.POOLS[wanted.strip("'")])
        return Node(wanted, *said) if isinstance(said, tuple) else Node(wanted, said)

    # Aggregates and windows

    def aggregate(self, kind, depth, scope, table=None):
        """An aggregate over the rows of each group, perhaps of some of them alone."""
        return self.aggregated(kind, depth, scope.grouped, table, NOTHING)

    def aggregated(self, kind, depth, below, table, over):
        table = table or self.forms.aggregates_by_kind[kind]
        form = self.one(*table[self.one(*table)])
        self.pending.discard(form.feature)
        place = Place(below, None, False)
        parts = [self.argument(wanted, min(depth, 2), place) for wanted in form.arguments]
        kept = self.filter(place) if self.takes("FILTER", 0.15) else NOTHING
        return self.node(kind, *self.ending(form, len(parts)), [*parts, kept, over, self.keys(below)], form.feature)

    def ending(self, form, count):
        """The texts of an aggregate with room for FILTER, OVER and an order of its rows."""
        for text in (form.text, form.duck):
            text = text if "#F" in text else f"{text}#F"
            yield text.replace("#F", f"#{count}#{count + 1}").replace("#K", f"#{count + 2}")

    def filter(self, place):
        condition = self.value("bool", 1, place)
        return self.node("filter", " FILTER (WHERE #0)", None, [condition], "FILTER", optional=True)

    def window(self, kind, depth, place, table=None):
        """A window function, or an aggregate over a window."""
        inner = Place(place.scope, None, False)
        aggregates = self.over_windows(kind)
        if not place.scope.grouped and table is None and aggregates and self.maybe(0.5):
            over = self.over(place, None, True)
            return self.aggregated(kind, depth, place.scope, aggregates, over)
        table = table or self.forms.windows_by_kind[kind]
        form = self.one(*table[self.one(*table)])
        self.pending.discard(form.feature)
        parts = [self.argument(wanted, min(depth, 1), inner) for wanted in form.arguments]
        at = len(parts)
        total, framed = "#K" in form.text, "#R" in form.text
        over = self.over(place, total, framed)
        texts = [re.sub(r" OVER \(.*\)$", f"#{at}", text) for text in (form.text, form.duck)]
        return self.node(kind, *texts, [*parts, over], form.feature)

    def over_windows(self, kind):
        """The aggregates that DuckDB, too, takes before OVER."""
        table = {name: those for name, those in self.forms.aggregates_by_kind[kind].items() if "_value of" not in name}
        # PostgreSQL takes none with an order of its own, and neither does Parcours.
        ordered = lambda form: "ORDER BY" in form.text or form.feature.startswith("percentile")
        table = {name: list(itertools.filterfalse(ordered, those)) for name, those in table.items()}
        return {name: those for name, those in table.items() if those}

    def over(self, place, total, framed):
        """A window; `total` says that its order may leave no rows equal, None that it is as the frame needs it."""
        self.pending.discard("OVER")
        frame = self.which(["ROWS", "RANGE", "GROUPS"], 0.4) if framed else None
        rows = bool(total or frame == "ROWS" or total is None and frame != "RANGE" and self.maybe(0.5))
        if frame == "RANGE" and total is None and self.maybe(0.6):
            parts = [self.partition(place.scope), *self.distance(place)]
        else:
            sequence = self.of_rows(place.scope) if rows else self.of_peers(place.scope)
            parts = [*sequence, self.frame(frame)]
        spec = Node("window", "#0#1#2", None, parts)
        if self.takes("WINDOW", 0.15):
            name = self.name("w")
            place.windows.append(Node("named window", f"{name} AS (#0)", None, [spec]))
            return self.node("over", f" OVER {name}", None, [], "OVER")
        return self.node("over", " OVER (#0)", None, [spec], "OVER")

    def of_rows(self, scope):
        """How a window divides and orders rows that it counts. Of rows that are alike each window would choose an order of
        its own, so that they have one together."""
        if scope.sequence is None or scope.tells_all_apart():
            scope.sequence = frozen(self.partition(scope)), frozen(self.ordered(scope, True))
        return scope.sequence

    def of_peers(self, scope):
        return self.partition(scope), self.ordered(scope, False)

    def ordered(self, scope, total):
        return Node("order", "ORDER BY #0", None, [self.order(scope, total)])

    def partition(self, scope):
        plain = Place(scope, None, False)
        if not self.maybe(0.6):
            return NOTHING
        keys = [self.leaf(self.one("few", "code", "bool", "day", "int"), plain) for _ in range(self.one(1, 1, 2))]
        return Node("partition", "PARTITION BY #0 ", None, [Node("list", None, None, keys, joint=", ")], optional=True)

    def frame(self, frame):
        """A frame of a kind, or none."""
        if frame is None:
            return NOTHING
        if frame == "RANGE":
            ends = [("UNBOUNDED PRECEDING", "CURRENT ROW"), ("CURRENT ROW", "UNBOUNDED FOLLOWING")]
            ends += [("UNBOUNDED PRECEDING", "UNBOUNDED FOLLOWING"), ("CURRENT ROW", "CURRENT ROW")]
        else:
            ends = [
                ("2 PRECEDING", "CURRENT ROW"),
                ("1 PRECEDING", "1 FOLLOWING"),
                ("UNBOUNDED PRECEDING", "CURRENT ROW"),
            ]
            ends += [
                ("1 FOLLOWING", "3 FOLLOWING"),
                ("3 PRECEDING", "1 PRECEDING"),
                ("CURRENT ROW", "UNBOUNDED FOLLOWING"),
            ]
        start, end = self.one(*ends)
        return self.node("frame", f" {frame} BETWEEN {start} AND {end}", None, [], frame, optional=True)

    def distance(self, place):
        """A frame of the rows whose value lies near."""
        kind = self.one("few", "dbl", "day", "moment")
        key = self.leaf(kind, Place(place.scope, None, False))
        near = {
            "few": ["3", "10"],
            "dbl": ["0.5", "2.0"],
            "day": ["INTERVAL '30 days'", "INTERVAL '3 months'"],
            "moment": ["INTERVAL '30 days'", "INTERVAL '36 hours'"],
        }[kind]
        text = (
            f" RANGE BETWEEN {self.one(*near)} PRECEDING AND {self.one('CURRENT ROW', self.one(*near) + ' FOLLOWING')}"
        )
        ordered = Node("order", f"ORDER BY #0{self.one('', '', ' DESC')}", None, [key])
        return ordered, self.node("frame", text, None, [], "RANGE", optional=True)

    def keys(self, scope):
        """An order that leaves no two rows equal that differ."""
        keys = [Node("key", f"#0{self.one('', ' DESC')}", None, [key]) for key in scope.key]
        return frozen(Node("list", None, None, keys, joint=", "))

    def order(self, scope, total):
        """Some expressions to order by, with all of the key behind them where it has to be total."""
        place = Place(scope, None, False)
        kinds = [
            self.one("few", "code", "dbl", "day", "text", "flt", "bool", "dec") for _ in range(self.one(0, 1, 1, 2))
        ]
        found = [
            self.sorted(value) for value in (self.value(kind, self.one(0, 1), place) for kind in kinds) if varies(value)
        ]
        if total or not found:
            found += [self.sorted(key) for key in scope.key]
        return Node("list", None, None, found, joint=", ")

    def sorted(self, value):
        nulls = self.one(" NULLS FIRST", " NULLS LAST") if self.takes("NULLS FIRST, NULLS LAST", 0.2) else ""
        feature = "NULLS FIRST, NULLS LAST" if nulls else None
        return self.node("key", f"#0{self.one('', ' ASC', ' DESC')}{nulls}", None, [value], feature)

    # Subqueries as values

    def subquery(self, kind, depth, place):
        """A subquery as a value of a kind, or None where no column outside fits."""
        if kind == "bool":
            nested = self.which(NESTED[:-1], 0.8)
            if nested:
                return self.condition(nested, depth, place)
        if kind in ("span",):
            return None
        related = "correlated subquery" in self.pending or "scalar subquery" not in self.pending and self.maybe(0.5)
        inner = self.inner(place, related)
        scope = inner.scope
        over = Scope([], [], 1, grouped=scope)
        if not self.forms.aggregates_by_kind[kind]:
            return None
        value = self.aggregate(kind, min(depth, 1), over)
        feature = "correlated subquery" if inner.related else "scalar subquery"
        return self.node(kind, "(SELECT #0 FROM #1#2)", None, [value, inner.source, inner.where], feature)

    def condition(self, nested, depth, place):
        """A condition on a subquery, which the planner may read twice: nothing drawn by chance belongs in it."""
        lasting, self.lasting = self.lasting, True
        found = self.lasting_condition(nested, depth, place)
        self.lasting = lasting
        return found

    def lasting_condition(self, nested, depth, place):
        inner = self.inner(place, self.maybe(0.4))
        within = Place(inner.scope, None, False)
        kind = self.one("few", "int", "code", "day")
        tail = [inner.source, inner.where]
        no = self.one("", "NOT ")
        if nested == "EXISTS":
            return self.node("bool", f"{no}EXISTS (SELECT 1 FROM #0#1)", None, tail, nested)
        outside, inside = self.value(kind, min(depth, 1), place), self.value(kind, 1, within)
        if nested == "IN (SELECT)":
            return self.node("bool", f"(#0 {no}IN (SELECT #1 FROM #2#3))", None, [outside, inside, *tail], nested)
        if nested == "ANY, ALL":
            compared = f"{self.one('=', '<>', '<', '>=')} {self.one('ANY', 'ALL')}"
            return self.node("bool", f"(#0 {compared} (SELECT #1 FROM #2#3))", None, [outside, inside, *tail], nested)
        parts = [outside, self.value("few", 0, place), inside, self.value("few", 0, within), *tail]
        return self.node("bool", "((#0, #1) IN (SELECT #2, #3 FROM #4#5))", None, parts, nested)

    def inner(self, place, related):
        """The FROM and WHERE of a subquery, which may name a column outside."""
        source, scope = self.single(0, small=True)
        outside = [column for column in place.scope.columns if correlates(column)]
        conditions = []
        pairs = [(one, other) for one in scope.columns for other in outside if one.kind == other.kind != "flt"]
        if related and pairs and not place.scope.grouped:
            one, other = self.one(*pairs)
            compared = self.one("=", "=", "=", "<", "IS NOT DISTINCT FROM")
            conditions.append(Node("bool", f"(#0 {compared} #1)", None, [one.node, other.node]))
        within = Place(scope, None, False)
        if self.maybe(0.5):
            conditions.append(self.value("bool", 1, within))
        where = NOTHING
        if conditions:
            where = self.node(
                "where", " WHERE #0", None, [Node("all", None, None, conditions, joint=" AND ")], "WHERE", optional=True
            )
        return Inner(source, scope, where, bool(related and pairs and not place.scope.grouped))

    # FROM

    def source(self, depth):
        """What stands behind FROM, and the columns that it has."""
        self.pending.discard("FROM")
        kind = self.which(JOINS, 0.4 if depth > 0 else 0.15)
        if self.ctes and self.maybe(0.5):
            kind = kind or "JOIN"
        if kind in (None,):
            return self.single(depth)
        if kind in ("USING", "NATURAL JOIN"):
            return self.merged(kind)
        if kind in ("LATERAL", "UNNEST", "range in FROM", "generate_series in FROM", "CROSS JOIN"):
            return self.beside(kind)
        return self.joined(kind, depth)

    def single(self, depth, small=False):
        """One table, named subquery or subquery."""
        if self.ctes and self.maybe(0.7):
            return self.named(self.one(*self.ctes))
        if self.takes("VALUES", 0.04):
            return self.values()
        if self.takes("PIVOT", 0.02):
            return self.pivoted()
        if "unnest in FROM" in self.pending or depth > 0 and self.maybe(0.03):
            return self.unnested()
        if depth > 0 and (self.maybe(0.3) or self.which(STARS + SETS + GROUPINGS)):
            query = self.query(depth - 1, exact=True)
            return self.derived(query)
        return self.table(self.one(*"tttttttuuuaabbre", "ref"), small)

    def table(self, table, small=False):
        name = self.name(table[0])
        columns = [Column(Node(kind, f"{name}.{column}"), kind) for column, kind in TABLES[table].items()]
        key = [column.node for column in columns if column.node.text.endswith(".id")] or [
            column.node for column in columns
        ]
        text, rows = f"{table} AS {name}", ROWS[table]
        if small and rows > 1000:
            text, rows = f"(SELECT * FROM {table} WHERE id {self.one('< 150', '% 17 = 3')}) AS {name}", 150
        return self.node("source", text, None, [], "FROM"), Scope(columns, key, rows)

    def derived(self, query):
        name = self.name("q")
        columns = [Column(Node(kind, f"{name}.{column}"), kind) for column, kind in zip(query.names, query.kinds)]
        key = [column.node for column in columns if column.kind in ORDERED]
        node = Node("source", f"(#0) AS {name}", None, [query.node], "FROM")
        return node, Scope(columns, key or [columns[0].node], query.rows)

    def named(self, cte):
        """A named subquery, once more."""
        name, query = cte
        alias = self.name("q")
        columns = [Column(Node(kind, f"{alias}.{column}"), kind) for column, kind in zip(query.names, query.kinds)]
        key = [column.node for column in columns if column.kind in ORDERED]
        return Node("source", f"{name} AS {alias}", feature="FROM"), Scope(
            columns, key or [columns[0].node], query.rows
        )

    def values(self):
        """Rows as they are written."""
        name, kinds = self.name("v"), [
            self.one("few", "code", "day", "dbl", "bool", "text") for _ in range(self.one(1, 2, 3))
        ]
        names = [f"c{at + 1}" for at in range(len(kinds))]
        rows = [
            Node(
                "row",
                "(#0)",
                None,
                [Node("cells", None, None, [self.constant(kind, bare=False) for kind in kinds], joint=", ", least=9)],
            )
            for _ in range(self.one(1, 2, 4))
        ]
        table = Node("list", None, None, rows, joint=", ")
        node = self.node("source", f"(VALUES #0) AS {name} ({', '.join(names)})", None, [table], "VALUES")
        columns = [Column(Node(kind, f"{name}.{column}"), kind) for column, kind in zip(names, kinds)]
        return node, Scope(columns, [column.node for column in columns], len(rows))

    def pivoted(self):
        """Groups with a column for each of two values."""
        inner, scope = self.table(self.one("t", "u"))
        place, name = Place(scope, None, False), self.name("q")
        kind, values = self.one(("few", ("1", "3")), ("word", ("'A1'", "'B2'")))
        group, key, value = [self.leaf(each, place) for each in ("few", kind, "few")]
        call = self.one("max(x)", "min(x)", "count(x)", "count(*)")
        text = (
            f"(SELECT * FROM (SELECT #0 AS g, #1 AS z, #2 AS x FROM #3)"
            f" PIVOT ({call} AS v FOR z IN ({values[0]} AS one, {values[1]} AS two))) AS {name} (g, one, two)"
        )
        node = self.node("source", text, None, [group, key, value, inner], "PIVOT")
        columns = [Column(Node("few", f"{name}.{column}"), "few") for column in ("g", "one", "two")]
        return node, Scope(columns, [column.node for column in columns], 40)

    def unnested(self):
        """A table with a row for each element of a list."""
        inner, scope = self.table(self.one("t", "u", "a"), small=True)
        place, name = Place(scope, None, False), self.name("q")
        few = [column for column in scope.columns if column.kind in ("few", "int")]
        kept = self.one(*few)
        items = Node("list", None, None, [self.value("int", 1, place) for _ in range(self.one(1, 2))], joint=", ")
        text = f"(SELECT #0 AS kept, unnest([#1]) AS item FROM #2) AS {name}"
        node = self.node("source", text, None, [kept.node, items, inner], "unnest in FROM")
        columns = [Column(Node("int", f"{name}.{column}"), "int") for column in ("kept", "item")]
        return node, Scope(columns, [column.node for column in columns], 2 * scope.rows)

    def joined(self, kind, depth):
        """Two sources with a condition; small enough for all pairs to be looked at where nothing is equal."""
        left, one = self.single(depth - 1, small=self.maybe(0.6))
        right, other = self.single(depth - 1, small=True)
        if one.rows * other.rows > 400_000:
            right, other = self.table(self.one("r", "ref"))
        both = Scope(one.columns + other.columns, one.key + other.key, one.rows * other.rows // 20)
        condition = self.on(kind, one, other, both)
        if kind in ("SEMI JOIN", "ANTI JOIN"):
            text = f"#0 LEFT {kind} #1 ON #2"
            return self.node("source", text, text.replace("LEFT ", ""), [left, right, condition], kind), one
        return self.node("source", f"#0 {kind} #1 ON #2", None, [left, right, condition], kind), both

    def on(self, kind, one, other, both):
        """The condition of a join: an equality where there are many rows, and perhaps something else."""
        pairs = [
            (a, b) for a in one.columns for b in other.columns
            if a.kind == b.kind and a.kind in ("int", "few", "word", "code", "day", "bool", "text", "moment")
        ]  # fmt: skip
        same = [(a, b) for a, b in pairs if a.node.text.endswith(".p") and b.node.text.endswith(".p")]
        parts = []
        if pairs:
            a, b = self.one(*(same if same and self.maybe(0.6) else pairs))
            compared = self.one("=", "=", "=", "IS NOT DISTINCT FROM")
            feature = "IS DISTINCT FROM" if compared != "=" else None
            parts.append(self.node("bool", f"#0 {compared} #1", None, [a.node, b.node], feature))
        # Neither engine has a FULL JOIN without an equality.
        if not parts and (kind == "FULL JOIN" or both.rows > 2000):
            parts.append(
                Node(
                    "bool",
                    "#0 = #1",
                    None,
                    [self.leaf("int", Place(one, None, False)), self.leaf("int", Place(other, None, False))],
                )
            )
        if kind != "FULL JOIN" and (self.maybe(0.4) or not parts):
            parts.append(self.value("bool", 1, Place(both, None, False)))
        return Node("all", None, None, parts, joint=" AND ")

    def merged(self, kind):
        """A join whose equal columns are shown once."""
        one, other = self.one(("a", "b"), ("a", "r"), ("r", "b"), ("t", "u"), ("u", "t"))
        if kind == "NATURAL JOIN":
            one, other = self.one(("a", "b"), ("a", "r"), ("b", "r"))
        left, first = self.table(one, small=True)
        right, second = self.table(other, small=True)
        common = [column for column in TABLES[one] if column in TABLES[other]]
        names = common if kind == "NATURAL JOIN" else self.one(["p"], ["p", "k"])
        join = self.one("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        text = f"#0 NATURAL {join} #1" if kind == "NATURAL JOIN" else f"#0 {join} #1 USING ({', '.join(names)})"
        columns = [Column(Node(TABLES[one][name], name), TABLES[one][name]) for name in names]
        columns += [
            column for scope in (first, second) for column in scope.columns
            if column.node.text.split(".")[1] not in names
        ]  # fmt: skip
        node = self.node("source", text, None, [left, right], kind)
        rows = max(first.rows, second.rows) * 2
        return node, Scope(columns, [column.node for column in columns if column.kind in ORDERED], rows)

    def beside(self, kind):
        """A table beside something that has few rows, or some for each of its rows."""
        left, one = self.table(self.one("t", "u", "a", "b", "r", "ref"), small=True)
        name, place = self.name("n"), Place(one, None, False)
        if kind == "CROSS JOIN":
            right, other = self.one(lambda: self.table(self.one("r", "ref", "e")), self.values)()
            if self.maybe(0.2):
                return self.node("source", "#0, #1", None, [left, right], kind), both(one, other)
            return self.node("source", "#0 CROSS JOIN #1", None, [left, right], kind), both(one, other)
        if kind == "LATERAL":
            inner = self.inner(place, True)
            value_kind = self.one("int", "dbl", "code", "day")
            value = self.aggregate(value_kind, 1, Scope([], [], 1, grouped=inner.scope))
            text = self.one(
                f"#0 CROSS JOIN LATERAL (SELECT #1 AS v FROM #2#3) AS {name}",
                f"#0 LEFT JOIN LATERAL (SELECT #1 AS v FROM #2#3) AS {name} ON true",
            )
            node = self.node("source", text, None, [left, value, inner.source, inner.where], kind)
            return node, both(one, Scope([Column(Node(value_kind, f"{name}.v"), value_kind)], [], 1))
        column = Column(Node("few", f"{name}.i"), "few")
        if kind == "UNNEST":
            items = Node("list", None, None, [self.constant("few") for _ in range(self.one(2, 3))], joint=", ")
            node = self.node("source", f"#0 CROSS JOIN UNNEST([#1]) AS {name} (i)", None, [left, items], kind)
        else:
            call = f"{kind.removesuffix(' in FROM')}({self.one('0', '1')}, {self.one('3', '4', '6')})"
            few = self.leaf("few", place)
            text = self.one(f"#0 JOIN {call} AS {name} (i) ON #1 = {name}.i", f"#0 CROSS JOIN {call} AS {name} (i)")
            node = self.node("source", text, None, [left, few], kind)
        return node, both(one, Scope([column], [column.node], 5))

    # Queries

    def query(self, depth, exact=False, kinds=None, last=False):
        """A SELECT, or several with a set operation between, in an order with a limit where it is asked."""
        union = self.which(SETS, 0.12 if depth > 0 else 0)
        if union:
            exact = True
            query = self.combined(union, depth, kinds or self.kinds(True, last))
        else:
            query = self.select(depth, exact, kinds, lists=last)
        if query.rows > 4000 and last and query.total or self.which(["LIMIT", "OFFSET", "FETCH"], 0.12):
            return self.limited(query)
        return self.in_order(query) if last and self.takes("ORDER BY", 0.4) else query

    def kinds(self, exact, lists):
        """The kinds of a query's columns, with those that functions give which the number asks for.

        Lists are in no order, so that a subquery with one would have no key.
        """
        wanted = []
        for form in itertools.chain(self.forms.scalars, self.forms.aggregates, self.forms.windows):
            if form.feature in self.pending:
                wanted.append((form.feature, {"word": "code", "span": "moment"}.get(form.kind, form.kind)))
        chosen = [
            self.one(*[kind for name, kind in wanted if name == feature])
            for feature in sorted({name for name, _ in wanted})
        ]
        if exact:
            chosen = ["dbl" if kind == "approx" else kind for kind in chosen]
        if not lists:
            chosen = [{"ints": "int", "codes": "code"}.get(kind, kind) for kind in chosen]
        more = [*EXACT, "few", *(["ints", "codes"] if lists else []), *([] if exact else ["approx", "approx"])]
        return [*chosen, *(self.one(*more) for _ in range(self.one(1, 1, 1, 2)))]

    def combined(self, union, depth, kinds):
        self.pending.discard(union)
        one = self.select(depth - 1, True, kinds, plain=True)
        other = self.select(depth - 1, True, kinds, plain=True)
        node = self.node("query", f"#0 {union} #1", None, [operand(one), operand(other)], union)
        if "ALL" not in union and self.maybe(0.2):
            node.text = f"#0 {union} #1 {self.one('UNION ALL', 'EXCEPT')} #2"
            node.parts.append(operand(self.select(0, True, kinds, plain=True)))
        total = [Node("key", str(at + 1)) for at in range(len(kinds))] if set(kinds) <= ORDERED else []
        return Query(node, kinds, one.names, total, one.rows + other.rows, True)

    def select(self, depth, exact, kinds=None, plain=False, lists=False):
        """SELECT … FROM … with everything that may stand behind."""
        source, scope = self.source(depth)
        where = self.where(scope) if self.takes("WHERE", 0.35) or "rows IN (SELECT)" in self.pending else NOTHING
        style = self.grouping(scope, plain)
        if not style and not kinds and not plain and self.which(STARS, 0.04):
            return self.starred(source, scope, where, self.which(STARS) or self.one(*STARS))
        kinds = kinds or self.kinds(exact, lists)
        groups, having, windows = NOTHING, NOTHING, []
        keys = []
        if style:
            keys = self.group_keys(style, scope)
            groups, below = self.groups(style, keys, scope)
            scope = below
            having = self.having(scope) if self.takes("HAVING", 0.25) else NOTHING
        place = Place(scope, windows if self.allows_windows() else None, depth > 0)
        values = self.items(style, kinds, keys, scope, place, plain)
        kinds = [kind for kind, _ in values]
        names = [self.name("v") for _ in values]
        distinct, on = self.distinct(kinds, style, scope)
        shown = Node(
            "list", None, None, [self.item(value, name) for (_, value), name in zip(values, names)], joint=", "
        )
        if plain or style == "GROUP BY ALL":
            shown.least = len(kinds)
        qualify = self.qualify(windows, scope) if not distinct.text and self.takes("QUALIFY", 0.1) else NOTHING
        order = on or NOTHING
        named = NOTHING
        if windows:
            named = self.node("windows", " WINDOW #0", None, [Node("list", None, None, windows, joint=", ")], "WINDOW")
        text = "SELECT #0#1 FROM #2#3#4#5#6#7#8"
        parts = [distinct, shown, source, where, groups, having, named, qualify, order]
        # Behind QUALIFY DuckDB wants the named windows, and Parcours as well.
        node = self.node("query", text, None, parts, "SELECT")
        by_place = [Node("key", str(at + 1)) for at in range(len(kinds))] if set(kinds) <= ORDERED else []
        shown_only = distinct.text or scope.leaves_choice() or self.maybe(0.5) and by_place
        total = by_place if shown_only else list(scope.key)
        if on or plain and not by_place:
            total = []
        return Query(node, kinds, names, total, scope.rows, exact)

    def allows_windows(self):
        asked = {form.feature for form in self.forms.windows} | {"OVER", "ROWS", "RANGE", "GROUPS", "WINDOW"}
        return bool(self.pending & asked) or self.maybe(0.6)

    def item(self, value, name):
        return Node("item", f"#0 AS {name}", None, [value])

    def items(self, style, kinds, keys, scope, place, plain):
        """The values that are shown, each with its kind."""
        values = []
        if style == "GROUP BY ALL":
            # What it groups by is what has no aggregate in it, so that the two do not stand in one item.
            values = [(key.kind, key.node) for key in keys]
            return values + [
                (kind, self.aggregate(kind, 2, scope)) for kind in kinds if self.forms.aggregates_by_kind[kind]
            ]
        for kind in kinds:
            values.append((kind, self.value(kind, self.one(1, 1, 2, 2, 3), place)))
        if plain:
            return values
        if style in ("ROLLUP", "CUBE", "GROUPING SETS") and keys and self.takes("grouping of a group", 0.5):
            shown = Node("list", None, None, [key.node for key in keys], joint=", ")
            values.append(("few", self.node("few", "grouping(#0)", None, [shown], "grouping of a group")))
        for feature in ("OVER", "ROWS", "RANGE", "GROUPS", "WINDOW"):
            if feature in self.pending and place.windows is not None:
                values.append(self.over_rows(place))
        if "FILTER" in self.pending and place.scope.grouped:
            values.append(("int", self.aggregate("int", 1, scope)))
        return values

    def over_rows(self, place):
        """An aggregate over a window, or a window function where groups are below."""
        if place.scope.grouped:
            table = {"first_value of a window": self.forms.windows_by_kind["int"]["first_value of a window"]}
            return "int", self.window("int", 1, place, table)
        return "int", self.aggregated("int", 1, place.scope, self.over_windows("int"), self.over(place, None, True))

    def distinct(self, kinds, style, scope):
        """DISTINCT or DISTINCT ON, and the order that the latter takes."""
        exact = "approx" not in kinds
        if exact and self.takes("SELECT DISTINCT", 0.1):
            return self.node("distinct", "DISTINCT ", None, [], "SELECT DISTINCT", optional=True), None
        if not style and not scope.leaves_choice() and self.takes("SELECT DISTINCT ON", 0.05):
            place = Place(scope, None, False)
            binds, self.binds = self.binds, False
            on = [self.leaf(self.one("few", "code", "bool", "int"), place) for _ in range(self.one(1, 2))]
            self.binds = binds
            on = [value for value in on if varies(value)] or [scope.key[0]]
            first = frozen(Node("list", None, None, on, joint=", "))
            node = self.node("distinct", "DISTINCT ON (#0) ", None, [first], "SELECT DISTINCT ON")
            rest = self.keys(scope)
            return node, self.node("order by", " ORDER BY #0, #1", None, [first, rest], "ORDER BY")
        return NOTHING, None

    def where(self, scope):
        place = Place(scope, None, True)
        # Rows may be IN a subquery only where a whole condition stands.
        if self.takes("rows IN (SELECT)", 0.03):
            condition = self.condition("rows IN (SELECT)", 1, place)
        else:
            condition = self.value("bool", self.one(1, 2, 3), place)
        return self.node("where", " WHERE #0", None, [condition], "WHERE", optional=True)

    def having(self, scope):
        condition = self.value("bool", self.one(1, 2), Place(scope, None, self.maybe(0.3)))
        return self.node("having", " HAVING #0", None, [condition], "HAVING", optional=True)

    def qualify(self, windows, scope):
        number = self.window("int", 1, Place(scope, windows, False))
        condition = Node("bool", f"#0 {self.one('<=', '<', '>', '<>')} {self.one(1, 2, 5)}", None, [number])
        return self.node("qualify", " QUALIFY #0", None, [condition], "QUALIFY", optional=True)

    def starred(self, source, scope, where, kind):
        """SELECT * of a subquery, with a column left out or replaced."""
        query = self.query(0, exact=True)
        name = self.name("q")
        kinds, names = list(query.kinds), list(query.names)
        text, parts = f"SELECT * FROM (#0) AS {name}", [query.node]
        at = self.random.randrange(len(kinds))
        if kind == "SELECT * EXCLUDE" and len(kinds) > 1:
            text = f"SELECT * {self.one('EXCLUDE', 'EXCEPT')} ({names[at]}) FROM (#0) AS {name}"
            duck = text.replace("EXCEPT", "EXCLUDE")
            del kinds[at], names[at]
        elif kind == "SELECT * REPLACE":
            columns = [Column(Node(each, f"{name}.{column}"), each) for each, column in zip(kinds, names)]
            parts.append(self.value(kinds[at], 1, Place(Scope(columns, [], 1), None, False)))
            text = duck = f"SELECT * REPLACE (#1 AS {names[at]}) FROM (#0) AS {name}"
        else:
            kind, duck = "SELECT *", text
        total = [Node("key", str(at + 1)) for at in range(len(kinds))] if set(kinds) <= ORDERED else []
        return Query(self.node("query", text, duck, parts, kind), kinds, names, total, query.rows, True)

    # Groups

    def grouping(self, scope, plain):
        """How rows are grouped: a clause, all rows together, or None. Some styles add columns of their own."""
        asked = self.which([style for style in GROUPINGS if not (plain and style == "GROUP BY ALL")])
        if asked:
            return asked
        aggregates = {form.feature for form in self.forms.aggregates} | {"HAVING", "grouping of a group"}
        wanted = bool(self.pending & aggregates)
        if "grouping of a group" in self.pending and not plain:
            return self.one("ROLLUP", "CUBE", "GROUPING SETS")
        if wanted or self.maybe(0.35):
            styles = ["GROUP BY", "GROUP BY", "GROUP BY", "all rows", *GROUPINGS]
            return self.one(*(style for style in styles if not (plain and style == "GROUP BY ALL")))
        return None

    def group_keys(self, style, scope):
        if style == "all rows":
            return []
        place, keys = Place(scope, None, False), []
        binds, self.binds = self.binds, False
        for _ in range(self.one(1, 2, 2) if style in ("GROUP BY", "GROUP BY ALL") else 2):
            kind = self.one("few", "few", "code", "bool", "day", "dbl", "int", "text", "date", "flt", "dec", "moment")
            value = self.value(kind, self.one(0, 0, 1), place)
            if varies(value) and not any(alike(value, key.node) for key in keys):
                keys.append(Column(value, kind))
        self.binds = binds
        return keys or [Column(scope.key[0], scope.key[0].kind)]

    def groups(self, style, keys, scope):
        """The clause, and the scope above it."""
        above = Scope(list(keys), [key.node for key in keys], min(scope.rows, 600), grouped=scope)
        if style == "all rows":
            above.rows, above.key = 1, [Node("int", "count(*)")]
            return NOTHING, above
        those = Node("list", None, None, [key.node for key in keys], joint=", ", least=9)
        if style == "GROUP BY ALL":
            # DuckDB does not take it with QUALIFY.
            return self.node("groups", " GROUP BY ALL", " GROUP BY #0", [those], style), above
        if style in ("ROLLUP", "CUBE", "GROUPING SETS"):
            above.key.append(Node("few", "grouping(#0)", None, [those], "grouping of a group"))
        if style in ("ROLLUP", "CUBE"):
            return self.node("groups", f" GROUP BY {style} (#0)", None, [those], style), above
        if style == "GROUPING SETS":
            # Of two sets that are the same each group comes twice, and which is first is left open.
            text = self.one(*(["((#0), (#1), ())", "((#0), (#1))"] if len(keys) > 1 else []), "((#0), ())")
            return self.node("groups", f" GROUP BY GROUPING SETS {text}", None, [those, keys[0].node], style), above
        return self.node("groups", " GROUP BY #0", None, [those], style), above

    # The end of a query

    def limited(self, query):
        """So many rows, in an order that says which."""
        if not query.total:
            return query
        ordered = self.in_order(query, optional=False)
        kind = self.which(["LIMIT", "OFFSET", "FETCH"]) or self.one("LIMIT", "LIMIT", "OFFSET", "FETCH")
        count, skipped = self.one(1, 5, 40, 300), self.one(0, 1, 3, 30)
        text = {"LIMIT": f" LIMIT {count}", "OFFSET": f" LIMIT {count} OFFSET {skipped}"}.get(kind, f" LIMIT {count}")
        said = f" FETCH FIRST {count} ROWS ONLY" if kind == "FETCH" else text
        limit = self.node("limit", said, text, [], kind, optional=True)
        node = Node("query", "#0#1", None, [ordered.node, limit])
        return query._replace(node=node, rows=min(query.rows, count))

    def in_order(self, query, optional=True):
        """All of what makes the order total, in any order and direction."""
        if not query.total:
            return query
        keys = list(query.total)
        self.random.shuffle(keys)
        by = frozen(Node("list", None, None, [self.sorted(key) for key in keys], joint=", "))
        order = self.node("order by", " ORDER BY #0", None, [by], "ORDER BY", optional=optional)
        # What a limit cuts off keeps its order when it is made smaller.
        kind = "query" if optional else "ordered query"
        return query._replace(node=Node(kind, "#0#1", None, [query.node, order]))

    def statement(self):
        """The whole statement."""
        named = NOTHING
        if self.takes("WITH", 0.12) or self.takes("WITH … MATERIALIZED", 0.03):
            named = self.with_clause()
        query = self.query(2, last=True)
        return self.node("statement", "#0#1", None, [named, query.node])

    def with_clause(self):
        """A named subquery that is to be read twice. What it draws by chance may be read once only."""
        self.lasting = True
        query = self.query(1, exact=True)
        self.lasting = False
        name = self.name("w")
        self.ctes.append((name, query))
        feature, word = "WITH", ""
        if self.takes("WITH … MATERIALIZED", 0.2):
            feature, word = "WITH … MATERIALIZED", self.one("MATERIALIZED ", "NOT MATERIALIZED ")
        self.pending.discard("WITH")
        return self.node("with", f"WITH {name} AS {word}(#0) ", None, [query.node], feature)


Inner = collections.namedtuple("Inner", "source scope where related")


def frozen(node):
    """A node that is not made smaller: an order that leaves no choice, or what stands in two places alike."""
    return Node("frozen", "#0", None, [node])


def operand(query):
    """A query beside a set operation: in parentheses where it is in an order."""
    ends = query.node.parts[-1].kind == "order by"
    return Node("query", "(#0)", None, [query.node]) if ends else query.node


def both(one, other):
    """The columns of two sources."""
    return Scope(one.columns + other.columns, one.key + other.key, max(one.rows, one.rows * other.rows))


def alike(one, other):
    """Whether two nodes are the same for one of the engines."""
    return any(Written(one, duck).text == Written(other, duck).text for duck in (False, True))


def written(node):
    return Written(node, False).text


def varies(value):
    """Whether an expression names a column: in GROUP BY and ORDER BY a bare number would be a place."""
    texts = [Written(value, duck).text for duck in (False, True)]
    return all(re.search(r"\b[a-z]\d*\.\w+|^[pk]$", text) for text in texts)


def correlates(column):
    """Whether a column can be named in a subquery: without its table's name it would be taken for one inside."""
    return bool(re.fullmatch(r"\w+\.\w+", column.node.text or ""))


def pair_of(features, seed, number):
    """The two features that a statement has to have: all pairs come in turn, spread over the numbers."""
    pairs = len(features) * (len(features) - 1) // 2
    step = int(pairs * 0.618)
    while math.gcd(step, pairs) != 1:
        step += 1
    at = (random.Random(seed).randrange(pairs) + number * step) % pairs
    # Pairs lie in a triangle, row after row.
    second = (1 + math.isqrt(1 + 8 * at)) // 2
    first = at - second * (second - 1) // 2
    return features[first], features[second]

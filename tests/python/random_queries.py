"""Random queries over the hostile dataset: what Parcours answers is what DuckDB answers over the plain files.

    random_queries.py CONNECT SOURCE REFUSED REPLANS SEED FIRST COUNT

CONNECT is a connect.json, SOURCE the folder of hostile.py's files, REFUSED a list of sentences that may be answered
instead (answers.py says its form), REPLANS what share of the queries may be planned anew, in percent. Query number n that SEED makes, of those from FIRST on, is the same on every
machine. Each is a pile of filters, joins, unions, groupings, windows, subqueries and distincts over relations of one
shape: a patient, a day, a code, a number. Values are compared as what they are, with their types, NULL apart from the
empty text, and in order where the statement orders them. Fails with the statements whose rows differ, made smaller as
long as they do, with every error that is not a refusal on the list, and with the queries that were planned anew if
they are more than may be.
"""

import collections
import pathlib
import random
import sys

import duckdb

import answers
from same import is_ordered

TABLES = ["person", "event", "stay", "label"]

ORDER = "pid, d NULLS LAST, c NULLS LAST, n NULLS LAST"


class Maker:
    """Makes statements. Every relation has the columns pid, d, c and n; `few` says that it has few rows a patient."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        return self.random.choice(choices)

    def base(self):
        return self.one(
            ("SELECT pid, died AS d, dept AS c, CAST(born AS BIGINT) AS n FROM person", True),
            ("SELECT pid, CAST(NULL AS DATE) AS d, dept AS c, CAST(sex AS BIGINT) AS n FROM person", True),
            ("SELECT pid, day AS d, code AS c, CAST(n AS BIGINT) AS n FROM event", False),
            ("SELECT pid, day AS d, substr(code, 1, 1) AS c, CAST(floor(cost) AS BIGINT) AS n FROM event WHERE n > 20", False),
            ("SELECT pid, start AS d, diag AS c, CAST(nights AS BIGINT) AS n FROM stay", True),
            ("SELECT pid, stop AS d, upper(diag) AS c, CAST(stop - start AS BIGINT) AS n FROM stay", True),
        )

    def condition(self, a=""):
        letter, year = self.one(*"ABCDEFGHIJKLM"), self.random.randint(2020, 2023)
        return self.one(
            f"{a}c LIKE '{letter}%'",
            f"{a}c LIKE '{letter}%' OR {a}c LIKE '{self.one(*'ABCDEFG')}1%'",
            f"{a}c IN ('{letter}01', '{letter}02', 'K03', '12')",
            f"{a}c NOT LIKE '%{self.random.randint(0, 9)}'",
            f"{a}c <> '{letter}04' AND {a}n > 3",
            f"{a}d BETWEEN DATE '{year}-02-01' AND DATE '{year}-11-30'",
            f"{a}d >= DATE '{year}-06-15' AND {a}n < {self.random.randint(0, 40)}",
            f"{a}d IS NULL OR {a}n IS NULL",
            f"{a}c IS NOT NULL AND EXTRACT(YEAR FROM {a}d) = {year}",
            f"coalesce({a}n, 0) % {self.random.randint(2, 7)} = 1",
            f"CASE WHEN {a}c LIKE '{letter}%' THEN {a}n ELSE 12 END > 10",
            f"{a}pid > '{self.random.randint(16, 255):02x}'",
            f"{a}pid LIKE '%{self.one(*'0123456789abcdef')}'",
        )

    def relation(self, depth):
        if depth == 0:
            return self.base()
        make = self.one(
            self.filtered, self.filtered, self.union, self.union, self.distinct, self.by_patient, self.by_patient_and_more,
            self.join, self.join, self.both, self.exists, self.exists, self.within, self.window, self.window, self.labelled, self.above,
            self.not_within, self.using, self.twice, self.limited, self.difference, self.beside_a_total, self.unequal,
        )
        return make(depth - 1)

    def filtered(self, depth):
        sql, few = self.relation(depth)
        return f"SELECT * FROM ({sql}) AS f WHERE {self.condition()}", few

    def union(self, depth):
        (one, few), (other, also) = self.relation(depth), self.relation(self.random.randint(0, depth))
        return f"SELECT * FROM ({one}) AS u1 UNION{self.one(' ALL', ' ALL', ' ALL', '')} SELECT * FROM ({other}) AS u2", few and also

    def distinct(self, depth):
        sql, few = self.relation(depth)
        shown = self.one("pid, d, c, n", "pid, CAST(NULL AS DATE) AS d, c, CAST(1 AS BIGINT) AS n", "pid, d, 'x' AS c, n")
        return f"SELECT DISTINCT {shown} FROM ({sql}) AS s", few

    def by_patient(self, depth):
        sql, _ = self.relation(depth)
        number = self.one("count(*)", "sum(n)", "count(DISTINCT c)", "max(n)", "count(d)", "min(n)")
        having = self.one("", "", "", " HAVING count(*) > 2", " HAVING max(d) > DATE '2022-01-01'")
        code = self.one("min(c)", "max(c)")
        return f"SELECT pid, {self.one('max', 'min')}(d) AS d, {code} AS c, CAST({number} AS BIGINT) AS n FROM ({sql}) AS g GROUP BY pid{having}", True

    def by_patient_and_more(self, depth):
        sql, few = self.relation(depth)
        return self.one(
            f"SELECT pid, min(d) AS d, c, CAST(sum(n) AS BIGINT) AS n FROM ({sql}) AS g GROUP BY pid, c",
            f"SELECT pid, d, max(c) AS c, count(*) AS n FROM ({sql}) AS g GROUP BY pid, d",
            f"SELECT pid, max(d) AS d, substr(c, 1, 1) AS c, count(*) AS n FROM ({sql}) AS g GROUP BY pid, substr(c, 1, 1)",
        ), few

    def join(self, depth):
        left, few = self.relation(depth)
        right, also = self.relation(self.random.randint(0, depth))
        if not (few or also):
            # The patient of many events joined to itself is too much for anybody.
            right = f"SELECT pid, min(d) AS d, min(c) AS c, CAST(sum(n) AS BIGINT) AS n FROM ({right}) AS g GROUP BY pid"
        kind = self.one("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        on = "a.pid = b.pid"
        if kind != "FULL JOIN":
            on += self.one(
                "", "", " AND a.c = b.c", " AND b.d BETWEEN a.d AND a.d + 60", " AND b.d < a.d", " AND a.n < b.n", " AND a.d = b.d",
                " AND a.n = b.n AND a.c <> b.c",
            )
        else:
            on += self.one("", " AND a.c = b.c", " AND a.d = b.d")
        pid = {"JOIN": "a.pid", "LEFT JOIN": "a.pid", "RIGHT JOIN": "b.pid"}.get(kind, "coalesce(a.pid, b.pid)")
        shown = self.one("a.d, b.c", "b.d, a.c", "a.d, a.c", "coalesce(b.d, a.d) AS d, coalesce(a.c, b.c) AS c")
        number = self.one("a.n", "b.n", "a.n + coalesce(b.n, 0) AS n", "CAST(b.d - a.d AS BIGINT) AS n")
        return f"SELECT {pid} AS pid, {shown}, {number} FROM ({left}) AS a {kind} ({right}) AS b ON {on}", few and also

    def both(self, depth):
        """Groups and ranks by the days of both sides of a join, of which many rows of a side are of the same day."""
        left, few = self.relation(depth)
        right, also = self.relation(self.random.randint(0, depth))
        if not (few or also):
            right = f"SELECT pid, d, min(c) AS c, CAST(sum(n) AS BIGINT) AS n FROM ({right}) AS g WHERE d > DATE '2023-10-01' GROUP BY pid, d"
            left = f"SELECT * FROM ({left}) AS l WHERE d > DATE '2023-11-01'"
        kind, pid = self.one(("JOIN", "a.pid"), ("JOIN", "b.pid"), ("LEFT JOIN", "a.pid"), ("RIGHT JOIN", "b.pid"))
        days = self.one("", f" AND b.d > a.d AND b.d <= a.d + {self.random.randint(1, 90)}", " AND a.d >= b.d - 30 AND b.c <> a.c", " AND b.n >= a.n AND b.d < a.d")
        joined = f"({left}) AS a {kind} ({right}) AS b ON a.pid = b.pid{days}"
        one, other = self.one(("a.d", "b.d"), ("b.d", "a.d"))
        return self.one(
            f"SELECT {pid} AS pid, {one}, max(a.c) AS c, count(*) AS n FROM {joined} GROUP BY {pid}, {one}, {other}",
            f"SELECT {pid} AS pid, {other}, min(b.c) AS c, CAST(sum(a.n) AS BIGINT) AS n FROM {joined} GROUP BY {pid}, {one}, {other}",
            f"SELECT {pid} AS pid, {other}, a.c, CAST(rank() OVER (PARTITION BY {pid} ORDER BY {one} NULLS LAST, {other} NULLS LAST) AS BIGINT) AS n FROM {joined}",
            f"SELECT {pid} AS pid, {one}, b.c, CAST(dense_rank() OVER (PARTITION BY {pid} ORDER BY {one} NULLS LAST, {other} NULLS LAST) AS BIGINT) AS n FROM {joined}",
        ), few and also

    def exists(self, depth):
        sql, few = self.relation(depth)
        inner, _ = self.relation(self.random.randint(0, depth))
        also = self.one("", "", f" AND ({self.condition('b.')})", " AND b.d > a.d", " AND b.c = a.c", " AND b.d < a.d - 365 AND b.n > 1")
        return f"SELECT * FROM ({sql}) AS a WHERE {self.one('', 'NOT ')}EXISTS (SELECT 1 FROM ({inner}) AS b WHERE b.pid = a.pid{also})", few

    def within(self, depth):
        sql, few = self.relation(depth)
        inner, _ = self.relation(self.random.randint(0, depth))
        return f"SELECT * FROM ({sql}) AS a WHERE a.pid IN (SELECT b.pid FROM ({inner}) AS b WHERE {self.condition('b.')})", few

    def window(self, depth):
        sql, few = self.relation(depth)
        over = self.one("pid", "pid", "pid", "pid, c", "c")
        ordered = f"PARTITION BY {over} ORDER BY d NULLS LAST"
        # No two rows that differ are peers; rows that are alike may stand in any order.
        total = f"PARTITION BY {over} ORDER BY d NULLS LAST, c NULLS LAST, n NULLS LAST, pid"
        back = f"PARTITION BY {over} ORDER BY d DESC NULLS FIRST, c DESC NULLS FIRST, n DESC NULLS FIRST, pid DESC"
        whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
        number = self.one(
            f"rank() OVER ({ordered})",
            f"dense_rank() OVER ({ordered}, c NULLS LAST)",
            f"row_number() OVER ({self.one(total, back)})",
            f"CAST(sum(n) OVER ({ordered}) AS BIGINT)",
            f"count(*) OVER (PARTITION BY {over})",
            f"max(n) OVER (PARTITION BY {over})",
            f"count(n) OVER ({ordered})",
            f"CAST(d - lag(d) OVER ({total}) AS BIGINT)",
            f"CAST(lead(d) OVER ({total}) - d AS BIGINT)",
            f"CAST(d - lead(d) OVER ({back}) AS BIGINT)",
            f"lag(n, {self.random.randint(1, 3)}) OVER ({back})",
            f"lead(n, 2, -1) OVER ({self.one(total, back)})",
            f"{self.one('lag', 'lead')}(n IGNORE NULLS) OVER ({self.one(total, back)})",
            f"{self.one('first_value', 'last_value')}(n{self.one('', ' IGNORE NULLS')}) OVER ({self.one(total, back)} {whole})",
            f"nth_value(n, 2) OVER ({self.one(total, back)} {whole})",
            f"count(*) FILTER (WHERE {self.condition()}) OVER (PARTITION BY {over})",
            f"CAST(sum(n) FILTER (WHERE {self.condition()}) OVER ({self.one(ordered, total)}) AS BIGINT)",
        )
        sql = f"SELECT pid, d, c, {number} AS n FROM ({sql}) AS w"
        return (f"SELECT * FROM ({sql}) AS r WHERE n <= {self.random.randint(1, 5)}" if self.one(True, False) else sql), few

    def labelled(self, depth):
        sql, few = self.relation(depth)
        kind = self.one("JOIN", "LEFT JOIN")
        shown = self.one("l.name AS c, a.n", "a.c, CAST(l.family AS BIGINT) AS n", "a.c, a.n")
        labels = self.one("label", "(SELECT DISTINCT code, name, family FROM label WHERE family < 5)")
        return f"SELECT a.pid, a.d, {shown} FROM ({sql}) AS a {kind} {labels} AS l ON l.code = a.c", few

    def above(self, depth):
        sql, few = self.relation(depth)
        inner, _ = self.relation(0)
        return self.one(
            f"SELECT * FROM ({sql}) AS a WHERE n < (SELECT max(n) - 5 FROM ({inner}) AS b)",
            f"SELECT * FROM ({sql}) AS a WHERE d > (SELECT min(d) + 300 FROM ({inner}) AS b)",
        ), few

    def not_within(self, depth):
        sql, few = self.relation(depth)
        inner, _ = self.relation(self.random.randint(0, depth))
        return self.one(
            f"SELECT * FROM ({sql}) AS a WHERE a.n {self.one('', 'NOT ')}IN (SELECT b.n FROM ({inner}) AS b WHERE b.pid = a.pid)",
            f"SELECT * FROM ({sql}) AS a WHERE a.n {self.one('', 'NOT ')}IN (SELECT b.n FROM ({inner}) AS b WHERE b.n > 30)",
            f"SELECT * FROM ({sql}) AS a WHERE a.c NOT IN (SELECT b.c FROM ({inner}) AS b WHERE b.c IS NOT NULL AND ({self.condition('b.')}))",
            f"SELECT * FROM ({sql}) AS a WHERE a.n > 30 OR a.c IN (SELECT b.c FROM ({inner}) AS b WHERE {self.condition('b.')})",
            f"SELECT * FROM ({sql}) AS a WHERE a.n {self.one('>=', '<', '<>')} {self.one('ALL', 'ANY')} (SELECT family FROM label WHERE family < 4)",
        ), few

    def using(self, depth):
        left, few = self.relation(depth)
        right, also = self.relation(self.random.randint(0, depth))
        if not (few or also):
            right = f"SELECT pid, min(d) AS d, min(c) AS c, CAST(sum(n) AS BIGINT) AS n FROM ({right}) AS g GROUP BY pid"
        kind = self.one("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        return self.one(
            f"SELECT pid, a.d, b.c, a.n FROM ({left}) AS a {kind} ({right}) AS b USING (pid)",
            f"SELECT pid, b.d, c, a.n FROM ({left}) AS a {kind} ({right}) AS b USING (pid, c)",
        ), few and also

    def twice(self, depth):
        sql, few = self.relation(depth)
        return self.one(
            f"WITH w AS (SELECT pid, max(d) AS d, min(c) AS c, count(*) AS n FROM ({sql}) AS g GROUP BY pid)"
            f" SELECT a.pid, a.d, b.c, b.n FROM w AS a {self.one('LEFT ', '')}JOIN w AS b ON a.pid = b.pid AND a.n <= b.n",
            f"WITH w AS (SELECT pid, d, c, n, row_number() OVER (PARTITION BY pid ORDER BY d) AS r FROM ({sql}) AS g WHERE n < 3)"
            " SELECT a.pid, a.d, a.c, a.n FROM w AS a JOIN w AS b ON a.pid = b.pid AND a.r = b.r"
            " WHERE a.d IS NOT DISTINCT FROM b.d AND a.c IS NOT DISTINCT FROM b.c AND a.n IS NOT DISTINCT FROM b.n",
        ), few

    def limited(self, depth):
        sql, _ = self.relation(depth)
        offset = self.one("", "", f" OFFSET {self.random.randint(1, 300)}")
        return f"SELECT pid, d, c, n FROM ({sql}) AS l ORDER BY {ORDER} LIMIT {self.random.randint(1, 500)}{offset}", True

    def difference(self, depth):
        (one, few), (other, also) = self.relation(depth), self.relation(self.random.randint(0, depth))
        shown = self.one("pid, d, c, n", "pid, CAST(NULL AS DATE) AS d, substr(c, 1, 1) AS c, CAST(n % 3 AS BIGINT) AS n")
        kind = self.one("EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL")
        return f"SELECT {shown} FROM ({one}) AS e1 {kind} SELECT {shown} FROM ({other}) AS e2", few

    def beside_a_total(self, depth):
        sql, few = self.relation(depth)
        inner, _ = self.relation(0)
        return self.one(
            f"SELECT a.pid, a.d, a.c, a.n - o.v AS n FROM ({sql}) AS a CROSS JOIN (SELECT min(n) AS v FROM ({inner}) AS b) AS o",
            f"SELECT a.pid, least(a.d, o.v) AS d, a.c, a.n FROM ({sql}) AS a CROSS JOIN (SELECT max(d) AS v FROM ({inner}) AS b) AS o",
        ), few

    def unequal(self, depth):
        sql, few = self.relation(depth)
        label = "(SELECT code, family FROM label WHERE code LIKE 'A%' AND family < 5) AS l"
        kept = f"SELECT * FROM ({sql}) AS a WHERE {self.one('', 'NOT ')}EXISTS (SELECT 1 FROM {label} WHERE l.family > a.n{self.one('', ' AND l.code <> a.c')})"
        if not few:
            return kept, few
        joined = f"SELECT a.pid, a.d, l.code AS c, a.n FROM ({sql}) AS a {self.one('LEFT JOIN', 'JOIN')} {label} ON l.family > a.n + 2"
        return self.one(kept, joined), few

    def statement(self):
        sql, _ = self.relation(self.random.randint(1, 4))
        numbers = "count(*) AS rows, count(DISTINCT pid) AS patients, sum(n) AS total, min(d) AS first, max(d) AS last"
        return self.one(
            f"SELECT c, {numbers} FROM ({sql}) AS t GROUP BY c",
            f"SELECT c, {numbers} FROM ({sql}) AS t GROUP BY c",
            f"SELECT EXTRACT(YEAR FROM d) AS year, {numbers}, count(DISTINCT c) AS codes FROM ({sql}) AS t GROUP BY EXTRACT(YEAR FROM d)",
            f"SELECT {numbers}, min(c) AS least, max(c) AS most FROM ({sql}) AS t",
            f"SELECT n, count(*) AS rows, count(DISTINCT pid) AS patients FROM ({sql}) AS t GROUP BY n",
            f"SELECT pid, d, c, n FROM ({sql}) AS t WHERE pid LIKE '%{self.one(*'0123456789abcdef')}{self.one(*'0123456789abcdef')}'",
            f"SELECT pid, d, c, n FROM ({sql}) AS t ORDER BY {ORDER} LIMIT {self.random.randint(1, 300)}",
            f"SELECT p.sex, {numbers} FROM (SELECT t.pid, t.d, t.c, t.n, p.sex FROM ({sql}) AS t LEFT JOIN person AS p ON p.pid = t.pid) AS p GROUP BY p.sex",
        )


def main(connect, source, refused, replans, seed, first, count):
    first, count, allowed = int(first), int(count), answers.Allowed(refused)
    duck = duckdb.connect()
    duck.execute("SET threads = 1")
    for table in TABLES:
        duck.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{pathlib.Path(source)}/{table}/*.parquet')")
    agreed, sentences, failures, rows, replanned = 0, collections.Counter(), [], 0, []

    def failed(said):
        failures.append(said)
        print(f"{said}\n", file=sys.stderr, flush=True)

    with answers.Parcours(connect) as parcours:
        for number in range(first, first + count):
            sql = Maker(f"{seed}/{number}").statement()
            try:
                got, times = parcours.replans(lambda: parcours.ask(sql), times=1)
            except answers.Refused as sentence:
                sentences[answers.pattern(str(sentence))] += 1
                if not allowed.allows(answers.pattern(str(sentence)), False):
                    failed(f"query {number} REFUSED: {sentence}\n{sql}")
                continue
            except answers.Fault as fault:
                failed(f"query {number} FAULT: {fault}\n{sql}")
                continue
            if times:
                replanned.append(f"query {number}:\n{sql}")
            expected = answers.of_duckdb(duck, sql)
            rows += len(expected.rows)
            said = answers.difference(expected, got, ordered=is_ordered(sql))
            if said:
                small = answers.shrunk(sql, lambda sql: differs(parcours, duck, sql))
                failed(f"query {number} WRONG: {said}\n{sql}\n  smaller: {small}")
            else:
                agreed += 1
    print(
        f"seed {seed}: {agreed} of {count} queries from {first} on answered as DuckDB answers them ({rows} rows),"
        f" {sum(sentences.values())} refused, {len(replanned)} planned anew"
    )
    for sentence, times in sentences.most_common():
        print(f"{times:7} refused: {sentence}")
    if len(replanned) > answers.most_replans(count, int(replans)):
        failed("\n\n".join(["REPLANNED", *replanned]))
    if failures:
        sys.exit(f"seed {seed}: {len(failures)} failed")


def differs(parcours, duck, sql):
    """Whether both answer a statement, and not alike."""
    try:
        return answers.difference(answers.of_duckdb(duck, sql), parcours.ask(sql), ordered=is_ordered(sql)) is not None
    except (duckdb.Error, answers.Refused, answers.Fault):
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])

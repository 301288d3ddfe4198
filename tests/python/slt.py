"""SQLite's sqllogictest files: what Parcours answers is what SQLite answered, or what DuckDB does.

    slt.py prepare FOLDER SHARDS FILE…
    slt.py ask FOLDER CONNECTIONS REFUSED [--every N] [--threads N] [--replans N] FILE…

`prepare` runs the files' own statements in SQLite and writes the tables they leave as Parquet, with descriptions for
`parcours load`: FOLDER/<dataset>.toml, one for each way of giving rows a patient, by the row's number (`…_rows`) and
one patient for all (`…_one`). Files that leave the same tables share a dataset; FOLDER/files.json says which is
whose.

`ask` asks every N-th query of the files over both datasets. CONNECTIONS is a folder with connect-<dataset>.json, of a
person who sees that dataset alone. Right is an answer with the rows that SQLite gives (and its hash in the file says
the same), or with DuckDB's; integers, texts and NULL exactly, floats to one part in a billion, in order where ORDER
BY leaves no choice. `*` is written out, so that the patient is not among the columns. Records for other engines than
PostgreSQL are left out. REFUSED lists sentences that may be answered instead, each with a tab and the reason; `*`
stands for any words, and a reason that begins with `as DuckDB` allows it only where DuckDB refuses the statement as
well. Prints a table; fails if an answer is wrong, a refusal is not listed or a larger share of the queries was
planned anew than `--replans` says, in percent.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import pathlib
import re
import sqlite3
import sys
import threading

import duckdb

import answers

ENGINE = "postgresql"
WAYS = {"rows": "CAST(i AS VARCHAR)", "one": "'somebody'"}
TYPES = {"INTEGER": "BIGINT", "FLOAT": "DOUBLE", "TEXT": "VARCHAR"}

Record = collections.namedtuple("Record", "kind sql letters sort expected line")


def records(path):
    """The records of a file that are for us, and how many queries are for others."""
    found, others = [], 0
    for line, block in blocks(path):
        conditions = [words.split()[:2] for words in block if words.startswith(("skipif", "onlyif"))]
        rest = [words for words in block if not words.startswith(("skipif", "onlyif", "#", "hash-threshold"))]
        if not rest:
            continue
        head = rest[0].split()
        ours = all((name == ENGINE) == (word == "onlyif") for word, name in conditions)
        if head[0] == "statement" and ours:
            found.append(Record(head[1], "\n".join(rest[1:]), None, None, None, line))
        elif head[0] == "query" and ours:
            at = rest.index("----") if "----" in rest else len(rest)
            found.append(Record("query", "\n".join(rest[1:at]), head[1], head[2], rest[at + 1 :], line))
        elif head[0] == "query":
            others += 1
    return found, others


def blocks(path):
    """Each run of lines that are not empty, with the number of its first."""
    start, block = 1, []
    for number, line in enumerate(path.read_text().splitlines() + [""], 1):
        if line.strip():
            start = start if block else number
            block.append(line)
        elif block:
            yield start, block
            block = []


def tables_of(found):
    """A SQLite with the tables that a file's statements leave before its first query."""
    lite = sqlite3.connect(":memory:", check_same_thread=False)
    first = next(at for at, record in enumerate(found) if record.kind == "query")
    for at, record in enumerate(found):
        if record.kind == "ok":
            assert at < first or not re.match(
                r"\s*(INSERT|UPDATE|DELETE|CREATE TABLE|DROP)", record.sql, re.I
            ), f"line {record.line}: a table changes between queries"
            lite.execute(record.sql)
    return lite


def layout(lite):
    """The tables, and of each the columns with their types."""
    names = [row[0] for row in lite.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {name: [(row[1], TYPES[row[2]]) for row in lite.execute(f"PRAGMA table_info({name})")] for name in names}


def duck_of(lite):
    """The same tables in DuckDB, which divides integers as SQLite does."""
    duck = duckdb.connect()
    duck.execute("SET threads = 1")
    duck.execute("SET integer_division = true")
    for table, columns in layout(lite).items():
        duck.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
        rows = lite.execute(f"SELECT * FROM {table}").fetchall()
        if rows:
            duck.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
    return duck


def digest(lite):
    content = {
        table: (columns, sorted(map(repr, lite.execute(f"SELECT * FROM {table}"))))
        for table, columns in layout(lite).items()
    }
    return hashlib.md5(json.dumps(content).encode()).hexdigest()


def prepare(folder, shards, files):
    folder = pathlib.Path(folder).resolve()
    known, owners = {}, {}
    for path in map(pathlib.Path, files):
        lite = tables_of(records(path)[0])
        name = known.setdefault(digest(lite), f"slt{len(known)}")
        owners[path.stem] = name
        for way, patient in WAYS.items():
            if not (folder / f"{name}_{way}.toml").exists():
                write(folder, f"{name}_{way}", lite, patient, shards)
    (folder / "files.json").write_text(json.dumps(owners))


def write(folder, name, lite, patient, shards):
    duck = duck_of(lite)
    points = ", ".join(
        f'"{point}"' for point in sorted(str(round(99 * shard / shards) + 1) for shard in range(1, shards))
    )
    text = f'name = "{name}"\npatient_id = "pid"\nshards = {shards}\nsplits = [{points}]\n'
    for table, columns in layout(lite).items():
        source = folder / name / f"{table}.parquet"
        source.parent.mkdir(parents=True, exist_ok=True)
        numbered = f"SELECT {patient} AS pid, * EXCLUDE (i) FROM (SELECT row_number() OVER () AS i, * FROM {table})"
        duck.execute(f"COPY ({numbered}) TO '{source}' (FORMAT parquet)")
        text += f'\n[[tables]]\nname = "{table}"\nsources = ["{source}"]\n'
        text += 'columns = [\n  { name = "pid", class = "identity" },\n'
        text += "".join(f'  {{ name = "{column}", class = "plain" }},\n' for column, _ in columns) + "]\n"
    (folder / f"{name}.toml").write_text(text)


def written_out(sql, columns):
    """The statement with each `*` written out as the columns of the tables in its FROM."""
    item = r"(?:tab|t)\d+(?:\s+(?:AS\s+)?(?:cor|x)\d*)?"
    between = r"\s*(?:,|(?:(?:CROSS|INNER|LEFT|LEFT\s+OUTER)\s+)?JOIN\b)\s*"
    clause = rf"(\bSELECT\s+(?:ALL\s+|DISTINCT\s+)?)\*(\s+FROM\s+\(?\s*)({item}(?:{between}{item})*)"

    def expanded(match):
        names = []
        for part in re.split(between, match[3], flags=re.I):
            words = part.split()
            names += [f"{words[-1]}.{column}" for column, _ in columns[words[0]]]
        return f"{match[1]}{', '.join(names)}{match[2]}{match[3]}"

    return re.sub(clause, expanded, sql, flags=re.I)


def in_letters(rows, letters):
    """Rows as the files write them: integers cut, floats with three digits."""

    def one(value, letter):
        if value is None:
            return "NULL"
        if letter == "I":
            return str(int(value)) if not isinstance(value, str) else (re.match(r"-?\d+", value) or ["0"])[0]
        if letter == "R":
            return f"{float(value):.3f}"
        return str(value) or "(empty)"

    return [[one(value, letter) for value, letter in zip(row, letters)] for row in rows]


def is_expected(rows, record):
    """Whether rows are what the file says."""
    texts = in_letters(rows, record.letters)
    if record.sort == "rowsort":
        texts.sort()
    flat = [value for row in texts for value in row]
    if record.sort == "valuesort":
        flat.sort()
    hashed = re.fullmatch(r"(\d+) values hashing to (\w+)", record.expected[0]) if record.expected else None
    if not hashed:
        return flat == record.expected
    return (
        len(flat) == int(hashed[1])
        and hashlib.md5("".join(f"{value}\n" for value in flat).encode()).hexdigest() == hashed[2]
    )


def is_total(sql, letters, rows):
    """Whether ORDER BY leaves no choice: it names every column by its number, and no value is NULL."""
    ordered = re.search(r"\bORDER\s+BY\s+([\d\s,]|ASC|DESC)+$", sql, re.I)
    numbers = set(re.findall(r"\d+", ordered[0])) if ordered else set()
    return numbers >= {str(at + 1) for at in range(len(letters))} and all(
        value is not None for row in rows for value in row
    )


class Asker:
    """Asks the queries of one file over one dataset, from several threads with a connection each."""

    def __init__(self, path, connect, threads):
        self.found, self.others = records(path)
        self.lite = tables_of(self.found)
        self.columns = layout(self.lite)
        self.duck = duck_of(self.lite)
        self.connect, self.threads = connect, threads
        self.local, self.lock, self.opened = threading.local(), threading.Lock(), []

    def parcours(self):
        if not hasattr(self.local, "parcours"):
            self.local.parcours = answers.Parcours(self.connect)
            with self.lock:
                self.opened.append(self.local.parcours)
        return self.local.parcours

    def all(self, every):
        asked = [record for record in self.found if record.kind == "query"][::every]
        asked += [
            record for record in self.found if record.kind == "error" and re.match(r"\s*SELECT", record.sql, re.I)
        ]
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            outcomes = list(pool.map(self.one, asked))
        for parcours in self.opened:
            parcours.close()
        return outcomes

    def one(self, record):
        """What became of a query: its record, a word, and what there is to say."""
        sql = written_out(record.sql, self.columns)
        try:
            got = self.parcours().ask(sql)
        except answers.Refused as refused:
            if record.kind == "error":
                return record, "right", None
            return record, "refused", (answers.pattern(str(refused)), isinstance(self.duckdb(sql), str))
        except answers.Fault as fault:
            return record, "fault", f"{fault}"
        if record.kind == "error":
            return record, "wrong", f"  answered with {len(got.rows)} rows what SQLite refuses"
        got = got._replace(
            rows=[tuple(int(value) if isinstance(value, bool) else value for value in row) for row in got.rows]
        )
        with self.lock:
            rows = self.lite.execute(sql).fetchall()
        if not is_expected(rows, record):
            return (
                (record, "right", None)
                if is_expected(got.rows, record)
                else (record, "wrong", f"  SQLite itself differs from the file\n{answers.shown(rows, got.rows)}")
            )
        options = {"ordered": is_total(record.sql, record.letters, rows), "types": False, "share": 1e-9}
        expected = answers.Answer([], [""] * len(record.letters), rows)
        said = answers.difference(expected, got, **options)
        if said is None:
            return record, "right", None
        other = self.duckdb(sql)
        if not isinstance(other, str) and answers.difference(other, got, **options) is None:
            return record, "as DuckDB", None
        return record, "wrong", f"  {said}"

    def duckdb(self, sql):
        """DuckDB's answer, or what it says instead."""
        with self.lock:
            try:
                got = answers.of_duckdb(self.duck, sql)
                return got._replace(
                    rows=[tuple(int(value) if isinstance(value, bool) else value for value in row) for row in got.rows]
                )
            except duckdb.Error as error:
                return str(error)


def ask(folder, connections, refused, every, threads, replans, files):
    owners = json.loads((pathlib.Path(folder) / "files.json").read_text())
    allowed, failures, sentences, table = answers.Allowed(refused), [], collections.Counter(), []
    for path in map(pathlib.Path, files):
        for way in WAYS:
            connect = pathlib.Path(connections) / f"connect-{owners[path.stem]}_{way}.json"
            with answers.Parcours(connect) as one:
                before = one.counted()
                asker = Asker(path, connect, threads)
                outcomes = asker.all(every)
                replanned = one.counted() - before
            counts = collections.Counter(word for _, word, _ in outcomes)
            table.append((f"{path.stem} {way}", len(outcomes), counts, asker.others, replanned))
            for record, word, said in outcomes:
                where = f"{path.stem} {way}, line {record.line}:\n{record.sql}\n"
                if word == "refused":
                    sentences[said] += 1
                    if not allowed.allows(*said):
                        failures.append(f"{where}  REFUSED{' (by DuckDB, too)' if said[1] else ''}: {said[0]}")
                elif word in ("wrong", "fault"):
                    failures.append(f"{where}  {word.upper()}: {said.strip()}")
            print(line_of(*table[-1]), file=sys.stderr, flush=True)
    replanned = sum(line[4] for line in table)
    most = answers.most_replans(sum(line[1] for line in table), replans)
    if replanned > most:
        failures.append(f"REPLANNED: planned anew {replanned} times where at most {most} are expected")
    print("\n\n".join(failures), end="\n\n" if failures else "")
    for (sentence, duckdb_too), times in sentences.most_common():
        print(f"{times:7} refused{' (by DuckDB, too)' if duckdb_too else ''}: {sentence}")
    print("\n".join(["", HEAD, *(line_of(*line) for line in table), line_of(*total(table))]))
    if failures:
        sys.exit(f"{len(failures)} failed")


HEAD = (
    f"{'file and way':32}{'asked':>8}{'right':>8}{'as DuckDB':>10}{'refused':>8}{'wrong':>7}{'fault':>7}{'others':>8}"
    f"{'replans':>8}"
)


def line_of(name, asked, counts, others, replanned):
    shown = [counts["right"], counts["as DuckDB"], counts["refused"], counts["wrong"], counts["fault"]]
    return (
        f"{name:32}{asked:8}"
        + "".join(f"{count:{width}}" for count, width in zip(shown, (8, 10, 8, 7, 7)))
        + f"{others:8}{replanned:8}"
    )


def total(table):
    counts = sum((line[2] for line in table), collections.Counter())
    return ("all", sum(line[1] for line in table), counts, *(sum(line[at] for line in table) for at in (3, 4)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("prepare")
    one.add_argument("folder")
    one.add_argument("shards", type=int)
    other = commands.add_parser("ask")
    for name in ("folder", "connections", "refused"):
        other.add_argument(name)
    other.add_argument("--every", type=int, default=1)
    other.add_argument("--threads", type=int, default=3)
    other.add_argument("--replans", type=int, default=0)
    for command in (one, other):
        command.add_argument("files", nargs="+")
    arguments = vars(parser.parse_args())
    {"prepare": prepare, "ask": ask}[arguments.pop("command")](**arguments)

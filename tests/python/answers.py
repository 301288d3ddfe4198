"""What an answer is and when two are the same, for the scripts that hold Parcours' answers against another engine's.

A value keeps what it is: NULL is not the empty text, a date is not a timestamp, and integers, decimals, dates,
moments, truths and texts are the same only if they are equal; floats may differ by a share of the larger one. Each
column has a family of types. A refusal is an answer, too: a sentence that names its reason. Whatever else comes
instead of rows (an internal error, a broken connection, a time limit) is a fault.
"""

import collections
import datetime
import decimal
import json
import math
import pathlib
import re
import time
import urllib.request

import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions, dbapi

# Seconds that one statement may take.
LIMIT = 60

# What a scheduler counts when a plan did not work out and another one was made: its answer says nothing of the first.
# Plans that come to no end over an empty side of a join (queries_planned_once) are counted apart, and are no fault of
# ours.
REPLANS = ("queries_replanned",)

Answer = collections.namedtuple("Answer", "names families rows")


def most_replans(count, share):
    """How many plans may be made anew over so many statements of which that share may, in percent, and two by chance."""
    return 2 + count * share // 100


class Refused(Exception):
    """A sentence that says why a statement is not answered."""


class Fault(Exception):
    """Neither rows nor a refusal."""


class Parcours:
    """One connection to a cluster, and what its scheduler counts."""

    def __init__(self, file):
        self.file = pathlib.Path(file)
        self.settings = json.loads(self.file.read_text())
        self.connection = self.connect()

    def connect(self):
        read = lambda name: pathlib.Path(self.settings[name]).read_text()
        options = (DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_UPDATE)
        limits = {option.value: str(float(LIMIT)) for option in options}
        certificates = {
            DatabaseOptions.TLS_ROOT_CERTS.value: read("ca"),
            DatabaseOptions.MTLS_CERT_CHAIN.value: read("cert"),
            DatabaseOptions.MTLS_PRIVATE_KEY.value: read("key"),
        }
        return dbapi.connect(self.settings["uri"], db_kwargs=certificates | limits, autocommit=True)

    def ask(self, sql, parameters=None):
        """The answer, or an exception that is Refused or Fault."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return of_arrow(cursor.fetch_arrow_table())
        except Exception as error:
            raise understood(error) from None

    def counted(self, *names):
        """A counter of the scheduler, or the sum of several. Of what is not said, how often it made a plan anew."""
        with urllib.request.urlopen(f"http://{self.settings['health']}/metrics", timeout=10) as page:
            metrics = page.read().decode()
        found = [re.search(rf"^parcours_scheduler_{name}(?:_total)? (\d+)", metrics, re.M) for name in names or REPLANS]
        return sum(int(one[1]) for one in found)

    def replans(self, ask, expected=0, times=3):
        """What `ask` returns, and how many plans the scheduler made anew meanwhile.

        Others may ask the same scheduler: if that is not what is expected, it is asked again, so many times in all.
        """
        for _ in range(times):
            before = self.counted()
            answer = ask()
            replanned = self.counted() - before
            if replanned == expected:
                break
        return answer, replanned

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# What begins the message of a refusal, by the code of Flight; all other codes are faults.
REFUSALS = (
    "INVALID_ARGUMENT",
    "NOT_IMPLEMENTED",
    "NOT_FOUND",
    "UNAUTHORIZED",
    "UNIMPLEMENTED",
    "INVALID_DATA",
    "INVALID_STATE",
)

# Words that no person who asks should have to read, whatever the code.
UNFIT = re.compile(
    r"internal error|fault of ours|arrow error|external error|panicked|this was likely caused by a bug"
    r"|failed to match any signature|unsupported ast node|Int64\(|Utf8\(|Expr\(|Ident \{|Query\(|Location\("
    r"|every file of|object store|execution error",
    re.I,
)


def understood(error):
    """An error of the driver as a refusal with its sentence, or as a fault."""
    text = str(error).strip()
    code = text.split(":", 1)[0]
    sentence = re.sub(
        r"\s*\([A-Z][A-Za-z]+; [^()]*\)$|\. Vendor code: .*$|\s*\[FlightSQL\]\s*",
        " ",
        text.split(":", 1)[-1],
        flags=re.S,
    )
    sentence = " ".join(sentence.split())
    if code.strip() not in REFUSALS:
        return Fault(" ".join(text.split()))
    # Behind these words the engine quotes the statement.
    if UNFIT.search(sentence.split(" the expression ")[0]):
        return Fault(f"an unfit sentence: {sentence}")
    return Refused(sentence)


def pattern(sentence):
    """A refusal without what it quotes of a statement: one line for all statements of a kind."""
    sentence = re.sub(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "…", sentence)
    sentence = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "…", sentence)
    return re.sub(r"\b(?:\w+\.)*(?:col|cor|tab)\d+\b(?:\.\w+)*|\d+", "…", sentence)[:300]


class Allowed:
    """The sentences that may be answered instead of rows: a file of lines with a sentence, a tab and the reason.

    In a sentence `*` stands for any words. A reason that begins with `as DuckDB` allows it only where DuckDB refuses
    the statement as well. A wrong answer is never allowed.
    """

    def __init__(self, path):
        lines = [
            line.split("\t", 1)
            for line in pathlib.Path(path).read_text().splitlines()
            if line and not line.startswith("#")
        ]
        self.lines = [
            (re.compile(".*".join(map(re.escape, sentence.split("*"))), re.S), reason) for sentence, reason in lines
        ]

    def allows(self, sentence, duckdb_too):
        found = [reason for pattern, reason in self.lines if pattern.fullmatch(sentence)]
        return any(duckdb_too or not reason.startswith("as DuckDB") for reason in found)


def of_arrow(table):
    """An Arrow table as an answer."""
    columns = [values(column) for column in table.columns]
    return Answer(
        table.column_names,
        [family(field.type) for field in table.schema],
        list(zip(*columns)) if columns else [()] * table.num_rows,
    )


def family(kind):
    if pa.types.is_dictionary(kind):
        return family(kind.value_type)
    for name, is_one in {
        "null": pa.types.is_null,
        "truth": pa.types.is_boolean,
        "integer": pa.types.is_integer,
        "decimal": pa.types.is_decimal,
        "float": pa.types.is_floating,
        "date": pa.types.is_date,
        "timestamp": pa.types.is_timestamp,
        "time": pa.types.is_time,
        "duration": pa.types.is_duration,
        "interval": pa.types.is_interval,
    }.items():
        if is_one(kind):
            return name
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"list of {family(kind.value_type)}"
    return str(kind)


def values(column):
    """The values of a column. Moments of any unit are told to the microsecond, and beyond where there is more."""
    if not pa.types.is_timestamp(column.type):
        return [plain(value) for value in column.to_pylist()]
    each = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[column.type.unit]
    return [None if count is None else moment(count * each) for count in column.cast(pa.int64()).to_pylist()]


def moment(nanos):
    micros, rest = divmod(nanos, 1000)
    try:
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    except OverflowError:
        return f"{nanos} ns since 1970"
    return at if rest == 0 else f"{at.isoformat()} and {rest} ns"


def plain(value):
    """Lists and structures as what can be hashed."""
    match value:
        case list() | tuple():
            return tuple(map(plain, value))
        case dict():
            return tuple((key, plain(item)) for key, item in value.items())
        case datetime.timedelta():
            return ("interval", 0, value.days, value.seconds * 10**6 + value.microseconds)
        case pa.MonthDayNano():
            return ("interval", value.months, value.days, value.nanoseconds // 1000)
        case _:
            return value


def of_duckdb(duck, sql, parameters=None):
    """DuckDB's answer."""
    asked = duck.execute(sql, parameters) if parameters is not None else duck.execute(sql)
    described = asked.description
    rows = [tuple(plain(value) for value in row) for row in asked.fetchall()]
    return Answer([column[0] for column in described], [duckdb_family(str(column[1])) for column in described], rows)


def duckdb_family(name):
    if name.endswith("]"):
        return f"list of {duckdb_family(name.rsplit('[', 1)[0])}"
    head = name.split("(")[0].strip('"')
    return {
        "BOOLEAN": "truth",
        "DECIMAL": "decimal",
        "DOUBLE": "float",
        "FLOAT": "float",
        "DATE": "date",
        "TIMESTAMP": "timestamp",
        "TIMESTAMP_S": "timestamp",
        "TIMESTAMP_MS": "timestamp",
        "TIMESTAMP_NS": "timestamp",
        "TIME": "time",
        "INTERVAL": "interval",
        "VARCHAR": "text",
        "NULL": "null",
    }.get(head, "integer" if head.endswith(("INT", "INTEGER")) else name)


def same_family(one, other):
    """Whether two columns' types say the same kind of value. A column of NULL alone has any type."""
    if "null" in (one, other):
        return True
    if one.startswith("list of ") and other.startswith("list of "):
        return same_family(one[8:], other[8:])
    return one == other


def near(one, other, share):
    """Whether two values are the same, floats to a share of the larger one."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(near(*pair, share) for pair in zip(one, other))
    if isinstance(one, float) or isinstance(other, float):
        return near_numbers(one, other, share)
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return one == other


def near_numbers(one, other, share):
    number = (int, float, decimal.Decimal)
    if not isinstance(one, number) or not isinstance(other, number):
        return False
    one, other = as_float(one), as_float(other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    if math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= share * max(abs(one), abs(other))


def as_float(value):
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def key(row):
    """A key by which alike rows stand together, whatever order rows came in."""
    return tuple(key_of(value) for value in row)


def key_of(value):
    match value:
        case None:
            return (0, "")
        case bool():
            return (1, str(value))
        case int() | float() | decimal.Decimal():
            number = as_float(value)
            return (2, "nan") if math.isnan(number) else (3, f"{number + 0.0:+.8e}")
        case tuple():
            return (4, str(key(value)))
        case _:
            return (5, str(value))


def difference(expected, got, *, ordered=False, types=True, share=1e-12):
    """What tells an answer from the one expected, in words; None if they are the same."""
    if len(expected.families) != len(got.families):
        return f"{len(got.families)} columns where {len(expected.families)} are right"
    if types:
        for at, pair in enumerate(zip(expected.families, got.families)):
            if not same_family(*pair):
                said = f"column {at + 1} ({got.names[at]}) is of the type {pair[1]} where {pair[0]} is right"
                return f"{said}\n{shown(expected.rows, got.rows)}"
    if len(expected.rows) != len(got.rows):
        said = f"{len(got.rows)} rows where {len(expected.rows)} are right"
        return f"{said}\n{shown(*unmatched(expected.rows, got.rows, share))}"
    if ordered:
        for at, pair in enumerate(zip(expected.rows, got.rows)):
            if not near(*pair, share):
                alike = not any(unmatched(expected.rows, got.rows, share))
                return f"row {at + 1} differs{', in order alone' if alike else ''}\n{shown([pair[0]], [pair[1]])}"
        return None
    lost, made = unmatched(expected.rows, got.rows, share)
    return f"{len(lost)} of {len(expected.rows)} rows differ\n{shown(lost, made)}" if lost or made else None


def unmatched(expected, got, share):
    """The rows of either side that have none alike on the other."""
    expected, got = sorted(expected, key=key), sorted(got, key=key)
    if len(expected) == len(got) and all(near(*pair, share) for pair in zip(expected, got)):
        return [], []
    floats = float_columns(expected) | float_columns(got)
    lost, left = [], collections.defaultdict(list)
    for row in got:
        left[exact(row, floats)].append(row)
    for row in expected:
        candidates = left[exact(row, floats)]
        found = next((at for at, candidate in enumerate(candidates) if near(row, candidate, share)), None)
        if found is None:
            lost.append(row)
        else:
            candidates.pop(found)
    return lost, [row for rows in left.values() for row in rows]


def float_columns(rows):
    """The columns that hold a float, or a list that may."""
    return {at for row in rows for at, value in enumerate(row) if isinstance(value, (float, tuple))}


def exact(row, floats):
    """What of a row must be equal, so that only few rows are compared one by one."""
    return tuple(None if at in floats else value for at, value in enumerate(row))


def shown(expected, got, rows=4):
    line = lambda row: "    " + " | ".join(
        "NULL" if value is None else repr(value) if isinstance(value, str) else str(value) for value in row
    )
    part = lambda name, all_rows: "\n".join(
        [f"  {name}:", *map(line, all_rows[:rows]), *(["    …"] if len(all_rows) > rows else [])]
    )
    return f"{part('expected', expected)}\n{part('got', got)}"


def arrow_parameters(written):
    """Parameters from lines of a type and a value, as an Arrow batch and as a list."""
    kinds = {
        "int32": (pa.int32(), int),
        "int64": (pa.int64(), int),
        "double": (pa.float64(), float),
        "text": (pa.string(), str),
        "date": (pa.date32(), datetime.date.fromisoformat),
        "timestamp": (pa.timestamp("us"), datetime.datetime.fromisoformat),
        "decimal": (pa.decimal128(20, 2), decimal.Decimal),
        "truth": (pa.bool_(), lambda text: text == "true"),
        "int64s": (pa.list_(pa.int64()), lambda text: [int(part) for part in text.split(",")]),
        "texts": (pa.list_(pa.string()), lambda text: text.split(",")),
    }
    pairs = [line.strip().partition(" ")[::2] for line in written]
    columns = [None if value == "NULL" else kinds[kind][1](value) for kind, value in pairs]
    arrays = [pa.array([value], kinds[kind][0]) for (kind, _), value in zip(pairs, columns)]
    return pa.record_batch(arrays, names=[str(at + 1) for at in range(len(arrays))]), columns


# What may be dropped of a statement: a condition, a clause, a column that is shown.
CLAUSE = re.compile(
    r" (?:AND|OR) [^()]+?(?= AND | OR |\)|$| GROUP| ORDER| LIMIT)"
    r"| (?:WHERE|HAVING|ORDER BY|LIMIT|FILTER) [^()]+?(?=\)|$| GROUP| ORDER| LIMIT)"
    r"|, [\w.]+(?= FROM|,)"
)


def groups(sql):
    """Where each parenthesised part of a statement begins and ends, texts left out."""
    opened, found, quoted = [], [], False
    for at, letter in enumerate(sql):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter == "(":
            opened.append(at)
        elif not quoted and letter == ")" and opened:
            found.append((opened.pop(), at + 1))
    return found


def smaller(sql):
    """Statements shorter by one part: a parenthesised part gives way to one within it, or a condition is dropped."""
    found = groups(sql)
    for start, end in found:
        for inner_start, inner_end in found:
            if start < inner_start and inner_end < end:
                yield sql[:start] + sql[inner_start:inner_end] + sql[end:]
    for start, end in found:
        for joint in (" AND ", " OR ", ", "):
            if sql[:start].endswith(joint):
                yield sql[: start - len(joint)] + sql[end:]
            if sql[end:].startswith(joint):
                yield sql[:start] + sql[end + len(joint) :]
    for clause in CLAUSE.finditer(sql):
        yield sql[: clause.start()] + sql[clause.end() :]


def shrunk(sql, fails, seconds=30):
    """A shorter statement that fails in the same way, found greedily within a time."""
    tried, end = {sql}, time.monotonic() + seconds
    while True:
        for candidate in sorted(set(smaller(sql)) - tried, key=len):
            tried.add(candidate)
            if time.monotonic() > end:
                return sql
            if fails(candidate):
                sql = candidate
                break
        else:
            return sql

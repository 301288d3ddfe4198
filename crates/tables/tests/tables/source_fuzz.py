"""Texts of every type and pattern, and CSV files of every structure, as others read them: Python and DuckDB.

    source_fuzz.py make FOLDER SEED TEXTS FILES
    source_fuzz.py check FOLDER

The first writes FOLDER/cases.json, for each case a description and a file NAME.tsv of numbered texts, and
FOLDER/structures.jsonl, CSV files with the options that they are read with. The test reads them and writes NAME.ours, the
numbers and values of the texts that it took, and structures.ours.jsonl. The second holds those against Python and against
DuckDB: each has to take the same texts, and for the same values, but for what DIFFERENCES lists, with its reasons.
"""

import csv
import datetime
import decimal
import fractions
import io
import json
import math
import pathlib
import random
import re
import struct
import sys
import zoneinfo

import duckdb

LEAST, MOST = datetime.date(1800, 1, 1), datetime.date(2200, 12, 31)
EPOCH = datetime.datetime(1970, 1, 1)
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
INTEGERS = {
    f"{sign}int{bits}": ((0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
DUCK = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT", "float64": "DOUBLE"}
DUCK |= {f"u{name}": f"U{kind}" for name, kind in DUCK.items() if name != "float64"} | {"float32": "FLOAT", "bool": "BOOLEAN"}


class Case:
    """A type, and how its texts are written; how a value of it is made, and how Python and DuckDB read it."""

    def __init__(self, name, kind, column="", table="", pattern=None):
        self.name, self.kind, self.column, self.table, self.pattern = name, kind, column, table, pattern

    def described(self):
        column = f'{{ name = "v", class = "plain", type = "{self.kind}"{self.column} }}'
        return {"name": self.name, "column": column, "csv": 'delimiter = "\\t", quote = ""' + self.table}

    def is_date(self):
        return self.kind in ("date32", "timestamp(us)")


def cases():
    for kind in (*INTEGERS, "float32", "float64", "bool", "decimal(10,2)", "decimal(38,10)"):
        yield Case(re.sub(r"\W", "_", kind), kind)
    yield Case("int32_french", "int32", table=', decimal = ",", thousands = " "')
    yield Case("float64_french", "float64", table=', decimal = ",", thousands = " "')
    yield Case("decimal_french", "decimal(12,3)", table=', decimal = ",", thousands = "."')
    yield Case("date", "date32")
    yield Case("time", "timestamp(us)")
    yield Case("time_of_paris", "timestamp(us)", ', zone = "Europe/Paris"')
    century = ", date_min = 1950-01-01, date_max = 2049-12-31"
    dates = ["%d/%m/%Y", "%Y%m%d", "%d%b%Y", "%-d/%-m/%Y", "%Y-%j", "%d. %B %Y", "%m/%d/%Y", "%d-%m-%y"]
    times = ["%d/%m/%Y %H", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%m/%d/%Y %I:%M:%S %p", "%d%b%Y:%H:%M:%S"]
    times += ["%Y-%m-%d %H:%M:%S.%f", "%d/%m/%y %H:%M"]
    for kind, patterns in (("date32", dates), ("timestamp(us)", times)):
        for n, pattern in enumerate(patterns):
            more = century if "%y" in pattern else ""
            yield Case(f"{kind[:4]}_{n}", kind, f', format = "{pattern}"{more}', pattern=pattern)
    zoned = "%Y-%m-%dT%H:%M:%S%z"
    yield Case("time_zoned", "timestamp(us)", f', format = "{zoned}", zone = "Europe/Paris"', pattern=zoned)


def written(case, dice):
    """A text that most readers would take."""
    if case.kind in INTEGERS:
        least, most = INTEGERS[case.kind]
        value = dice.choice([least, most, least - 1, most + 1, 0, dice.randint(least, most), dice.randint(-300, 300)])
        text = dice.choice(["", "", "", "0", "+"]) * (value >= 0) + str(value) + dice.choice(["", "", "", ".0", ".00", ".5"])
    elif case.kind in ("float32", "float64"):
        value = dice.choice([dice.uniform(-1e3, 1e3), dice.uniform(-1, 1) * float(f"1e{dice.randint(-330, 310)}"), dice.randint(-9, 9)])
        text = dice.choice([repr(value), f"{value:.3f}", f"{value:e}", f"{value:.0E}"])
    elif case.kind.startswith("decimal"):
        digits, scale = map(int, re.findall(r"\d+", case.kind))
        value = decimal.Decimal(dice.randint(-(10 ** dice.randint(0, digits + 1)), 10 ** dice.randint(0, digits + 1)))
        with decimal.localcontext(prec=60):
            text = f"{value.scaleb(-dice.choice([0, scale, scale, scale + 1])):f}" + dice.choice(["", "", "0"])
    elif case.kind == "bool":
        text = dice.choice("true false t f yes no y n 1 0 True FALSE Yes oui on off 2 -1".split())
    else:
        return written_date(case, dice)
    if "french" in case.name:
        text = in_groups(text, dice) if dice.random() < 0.7 else text
        text = text.replace(".", "#").replace(" ", "." if "decimal" in case.kind else " ").replace("#", ",")
    return text


def in_groups(text, dice):
    """The digits before the mark in threes, apart by blanks; sometimes in others."""
    found = re.match(r"([+-]?)(\d+)(.*)", text)
    if not found:
        return text
    size, digits, groups = dice.choice([3, 3, 3, 3, 2, 4]), found[2], []
    while digits:
        groups.insert(0, digits[-size:])
        digits = digits[:-size]
    return found[1] + " ".join(groups) + found[3]


def written_date(case, dice):
    moment = datetime.datetime(dice.choice([1799, 1800, 1900, 1951, 1999, 2000, 2023, 2024, 2200, 2201]), 1, 1)
    moment += datetime.timedelta(days=dice.randint(0, 366), seconds=dice.randint(0, 86_399), microseconds=dice.randint(0, 999_999))
    if case.pattern:
        pattern = case.pattern if dice.random() < 0.9 else dice.choice([other.pattern for other in CASES if other.pattern])
        text = moment.strftime(pattern.replace("%z", ""))
        text += offset(dice) if "%z" in pattern else ""
        return text.upper() if dice.random() < 0.3 else text
    text = moment.strftime("%Y-%m-%d")
    if case.kind != "date32" or dice.random() < 0.3:
        midnight = case.kind == "date32" and dice.random() < 0.5
        clock = "00:00:00" if midnight else moment.strftime(dice.choice(["%H:%M", "%H:%M:%S", "%H:%M:%S.%f"]))
        text += dice.choice("T  ") + (clock[: dice.randint(8, 15)] if len(clock) > 8 else clock)
        text += offset(dice) if dice.random() < 0.3 else ""
    return text


def offset(dice):
    hours, minutes = f"{dice.randint(0, 20):02}", dice.choice(["00", "30", "45", "60"])
    return dice.choice(["Z", f"{dice.choice('+-')}{hours}:{minutes}", f"{dice.choice('+-')}{hours}{minutes}", f"+{hours}"])


def altered(text, dice):
    """The same with a letter or two otherwise."""
    for _ in range(dice.choice([0, 0, 1, 1, 1, 2, 3])):
        at = dice.randint(0, len(text))
        letter = dice.choice("0123456789012345678900+-.,eE :/TZ_xaAnN\u00a0\u0663'")
        text = dice.choice(
            [
                lambda: text[:at] + letter + text[at:],
                lambda: text[: max(at - 1, 0)] + text[at:],
                lambda: text[: max(at - 1, 0)] + letter + text[at:],
                lambda: text[:at] + text[max(at - 1, 0) :],
                lambda: text[:at],
                lambda: " " + text,
                lambda: text + " ",
                lambda: text.lower(),
            ]
        )()
    return text or "0"


# What Python reads.


def python(case, text):
    """The value, or None."""
    try:
        if case.kind == "bool":
            word = text.lower()
            return True if word in ("true", "t", "yes", "y", "1") else False if word in ("false", "f", "no", "n", "0") else None
        if case.is_date():
            return python_date(case, text)
        return python_number(case, text)
    except (ValueError, ArithmeticError):
        return None


def python_number(case, text):
    if "french" in case.name:
        group = "." if "decimal" in case.kind else " "
        whole, mark, rest = text.partition(",")
        if group in whole:
            if not re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(group)}\d{{3}})*", whole):
                return None
            whole = whole.replace(group, "")
        if "." in whole + rest:
            return None
        text = whole + mark.replace(",", ".") + rest
    if case.kind.startswith("float"):
        return finite(nearest(decimal.Decimal(text)) if case.kind == "float32" else float(text))
    with decimal.localcontext(prec=400):
        value = decimal.Decimal(text)
        if case.kind in INTEGERS:
            least, most = INTEGERS[case.kind]
            return int(value) if value == value.to_integral_value() and least <= value <= most else None
        digits, scale = map(int, re.findall(r"\d+", case.kind))
        units = value.scaleb(scale)
        return value if units == units.to_integral_value() and abs(units) < 10**digits else None


def finite(value):
    """None for what is beyond the range, which others take for infinite."""
    return value if value is None or math.isfinite(value) else None


def single(value):
    """The number of 32 bits that is next to one of 64."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def nearest(value):
    """The number of 32 bits that is next to a decimal one; of two that are, the even one."""
    near = single(float(value))
    if not math.isfinite(near) or near == 0:
        return near
    exact = fractions.Fraction(value)
    others = [single(near + step * math.ulp(near) * 2**29) for step in (-1, 0, 1)]
    even = lambda one: struct.unpack("I", struct.pack("f", one))[0] % 2
    return min((other for other in others if math.isfinite(other)), key=lambda one: (abs(fractions.Fraction(one) - exact), even(one)))


ISO = ["%Y-%m-%d"] + [f"%Y-%m-%d{mark}%H:%M{rest}{zone}" for mark in "T " for rest in ("", ":%S", ":%S.%f") for zone in ("", "%z")]


def python_date(case, text):
    patterns = [case.pattern.replace("%-", "%")] if case.pattern else ISO
    text = re.sub(r"(\.\d{6})0+(?=$|[Zz+-])", r"\1", text)
    # Python has seconds of an offset, and an offset without minutes is nothing to it.
    text = re.sub(r"(:\d\d(?:\.\d+)?[+-]\d\d)$", r"\g<1>00", text) if not case.pattern or "%z" in case.pattern else text
    for pattern in patterns:
        try:
            moment = datetime.datetime.strptime(text, pattern)
        except ValueError:
            continue
        return bounded(case, in_century(case, moment))
    return None


def in_century(case, moment):
    """Years of two digits are those within the bounds."""
    two = case.pattern and "%y" in case.pattern
    return moment.replace(year=1950 + (moment.year - 1950) % 100) if two else moment


def bounded(case, moment):
    if case.kind == "date32":
        if moment.time() != datetime.time() or moment.tzinfo:
            return None
    elif moment.tzinfo:
        if "paris" not in case.name and "zoned" not in case.name:
            return None
        moment = moment.astimezone(PARIS).replace(tzinfo=None)
    return moment if LEAST <= moment.date() <= MOST else None


# What DuckDB reads.


def duck(case, path):
    """The values by number, or None of a case that it has no reader for."""
    if "french" in case.name:
        return None
    source = f"read_csv('{path}', delim='\\t', quote='', escape='', header=true, all_varchar=true, auto_detect=false, "
    source += "columns={'id': 'VARCHAR', 'v': 'VARCHAR'})"
    if not case.is_date():
        kind = DUCK.get(case.kind, case.kind)
        read = f"TRY_CAST(v AS {kind})"
    elif case.pattern and "%z" in case.pattern:
        read = f"timezone('Europe/Paris', try_strptime(v, '{case.pattern}'))"
    elif case.pattern:
        read = f"try_strptime(v, '{case.pattern}')"
    elif case.kind == "date32":
        read = "CAST(TRY_CAST(v AS TIMESTAMP) AS TIMESTAMP)"
    else:
        read = "timezone('Europe/Paris', TRY_CAST(v AS TIMESTAMPTZ))"
    con = duckdb.connect()
    con.execute("SET TimeZone = 'Europe/Paris'")
    found = {}
    con.execute(f"CREATE TABLE texts AS SELECT * FROM {source}")
    for n, text, value in con.execute(f"SELECT id, v, {read} FROM texts").fetchall():
        if case.name == "time" and re.search(r":\d\d(\.\d*)?([zZ]|[+-]\d\d(:?\d\d)?)$", text):
            # An instant, whose clock nobody has said.
            value = None
        if case.is_date() and value is not None:
            # Years beyond Python's come as texts.
            value = None if isinstance(value, str) else bounded(case, in_century(case, value))
        found[int(n)] = finite(value) if case.kind.startswith("float") else value
    return found


# Where they differ, and why. A text that a rule fits is not compared with that reader.

DIFFERENCES = [
    # Who, which kinds, a pattern of the text, why.
    ("both", "", r"\s|.*\s$", "blanks around a value are no part of it elsewhere; here `trim` says so"),
    ("both", "", r".*[^\x00-\x7f]", "digits of other scripts are digits to Python"),
    ("both", "int|decimal|float", r".*_", "digits may be apart by underscores"),
    ("both", "int|decimal", r".*[eE]", "whole numbers and decimals may have exponents"),
    ("both", "float", r"[+-]?(inf|nan)", "infinities and NaN are numbers; a file that has them says `null`, or is Parquet"),
    ("both", "int", r"[+-]?[.,]\d|.*[.,]$", "a point may have no digits before it, or behind"),
    ("duckdb", "float", r"\+-", "a number may have two signs"),
    ("duckdb", "uint", r"-0", "zero without a sign may have none"),
    ("duckdb", "int", r"[+-]?\d*\.\d*[1-9]", "fractions are rounded"),
    ("duckdb", "decimal", r"[+-]?\d*\.\d*[1-9]", "fractions beyond the scale are rounded"),
    ("duckdb", "int", r"[+-]?0[xXbB]", "numbers may be hexadecimal or binary"),
    ("duckdb", "bool", r"(yes|no|y|n|on|off|-?\d+)$", "words for truth are others"),
    ("both", "date32", r"\d{4}-366$", "the day after the last one of a year is the first of the next"),
    ("both", "date32|timestamp", r".*\s\s", "a blank of a pattern stands for any number of them"),
    ("python", "date32|timestamp", r"\d{4}-\d\d-\d\d(?-i:t)", "letters may be small"),
    ("duckdb", "date32|timestamp", r".*\.([Z+-]|$)", "a point may have no digits behind"),
    ("duckdb", "timestamp", r".*\.\d{7}", "digits beyond the sixth are cut, or are no fraction"),
    ("duckdb", "date32|timestamp", r".*(:[+-]|T\s|:\s)", "parts of a time may be missing, and have blanks before them"),
    ("duckdb", "date32|timestamp", r".*:\d\d\s+:?\d\d", "what follows a blank behind a time is left out"),
    ("duckdb", "date32|timestamp", r".*[+-]\d\d:$", "an offset may end with a colon"),
    ("python", "timestamp", r".*[+-]\d{6}$", "offsets may have seconds"),
    ("both", "timestamp", r".*[zZ]$", "Z is no offset to some patterns, and z to none"),
    ("duckdb", "date32", r".*\d:?\d\d\s?([zZ]|[+-]\d\d(:?\d\d)?)$", "an offset of a date is left out"),
    ("both", "timestamp", r".*[+-](19|[2-9]\d)(:?\d\d)?$", "clocks may be more than 18 hours apart"),
    ("duckdb", "timestamp", r".*[+-]\d\d:?[6-9]\d$", "offsets may have sixty minutes and more"),
]


def known(who, case, text, value):
    """Whether the difference has a reason."""
    if value is not None and case.is_date() and digits(text) != digits(rendered(case, value)):
        # Parts of a date may have fewer digits than they should, and years more.
        return True
    if who == "duckdb" and case.name == "time_of_paris" and value is not None and is_left_out(text):
        # DuckDB moves it to one that the clock shows; loading keeps what is written.
        return True
    for reader, kinds, pattern, _ in DIFFERENCES:
        if reader in (who, "both") and re.search(kinds, case.kind) and re.match(pattern, text, re.I):
            return True
    return False


def is_left_out(text):
    """Whether the clocks of Paris leave this time out, when summer time begins."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    utc = time.replace(tzinfo=PARIS).astimezone(datetime.timezone.utc) if time.tzinfo is None else None
    return utc is not None and utc.astimezone(PARIS).replace(tzinfo=None) != time


def rendered(case, value):
    return value.strftime(case.pattern.replace("%z", "") if case.pattern else "%Y-%m-%d %H:%M:%S")


def digits(text):
    """How many digits there are in a row, without those of a fraction and an offset, and of times that may be left out."""
    text = re.sub(r"\.\d*(?=$|[Zz+-])|(?<=:\d\d)([Zz]|[+-][\d:]+)$", "", text)
    return [len(run) for run in re.findall(r"\d+", text)]


def same(case, one, other):
    if one is None or other is None:
        return one is None and other is None
    if case.kind.startswith("float"):
        return one == other and str(one)[0] == str(other)[0]
    return one == other


def value_of(case, text):
    """The value that our text is."""
    if case.is_date():
        return datetime.datetime.fromisoformat(text)
    if case.kind == "bool":
        return text == "true"
    if case.kind.startswith("float"):
        return single(float(text)) if case.kind == "float32" else float(text)
    return int(text) if case.kind in INTEGERS else decimal.Decimal(text)


def check_values(folder):
    wrong = 0
    for case in CASES:
        lines = (folder / f"{case.name}.tsv").read_text().split("\n")[1:-1]
        texts = dict((int(n), text) for n, text in (line.split("\t") for line in lines))
        taken = [line.split("\t") for line in (folder / f"{case.name}.ours").read_text().split("\n")[:-1]]
        ours = {int(n): value_of(case, text) for n, text in taken}
        readers = {"python": {n: python(case, text) for n, text in texts.items()}, "duckdb": duck(case, folder / f"{case.name}.tsv")}
        compared = {}
        for who, theirs in readers.items():
            if theirs is None:
                continue
            asked = [n for n in texts if not known(who, case, texts[n], theirs[n])]
            compared[who] = len(asked)
            found = [n for n in asked if not same(case, ours.get(n), theirs[n])]
            wrong += len(found)
            for n in found[:8]:
                print(f"{case.name}: {texts[n]!r} is {ours.get(n)!r}, {who} has {theirs[n]!r}")
        print(f"{case.name}: {len(texts)} texts, {len(ours)} taken, compared {compared}")
    return wrong


# CSV files.

OPTIONS = {
    "strict": "keep_empty = true",
    "multiline": "keep_empty = true, multiline = true",
    "stray": "keep_empty = true, multiline = true, stray_quotes = true",
}


def structure(dice):
    """A file of some rows of three fields."""
    end = dice.choice(["\n", "\n", "\r\n"])
    rows = []
    for n in range(dice.randint(1, 6)):
        fields = [str(n)] + [field(dice) for _ in range(2)]
        rows.append(",".join(fields))
    text = end.join(rows) + dice.choice([end, end, ""])
    if dice.random() < 0.5:
        for _ in range(dice.randint(1, 2)):
            at = dice.randint(2, len(text))
            text = dice.choice([text[:at] + dice.choice('",\n\r x') + text[at:], text[: at - 1] + text[at:]])
    return text


def field(dice):
    plain = "".join(dice.choice("ab é'-") for _ in range(dice.randint(0, 4)))
    if dice.random() < 0.5:
        return plain
    inside = "".join(dice.choice(['a', '""', ',', ' ', 'é', '\n', '\r\n', 'b']) for _ in range(dice.randint(0, 5)))
    return f'"{inside}"'


def csv_of_python(text):
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return None


def csv_of_duckdb(path):
    columns = "{'id': 'VARCHAR', 'a': 'VARCHAR', 'b': 'VARCHAR'}"
    read = f"read_csv('{path}', delim=',', quote='\"', escape='\"', header=false, auto_detect=false, columns={columns}, "
    read += "strict_mode=true, nullstr='\u0001', allow_quoted_nulls=false)"
    try:
        rows = duckdb.sql(f"SELECT * FROM {read}").fetchall()
    except duckdb.Error:
        return None
    return [["" if value is None else value for value in row] for row in rows]


def check_structures(folder):
    """A file that is taken has the rows that others find; one that is refused, they refuse, too, or find a reason for it."""
    wrong, taken, refused = 0, 0, 0
    asked = [json.loads(line) for line in (folder / "structures.jsonl").read_text().splitlines()]
    answers = [json.loads(line) for line in (folder / "structures.ours.jsonl").read_text().splitlines()]
    assert len(asked) == len(answers)
    for one, answer in zip(asked, answers):
        text, path = one["text"], folder / "one.csv"
        path.write_bytes(text.encode())
        others = {"python": csv_of_python(text), "duckdb": csv_of_duckdb(path)}
        lone = re.search(r"\r(?!\n)", text) is not None
        if answer["rows"] is None:
            refused += 1
            excused = lone or others["python"] is None or '"' in text and one["options"] != "stray"
            faults = [] if excused else [f"refused ({answer['error']}), Python has {others['python']}"]
        else:
            taken += 1
            # Rows with another number of fields are bad ones, by themselves; DuckDB refuses the file.
            whole = [row for row in others["python"] or [] if len(row) == 3]
            uneven = others["python"] is not None and len(whole) < len(others["python"])
            # Numbers of rows: the first field is never empty, and a row without one is a bad one.
            good = [row for row in whole if row[0].strip()]
            faults = [] if lone or good == answer["rows"] else [f"{answer['rows']}, Python has {others['python']}"]
            theirs = others["duckdb"]
            stray = one["options"] == "stray" and '"' in text
            # DuckDB takes files whose lines all end alike, those inside quotes as well.
            mixed = "\r\n" in text and re.search(r"(?<!\r)\n", text) is not None
            if not (uneven or lone or stray or mixed or len(good) < len(whole) or theirs == answer["rows"]):
                faults.append(f"{answer['rows']}, DuckDB has {theirs}")
        for fault in faults:
            wrong += 1
            print(f"{one['options']}: {text!r} is {fault}")
    print(f"{len(asked)} files: {taken} taken, {refused} refused")
    return wrong


def make(folder, seed, texts, files):
    (folder / "cases.json").write_text(json.dumps([case.described() for case in CASES]))
    for case in CASES:
        dice = random.Random(f"{seed} {case.name}")
        lines = [f"{n}\t{altered(written(case, dice), dice)}\n" for n in range(texts)]
        (folder / f"{case.name}.tsv").write_text("id\tv\n" + "".join(lines))
    dice = random.Random(f"{seed} structures")
    with (folder / "structures.jsonl").open("w") as out:
        for _ in range(files):
            options = dice.choice(list(OPTIONS))
            print(json.dumps({"text": structure(dice), "options": options, "csv": "header = false, " + OPTIONS[options]}), file=out)


CASES = list(cases())

if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "make":
        make(folder, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(min(check_values(folder) + check_structures(folder), 1))

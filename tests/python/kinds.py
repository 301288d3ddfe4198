"""Statements of every kind that ever came out wrong, over the corner dataset: answered as DuckDB answers, or refused by
name.

    kinds.py SOURCE CASES [--only NAME] [--every N] [--open FILE] CONNECT…

SOURCE is the folder of corner.py, CASES a folder of .slt files (or one file), each CONNECT a connect.json of a person
who sees one corner dataset. A file holds records, with an empty line between two:

    ask NAME [ordered] [types=free] [names=A,B] [share=1e-9] [replans=N] [everywhere]
    the statement
    ---- duckdb [why this is right]
    a statement of DuckDB that answers the same
    ---- bound
    type and value of a parameter, one a line
    ---- refused REGULAR EXPRESSION

Without `---- duckdb` and `---- refused`, DuckDB is asked the statement itself. With several, one must hold: the first
rows that are the same, or a refusal whose sentence the expression finds. `ordered`: the order of rows is part of the
answer. `types=free`: any type of a column will do. `share`: by how much floats may differ. `replans`: how often the
scheduler plans the statement anew; never, unless it is said. `everywhere`: asked also where one of every N is. FILE lists
the statements that are known to fail still, one a line as `file.name`, a tab and what is missing; they are counted as
open. Prints what failed, one block a statement and
connection; fails if anything did.
"""

import argparse
import collections
import pathlib
import re
import sys

import answers
import corner

Case = collections.namedtuple("Case", "file name sql options oracles refusal bound")


def listed(file):
    """The names in a list of open cases."""
    lines = pathlib.Path(file).read_text().splitlines() if file else []
    return {line.split("\t")[0] for line in lines if line and not line.startswith("#")}


def read(path):
    """The cases of a file."""
    cases = []
    for record in re.split(r"\n\s*\n", path.read_text()):
        lines = [line for line in record.splitlines() if not (line.startswith("#") and not line.startswith("####"))]
        if any(lines):
            cases.append(case(path, lines))
    return cases


def case(path, lines):
    words = lines[0].split()
    assert words[0] == "ask", f"{path.name}: {lines[0]}"
    options = dict(word.partition("=")[::2] for word in words[2:])
    unknown = set(options) - {"ordered", "types", "names", "share", "replans", "free", "everywhere"}
    assert not unknown, f"{path.name}: {words[1]}: unknown {unknown}"
    blocks = [("ask", [])]
    for line in lines[1:]:
        if line.startswith("---- "):
            blocks.append((line[5:], []))
        else:
            blocks[-1][1].append(line)
    sql, oracles, refusal, bound = "\n".join(blocks[0][1]), [], None, None
    for head, body in blocks[1:]:
        kind, _, rest = head.partition(" ")
        if kind == "duckdb":
            oracles.append("\n".join(body))
        elif kind == "refused":
            refusal = re.compile(rest, re.I)
        elif kind == "bound":
            bound = body
        else:
            raise AssertionError(f"{path.name}: {words[1]}: {head}")
    if not oracles and refusal is None:
        oracles = [sql]
    return Case(path.stem, words[1], sql, options, oracles, refusal, bound)


def all_cases(place):
    place = pathlib.Path(place)
    found = [case for path in (sorted(place.glob("*.slt")) if place.is_dir() else [place]) for case in read(path)]
    names = collections.Counter((case.file, case.name) for case in found)
    assert max(names.values()) == 1, f"named twice: {[name for name, times in names.items() if times > 1]}"
    return found


def oracle(duck, case):
    """DuckDB's answers to a case, in the order in which they are preferred."""
    _, parameters = answers.arrow_parameters(case.bound) if case.bound else (None, None)
    return [answers.of_duckdb(duck, sql, parameters) for sql in case.oracles]


def verdict(parcours, case, expected, anew=False):
    """What is wrong with Parcours' answer to a case, or None; and how often it was planned anew, which any case may be."""
    allowed = int(case.options.get("replans", 0))
    wrong, replanned = parcours.replans(lambda: judged(parcours, case, expected), allowed, times=1 if anew else 3)
    if wrong is None and replanned != allowed and not anew:
        wrong = f"REPLANNED: planned anew {replanned} times where {allowed} is expected"
    return wrong, replanned


def judged(parcours, case, expected):
    batch, _ = answers.arrow_parameters(case.bound) if case.bound else (None, None)
    try:
        got = parcours.ask(case.sql, batch)
    except answers.Refused as refused:
        if case.refusal and case.refusal.search(str(refused)):
            return None
        return f"REFUSED: {refused}" + (f"\n  the sentence should have: {case.refusal.pattern}" if case.refusal else "")
    except answers.Fault as fault:
        return f"FAULT: {fault}"
    if not expected:
        said = f"ANSWERED with {len(got.rows)} rows what is to be refused ({case.refusal.pattern})"
        return f"{said}\n{answers.shown([], got.rows)}"
    options = {
        "ordered": "ordered" in case.options,
        "types": case.options.get("types") != "free" and "free" not in case.options,
        "share": float(case.options.get("share", 1e-12)),
    }
    said = [answers.difference(one, got, **options) for one in expected]
    if all(said):
        return f"WRONG: {said[0]}"
    names = case.options.get("names")
    if names and names.split(",") != got.names:
        return f"NAMES: {','.join(got.names)} where {names} are right"
    return None


def main(arguments):
    duck = corner.connect(arguments.source)
    every = enumerate(all_cases(arguments.cases))
    cases = [case for at, case in every if at % arguments.every == 0 or "everywhere" in case.options]
    if arguments.only:
        cases = [case for case in cases if arguments.only in f"{case.file}.{case.name}"]
    expected = {}
    for case in cases:
        try:
            expected[case] = oracle(duck, case)
        except Exception as error:
            sys.exit(f"{case.file}.{case.name}: DuckDB does not answer: {error}")
    failed, kinds, replans = 0, collections.Counter(), 0
    open_cases = listed(arguments.open)
    for connect in arguments.connect:
        with answers.Parcours(connect) as parcours:
            for case in cases:
                wrong, replanned = verdict(parcours, case, expected[case], arguments.anew)
                replans += replanned
                kinds[(wrong or "RIGHT:").split(":")[0].split(" ")[0]] += 1
                if wrong and f"{case.file}.{case.name}" in open_cases:
                    kinds["OPEN"] += 1
                    kinds[(wrong or "RIGHT:").split(":")[0].split(" ")[0]] -= 1
                elif wrong:
                    failed += 1
                    print(f"{pathlib.Path(connect).stem} {case.file}.{case.name}\n{case.sql}\n  {wrong}\n", flush=True)
    print(
        f"{len(cases)} statements over {len(arguments.connect)} connections: {dict(kinds)},"
        f" planned anew {replans} times"
    )
    if failed:
        sys.exit(f"{failed} failed")


Case.__hash__ = lambda case: hash((case.file, case.name))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("cases")
    parser.add_argument("--only")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--open")
    parser.add_argument("connect", nargs="+")
    main(parser.parse_args())

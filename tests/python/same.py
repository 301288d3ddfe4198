"""One answer to one statement: asked again and again, of one executor and of several, it is the same to the bit.

    same.py CASES TIMES [--at-most N] CONNECT…

CASES are files of statements as kinds.py reads them, or folders of them, with a comma between; what they expect is
not looked at; `--at-most` takes the first whole and few enough of the others. Each CONNECT is a connect.json of a
person who sees one dataset; several connections whose files are named alike are of clusters that differ in their
executors alone, and answer alike. Rows are compared in order where the statement orders them, else as a bag. Prints
the statements with more than one answer, and fails if there are any.
"""

import argparse
import collections
import hashlib
import pathlib
import re
import sys

import answers
import kinds


def is_ordered(sql):
    """Whether the statement itself ends in ORDER BY, and not a part of it."""
    last = [match.start() for match in re.finditer(r"\bORDER\s+BY\b", sql, re.I)]
    return bool(last) and not any(start < last[-1] < end for start, end in answers.groups(sql))


def digest(parcours, case):
    """What stands for the answer: a digest of its rows, or the sentence that refuses it."""
    batch = answers.arrow_parameters(case.bound)[0] if case.bound else None
    try:
        got = parcours.ask(case.sql, batch)
    except (answers.Refused, answers.Fault) as said:
        return f"{type(said).__name__}: {answers.pattern(str(said))}"
    rows = [repr(row) for row in got.rows]
    lines = rows if is_ordered(case.sql) else sorted(rows)
    return hashlib.sha256("\n".join([str(got.families), *lines]).encode()).hexdigest()[:16]


def main(arguments):
    cases = []
    for place in arguments.cases.split(","):
        more = [case for case in kinds.all_cases(place) if "random()" not in case.sql and "now()" not in case.sql]
        room = max(1, arguments.at_most - len(cases)) if cases and arguments.at_most else len(more)
        cases += more[:: -(-len(more) // room)]
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for connect in arguments.connect:
        with answers.Parcours(connect) as parcours:
            for time in range(arguments.times):
                for case in cases:
                    place = (pathlib.Path(connect).stem, case)
                    found[place][digest(parcours, case)].append(f"{connect} the {time + 1}. time")
    differ = {place: said for place, said in found.items() if len(said) > 1}
    for (name, case), said in differ.items():
        lines = [
            f"  {digest}: {', '.join(times[:4])}{' …' if len(times) > 4 else ''}" for digest, times in said.items()
        ]
        print("\n".join([f"{name} {case.file}.{case.name}", case.sql, *lines, ""]))
    answered = sum(not next(iter(said)).startswith(("Refused", "Fault")) for said in found.values())
    print(
        f"{len(cases)} statements, {arguments.times} times over {len(arguments.connect)} connections:"
        f" {len(found) - len(differ)} of {len(found)} have one answer, {answered} of them with rows"
    )
    if differ:
        sys.exit(f"{len(differ)} statements have several answers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases")
    parser.add_argument("times", type=int)
    parser.add_argument("--at-most", type=int, default=0)
    parser.add_argument("connect", nargs="+")
    main(parser.parse_args())

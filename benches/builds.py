"""Two builds of Parcours side by side: the twelve queries and `SELECT 1`, asked of one cluster and the other in turn.

    builds.py BEFORE AFTER [RUNS]

BEFORE and AFTER are the connect.json of two `parcours demo --keep` over the same patients, each started by its own build.
Each query is asked RUNS times (9) of each, in changing order, after two to warm up; both must give the same rows. Prints a
Markdown table of the least and median milliseconds, the ratios, their geometric mean and those of the totals.
"""

import math
import pathlib
import statistics
import sys

from latency import answer, connect

QUERIES = pathlib.Path(__file__).parent.parent / "crates/synthetic/src/queries"


def turns(connections, statement, runs):
    """The milliseconds of each connection, and whether the rows of both are the same."""
    times, rows = ([], []), [None, None]
    for run in range(runs + 2):
        for which in (0, 1) if run % 2 else (1, 0):
            took, rows[which] = answer(connections[which], statement)
            if run >= 2:
                times[which].append(took)
    texts = [sorted([text(value) for value in row] for row in each) for each in rows]
    return times, texts[0] == texts[1]


def text(value):
    """A value as it is compared: the order of additions changes the last digits of a double from build to build."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def main(before, after, runs=9):
    files = (path for path in sorted(QUERIES.glob("*.sql")) if ".spark" not in path.name)
    statements = {path.stem: path.read_text() for path in files}
    assert statements, f"no queries in {QUERIES}"
    statements["select_1"] = "SELECT 1"
    print("| Query | Before, least | median | After, least | median | Ratio of least | of medians |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    ratios, totals = [], [[0, 0], [0, 0]]
    with connect(before) as first, connect(after) as second:
        for name, statement in statements.items():
            times, same = turns((first, second), statement, int(runs))
            least, medians = [min(each) for each in times], [statistics.median(each) for each in times]
            ratio = (least[1] / least[0], medians[1] / medians[0])
            if name != "select_1":
                ratios.append(ratio)
                totals = [[total + least[i], median + medians[i]] for i, (total, median) in enumerate(totals)]
            figures = f"{least[0]:.1f} | {medians[0]:.1f} | {least[1]:.1f} | {medians[1]:.1f}"
            print(f"| {name}{'' if same else ' (OTHER ROWS)'} | {figures} | {ratio[0]:.3f} | {ratio[1]:.3f} |", flush=True)
    mean = [math.exp(statistics.fmean(math.log(ratio[i]) for ratio in ratios)) for i in (0, 1)]
    (least, median), (least_after, median_after) = totals
    print(f"| total | {least:.0f} | {median:.0f} | {least_after:.0f} | {median_after:.0f} "
          f"| {least_after / least:.3f} | {median_after / median:.3f} |")
    print(f"| geometric mean | | | | | {mean[0]:.3f} | {mean[1]:.3f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])

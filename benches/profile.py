"""Where the processor time of a query goes: executors, scheduler and key daemon sampled by `perf` while it runs.

    profile.py CONNECT [RUNS [NAME ...]]

CONNECT is the connect.json of a running `parcours demo --keep`, NAMEs are those of crates/synthetic/src/queries (all of
them unless told). Each query is asked RUNS times (20), after three to warm up, and every process that the demo started is
sampled meanwhile. Prints a Markdown table: milliseconds of processor time a run, and the share of each kind of work.
Needs Linux, `perf`, and a program built with symbols, as the release build is.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from latency import ask, connect

HERTZ = 997

# The first that matches a symbol or its library takes the sample.
KINDS = {
    "AES": r"aes_gcm|aes_hw|gcm_|ghash|aesni|aes_ctr|vaes|aead_",
    "decompression": r"ZSTD|HUF_|FSE_|XXH|lz4|LZ4",
    "Parquet": r"parquet",
    "grouping": r"aggregates|aggregate|group_values|accumul",
    "joins": r"joins",
    "windows and sorts": r"windows|sorts|window|cursor|row_format|arrow_row",
    "expressions": r"arrow_|physical_expr|datafusion_functions|regex|memchr|hashbrown|hash_utils|foldhash|ahash",
    "wire": r"rustls|h2::|tonic|hyper|tower|prost|http|quick_protobuf|flatbuffers",
    "memory": r"memmove|memset|memcmp|memcpy|\bmi_|_mi_|alloc|free",
    "planning": r"datafusion|ballista|sqlparser|serde",
    "kernel": r"\[k\]",
}


def processes(file):
    """Ids of all processes that the demo of this connect.json started."""
    folder = str(pathlib.Path(file).resolve().parent)
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        words = [os.fsdecode(word) for word in words]
        roles = {"executor", "scheduler", "keyd"}
        if len(words) > 2 and words[1] in roles and any(folder in word for word in words[2:]):
            found.append(entry.name)
    return found


def sampled(pids, work):
    """Seconds of processor time by kind of work while `work` runs."""
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/perf.data"
        record = ["perf", "record", "-q", "-o", data, "-F", str(HERTZ), "-e", "cpu-clock", "-p", ",".join(pids)]
        perf = subprocess.Popen(record, stderr=subprocess.DEVNULL)
        try:
            work()
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait()
        report = ["perf", "report", "-i", data, "--stdio", "-q", "--sort", "symbol,dso", "-F", "sample,symbol,dso"]
        lines = subprocess.run(report, check=True, capture_output=True, text=True).stdout.splitlines()
    seconds = {}
    for line in lines:
        count, _, symbol = line.strip().partition(" ")
        if count.isdigit():
            kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, symbol)), "other")
            seconds[kind] = seconds.get(kind, 0) + int(count) / HERTZ
    return seconds


def main(file, runs=20, *names):
    queries = pathlib.Path(__file__).parent.parent / "crates/synthetic/src/queries"
    names = names or sorted(path.stem for path in queries.glob("*.sql") if "." not in path.stem)
    pids = processes(file)
    if not pids:
        sys.exit(f"no process of the demo of {file} runs here")
    kinds = [*KINDS, "other"]
    print("| Query | Processor time, ms | " + " | ".join(kinds) + " |")
    print("|---|--:|" + "--:|" * len(kinds))
    total = {}
    with connect(file) as connection:
        for name in names:
            statement = (queries / f"{name}.sql").read_text()
            for _ in range(3):
                ask(connection, statement)
            seconds = sampled(pids, lambda: [ask(connection, statement) for _ in range(int(runs))])
            for kind, value in seconds.items():
                total[kind] = total.get(kind, 0) + value
            print(row(name, seconds, kinds, int(runs)), flush=True)
    print(row("**All**", total, kinds, int(runs)))


def row(name, seconds, kinds, runs):
    whole = sum(seconds.values())
    shares = " | ".join(f"{seconds.get(kind, 0) / whole:.0%}" if whole else "-" for kind in kinds)
    return f"| {name} | {whole / runs * 1e3:.0f} | {shares} |"


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Whether the tests of answers find wrong answers: faults are planted one after the other, and each must be found.

    planted.py TARGET [--only WORDS]

Each file of tests/faults is a patch that makes one kind of answer wrong. The repository's last commit is checked out
beside it, each patch is applied there in turn, `parcours` is built from it into TARGET, and the tests of this
repository (wide and metamorphic statements, kinds and joins, random ones, one answer to one statement, SQLite's
queries) are run against that binary, each as much as a run of CI asks, the quick ones first, until one fails over an
answer. First they are run against a binary without a fault: none may fail. A test that fails for another reason, as
over a cluster that does not start, finds nothing. Prints which test found which fault, and fails if a fault was found
by none. Nothing that is built here is called finished: the patches are in no branch and in no build but these.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FAULTS = REPOSITORY / "tests" / "faults"

# What is asked, quickest first. Random statements are the same for every fault.
TESTS = ["wide::", "metamorphic::", "kinds::", "random::", "same::", "slt::"]
SEED = {"PARCOURS_SEED": "planted"}

# What the scripts say where an answer is another one than it should be.
FOUND = re.compile(r"\b(WRONG|ANSWERED|PARTS|COUNTED|DUCKDB|REPLANNED|NAMES)\b|have several answers")


def run(*command, cwd=REPOSITORY, **more):
    return subprocess.run(list(map(str, command)), cwd=cwd, text=True, **more)


def must(*command, **more):
    done = run(*command, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def test_program():
    """The integration tests of this repository, built without a fault."""
    build = ["cargo", "test", "--release", "--locked", "--workspace", "--test", "all", "--no-run"]
    messages = must(*build, "--message-format", "json").splitlines()
    made = [json.loads(line) for line in messages if line.startswith("{")]
    found = [one["executable"] for one in made if one.get("executable") and one["target"]["name"] == "all"]
    return found[-1]


def build(checkout, target):
    """Builds `parcours` as the whole workspace is built, so that the engine is built once."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "CARGO_INCREMENTAL": "1"}
    must("cargo", "build", "--release", "--locked", "--workspace", "--bin", "parcours", cwd=checkout, env=environment)
    return target / "release" / "parcours"


def failed(program, binary, test):
    """The tests of one file that fail against a binary, and what each says."""
    environment = os.environ | SEED | {"PARCOURS_BIN": str(binary)}
    arguments = [test, "--skip", "deep_statements", "--test-threads", "2"]
    done = run(program, *arguments, env=environment, capture_output=True)
    if not re.search(r"^test result: .* [1-9]\d* passed|^test .* FAILED$", done.stdout, re.M):
        sys.exit(f"no test ran:\n{done.stdout}\n{done.stderr}")
    names = re.findall(r"^test (\S+) \.\.\. FAILED$", done.stdout, re.M)
    said = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:)", done.stdout, re.M | re.S))
    return {name: said.get(name, "") for name in names}


def finders(program, binary):
    """The tests that find a fault first, and those before them that fail for another reason."""
    others = []
    for test in TESTS:
        outcomes = failed(program, binary, test)
        found = [name for name, said in outcomes.items() if FOUND.search(said)]
        others += [name for name in outcomes if name not in found]
        if found:
            return found, others
    return [], others


def planted(patch, checkout, target, program):
    """The tests that find a fault, and the others that fail with it."""
    must("git", "apply", patch, cwd=checkout)
    try:
        return finders(program, build(checkout, target))
    finally:
        must("git", "apply", "--reverse", patch, cwd=checkout)


def main(target, only):
    patches = [patch for patch in sorted(FAULTS.glob("*.patch")) if only in patch.name]
    if not patches:
        sys.exit(f"no fault is called {only!r}")
    program, missed = test_program(), []
    # One place for all: cargo tells what is new by the time of files, and a patch renews those that it changes.
    checkout = target / "planted"
    run("git", "worktree", "remove", "--force", checkout, capture_output=True)
    must("git", "worktree", "add", "--force", "--detach", checkout, "HEAD")
    try:
        binary = build(checkout, target)
        for test in TESTS:
            if outcomes := failed(program, binary, test):
                sys.exit("\n".join(["without a fault these fail:", *outcomes, *outcomes.values()]))
        print("without a fault, every test passes", flush=True)
        for patch in patches:
            found, others = planted(patch, checkout, target, program)
            beside = f" (failed for another reason: {', '.join(others)})" if others else ""
            print(f"{patch.stem}: {', '.join(found) or 'NOT FOUND'}{beside}", flush=True)
            missed += [] if found else [patch.stem]
    finally:
        run("git", "worktree", "remove", "--force", checkout, capture_output=True)
    print(f"{len(patches) - len(missed)} of {len(patches)} planted faults were found")
    if missed:
        sys.exit(f"not found: {', '.join(missed)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--only", default="")
    main(**vars(parser.parse_args()))

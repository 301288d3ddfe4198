"""Reads what tests/pyarrow.rs wrote with its key material beside it. Arguments: folder, keyring, key file, stage."""

import json
import pathlib
import shutil
import sys

import parcours_kms
import pyarrow.parquet as pq

folder, stage = pathlib.Path(sys.argv[1]), sys.argv[4]
plain = pq.read_table(folder / "plain.parquet")
keys = parcours_kms.open_keyring(sys.argv[2], key_file=sys.argv[3])
A, B = "shard=0/a.parquet", "shard=1/b.parquet"


def material(file):
    path = folder / file
    return path.with_name(f"_KEY_MATERIAL_FOR_{path.name}.json")


def read(file, held=keys, columns=None):
    return parcours_kms.read_table(folder / file, held, "claims", "dispensings", file, columns, beside=True)


def must_fail(what, action):
    try:
        rows = action()
    except Exception as error:
        print(f"refused as it must be: {what}: {type(error).__name__}")
        return
    sys.exit(f"{what} was read: {rows.num_rows} rows")


def with_material(file, text, action):
    """Runs `action` while other material lies beside the file."""
    good = material(file).read_text()
    try:
        if text is None:
            material(file).unlink()
        else:
            material(file).write_text(text)
        action()
    finally:
        material(file).write_text(good)


assert read(A).equals(plain), "rows differ"
print(f"{plain.num_rows} rows of {plain.num_columns} columns are equal")

if stage == "rewrapped":
    assert all(key.endswith("#2") for key in keys), "old versions are still there"
    must_fail("a file wrapped under a version that is gone", lambda: read(B))
    sys.exit()

assert read(B).equals(plain), "rows differ"
without_health = {key: secret for key, secret in keys.items() if "/health" not in key}
must_fail("a denied class", lambda: read(A, held=without_health, columns=["diagnosis_code"]))
some = ["patient_pseudonym", "birth_year", "site"]
assert read(A, held=without_health, columns=some).equals(plain.select(some)), "rows differ"

with_material(A, None, lambda: must_fail("a file without its material", lambda: read(A)))
with_material(A, material(B).read_text(), lambda: must_fail("a file with another's material", lambda: read(A)))
entries = json.loads(material(A).read_text())
for one, other in [("columnKey2", "columnKey3"), ("columnKey0", "footerKey")]:
    crossed = dict(entries, **{one: entries[other], other: entries[one]})
    with_material(A, json.dumps(crossed), lambda: must_fail("crossed entries", lambda: read(A)))
edited = 0
for name, entry in entries.items():
    wrapped = json.loads(entry)["wrappedDEK"]
    for position in range(0, len(wrapped), 7):
        other = "A" if wrapped[position] != "A" else "B"
        text = dict(entries, **{name: entry.replace(wrapped, wrapped[:position] + other + wrapped[position + 1 :])})
        try:
            with_material(A, json.dumps(text), lambda: sys.exit(f"edited {name} was read: {read(A).num_rows} rows"))
        except Exception:
            edited += 1
print(f"{edited} edited entries refused")

shutil.copy(folder / B, folder / "b-before")
parcours_kms.rewrap(folder / B, keys, "claims", "dispensings", B)
assert (folder / "b-before").read_bytes() == (folder / B).read_bytes(), "the data file changed"
assert read(B).equals(plain), "rows differ"

parcours_kms.leave()

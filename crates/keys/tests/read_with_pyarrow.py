"""Reads what tests/pyarrow.rs wrote and compares it with the plain copy. Arguments: folder, keyring, key file."""

import pathlib
import sys

import parcours_kms
import pyarrow.parquet as pq

folder, keyring, key_file = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
plain = pq.read_table(folder / "plain.parquet")
keys = parcours_kms.open_keyring(keyring, key_file=key_file)
assert keys == parcours_kms.open_keyring(folder / "passphrase-keyring", passphrase="correct horse"), "keyrings differ"


def read(path, file, held=keys, columns=None):
    return parcours_kms.read_table(path, held, "claims", "dispensings", file, columns)


def must_fail(what, action):
    try:
        rows = action()
    except Exception as error:
        print(f"refused as it must be: {what}: {type(error).__name__}")
        return
    sys.exit(f"{what} was read: {rows.num_rows} rows")


a, b = folder / "a.parquet", folder / "b.parquet"
assert read(a, "shard=0/a.parquet").equals(plain), "rows differ"
assert read(b, "shard=1/b.parquet").equals(plain), "rows differ"
print(f"{plain.num_rows} rows of {plain.num_columns} columns are equal")

must_fail("a file without keys", lambda: pq.read_table(a))
must_fail("a file with no key held", lambda: read(a, "shard=0/a.parquet", held={}))
must_fail("a swapped file", lambda: read(b, "shard=0/a.parquet"))
without_health = {key: secret for key, secret in keys.items() if "/health" not in key}
must_fail("a denied class", lambda: read(a, "shard=0/a.parquet", held=without_health, columns=["diagnosis_code"]))
some = ["patient_pseudonym", "birth_year", "site"]
assert read(a, "shard=0/a.parquet", held=without_health, columns=some).equals(plain.select(some)), "rows differ"

good = a.read_bytes()
footer_length = int.from_bytes(good[-8:-4], "little")
footer = len(good) - 8 - footer_length
# What comes before it is not authenticated by itself: random bytes (a brace may be among them) and the key's material.
nonce_of_footer = good.index(b"false}", footer) + len(b"false}")
regions = {
    "first page": range(8, 200, 31),
    "middle pages": range(footer // 4, footer // 4 + 2000, 211),
    "last page before the indexes": range(footer // 2, footer // 2 + 500, 97),
    "footer": range(nonce_of_footer + 20, len(good) - 8, 101),
    "length and magic": range(len(good) - 8, len(good)),
}
damaged = folder / "damaged.parquet"
count = 0
for region, positions in regions.items():
    for position in positions:
        flipped = bytearray(good)
        flipped[position] ^= 1
        damaged.write_bytes(flipped)
        try:
            rows = read(damaged, "shard=0/a.parquet")
        except Exception:
            count += 1
            continue
        # pyarrow reads no page index unless asked: a flip in there changes nothing that it returns.
        if not rows.equals(plain):
            sys.exit(f"byte {position} in {region} changed rows silently")
        if region not in ("last page before the indexes", "middle pages"):
            sys.exit(f"byte {position} in {region} went unseen")
print(f"{count} flipped bytes refused")

parcours_kms.leave()

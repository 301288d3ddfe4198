"""Prints every row of the table `dispensing` of a loaded dataset as tests/tables/sandbox shows it. Argument: the sandbox's
folder, with tables/ and the keyring. Reads the data files with pyarrow and parcours_kms (see crates/keys/tests)."""

import pathlib
import sys

import parcours_kms

folder = pathlib.Path(sys.argv[1])
keys = parcours_kms.open_keyring(folder / "keys.ring", key_file=folder / "keys.key")
table = folder / "tables" / "claims" / "dispensing"
for path in sorted(table.glob("shard=*/part-*.parquet")):
    rows = parcours_kms.read_table(path, keys, "claims", "dispensing", str(path.relative_to(table)), beside=True)
    for row in rows.to_pylist():
        cells = [row[name] for name in ("patient", "day", "code", "quantity", "place")]
        print("|".join("" if cell is None else str(cell) for cell in cells))

parcours_kms.leave()

# What is typed daily. `just` alone lists it.

_list:
    @just --list --unsorted

# Generate patients, load them encrypted, start a cluster and query it
demo *arguments:
    cargo run --release -- demo {{ arguments }}

# Every test, as the README and .ci/run do
test *arguments:
    cargo test --release --workspace --no-fail-fast {{ arguments }}

# Formatting and lints, as .ci/run does
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# Licences, advisories, sources and banned crates of the dependencies (needs cargo-deny)
deny:
    cargo deny check

# Kill executors and clients under running queries, this many times each
soak-kills rounds="500":
    PARCOURS_ROUNDS={{ rounds }} cargo test --release --workspace --test all faults:: -- --nocapture --test-threads 1

# Kill loads at this many moments
soak-loads rounds="20":
    PARCOURS_ROUNDS={{ rounds }} cargo test --release --workspace --test all loads:: -- --nocapture --test-threads 1

# Take the object store away in the middle of this many queries
soak-store rounds="20":
    PARCOURS_ROUNDS={{ rounds }} cargo test --release --workspace --test all s3:: -- --nocapture --test-threads 1

# Build a Vault and try the transit key service against it (needs Go and its module proxy; some minutes)
vault program=(justfile_directory() / "target/vault-transit"):
    test -x {{ program }} || crates/keys/tests/vault/build {{ program }}
    PARCOURS_VAULT={{ program }} cargo test --release --workspace --test transit -- --ignored

# Alter partitions, spill files and encrypted data files on disk, this many times each
tamper rounds="100000":
    PARCOURS_ROUNDS={{ rounds }} cargo test --release --package parcours-executor --package parcours-sealed --package parcours-keys --test tamper -- --nocapture

# Ask this many random queries over shards of one dataset, and DuckDB the same; other ones each time
random queries="5000" seed="":
    PARCOURS_SEED={{ if seed == "" { datetime("%s") } else { seed } }} PARCOURS_ROUNDS={{ queries }} cargo test --release --workspace --test all random:: -- --nocapture

# Ask random queries again, from this number on, of the seed that was printed
random-from seed number queries="1":
    PARCOURS_SEED={{ seed }} PARCOURS_FROM={{ number }} PARCOURS_ROUNDS={{ queries }} cargo test --release --workspace --test all random:: -- --nocapture

# Ask every statement that ever came out wrong, and every way to join, over any number of shards and executors
kinds:
    PARCOURS_EVERY=1 cargo test --release --workspace --test all kinds:: -- --nocapture --test-threads 1

# Ask all of SQLite's queries (some 190,000 answers)
slt every="1":
    PARCOURS_EVERY={{ every }} cargo test --release --workspace --test all slt:: -- --nocapture

# Ask this many statements that leave a choice five times each, of clusters of 1 and 2 executors with 1, 2 and 4 tasks
same statements="400":
    PARCOURS_ROUNDS={{ statements }} cargo test --release --workspace --test all same:: -- --nocapture

# Look at this many random conditions three ways; other ones each time
metamorphic conditions="2000" seed="" from="0":
    PARCOURS_SEED={{ if seed == "" { datetime("%s") } else { seed } }} PARCOURS_FROM={{ from }} PARCOURS_ROUNDS={{ conditions }} cargo test --release --workspace --test all metamorphic:: -- --nocapture

# Ask this many random statements of all clauses, operators and functions; other ones each time; a table of what was met
wide statements="2000" seed="" from="0" coverage="target/coverage.md":
    PARCOURS_SEED={{ if seed == "" { datetime("%s") } else { seed } }} PARCOURS_FROM={{ from }} PARCOURS_ROUNDS={{ statements }} PARCOURS_COVERAGE={{ absolute_path(coverage) }} cargo test --release --workspace --test all wide:: -- --nocapture

# Read this many random texts of every type and pattern, and a twentieth as many CSV files, beside Python and DuckDB
fuzz texts="100000" seed="":
    PARCOURS_SEED={{ if seed == "" { datetime("%s") } else { seed } }} PARCOURS_ROUNDS={{ texts }} cargo test --release --workspace --test tables source_fuzz:: -- --nocapture

# Keep rows by this many random conditions that pass files and row groups over, and count them without, beside DuckDB
pruning conditions="2000" seed="":
    PARCOURS_SEED={{ if seed == "" { datetime("%s") } else { seed } }} PARCOURS_ROUNDS={{ conditions }} cargo test --release --workspace --test tables scan_pruning:: -- --nocapture

# Plant faults, one after the other, and see that the tests of answers find each (an hour or more; a target directory apart)
planted target=(justfile_directory() / "target/planted") only="":
    python3 tests/python/planted.py {{ target }} --only "{{ only }}"

# Change what admits, places, joins within bounds and checks values, one thing at a time, and see which changes no test
# notices (needs cargo-mutants; minutes for each of hundreds: say `--file GLOB` or `--shard 0/40`)
mutants *arguments:
    CARGO_TARGET_DIR={{ justfile_directory() / "target/mutants" }} cargo mutants --output {{ justfile_directory() / "target/mutants" }} {{ arguments }}

# Put a dataset of a thousand files under new master keys, with the figures of it
rewrap-1000:
    cargo test --release -p parcours-tables --test tables rewrap_thousand:: -- --nocapture

# The whole check of a submission
ci:
    .ci/run

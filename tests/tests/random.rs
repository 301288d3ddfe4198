//! Random queries over a dataset as unkind as real ones (`tests/python/hostile.py`): a patient with 5 % of the events, NULLs
//! wherever they may be, shards without a patient, several files a shard. Joins, groupings, windows, unions and subqueries by
//! patient and by other things, over 1, 3, 16 and 64 shards: each is answered as DuckDB answers it on the plain files. Each
//! commit has queries of its own; the seed is printed, and asked again by `PARCOURS_SEED` and `PARCOURS_FROM`.

use anyhow::{Context, Result};
use parcours_tests::rounds::{report, rounds, seed};
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python};

/// Numbers of shards, and how many queries of a hundred each gets.
const SHARDS: [(usize, usize); 4] = [(16, 55), (3, 15), (64, 15), (1, 15)];

/// Queries of a test run.
const SAMPLE: usize = 100;

/// Which share of the queries may be planned anew, in percent: Ballista 55 does not divide what is read of a shuffle by
/// ranges, which a union of rows that lie in shards and of others may ask for.
const REPLANS: &str = "15";

/// Where the numbers of one number of shards end and those of the next begin.
const APART: usize = 1_000_000;

/// Set to the number of a query, only those from it on are asked, over as many shards as it was.
const FROM: &str = "PARCOURS_FROM";

#[test]
fn random_queries_are_answered_as_duckdb_does() -> Result<()> {
    if python::interpreter()?.is_none() {
        return Ok(());
    }
    if let Ok(from) = std::env::var(FROM) {
        let from = from.parse().with_context(|| format!("{FROM} is no number"))?;
        return ask(from, rounds(1));
    }
    let queries = rounds(SAMPLE);
    for (shards, share) in SHARDS {
        ask(shards * APART, (queries * share).div_ceil(100))?;
    }
    Ok(())
}

/// Asks that many queries from this number on.
fn ask(from: usize, queries: usize) -> Result<()> {
    let shards = from / APART;
    let said = answered(shards, from, queries).with_context(|| format!("with {shards} shards"))?;
    report(&format!("{shards} shards: {}", said.trim()));
    Ok(())
}

fn answered(shards: usize, from: usize, queries: usize) -> Result<String> {
    let place = tempfile::tempdir_in(place::scratch("random")?)?;
    let at = |name: &str| place.path().join(name);
    python::run("hostile.py", &[place.path().as_os_str(), shards.to_string().as_ref()])?;
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["hostile"],
        ..Plan::default()
    })?;
    // Two loads, so that a shard has several files.
    for description in ["first.toml", "all.toml"] {
        printed(&mut cluster.load_file(&at(description))?)?;
    }
    cluster.explain(|cluster| {
        cluster.start_all()?;
        let connection = cluster.folder().write_connection("alice", &cluster.ports())?;
        let numbers = [seed(), from.to_string(), queries.to_string()];
        let arguments = [
            connection.as_os_str(),
            at("source").as_os_str(),
            place::tests().join("queries/refused.txt").as_os_str(),
            REPLANS.as_ref(),
            numbers[0].as_ref(),
            numbers[1].as_ref(),
            numbers[2].as_ref(),
        ]
        .map(ToOwned::to_owned);
        python::run("random_queries.py", &arguments)
    })
}

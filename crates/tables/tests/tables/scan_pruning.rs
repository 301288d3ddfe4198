//! What files, row groups and pages are passed over for what is known of their values: a condition keeps the same rows
//! whether rows may be passed over or not, and those that DuckDB keeps, over any layout. `PARCOURS_ROUNDS` says how many.

use std::path::Path;
use std::process::Command;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use parcours_tables::load::{LoadOptions, load};
use parcours_tables::spec::Dataset;
use parcours_tables::verify::{VerifyOptions, verify};

use crate::sandbox::{Sandbox, all_granted, python, query, rounds, seed};

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_keeps_what_it_counts() {
    let Some(python) = python("duckdb, pyarrow") else {
        return;
    };
    let (count, seed) = (rounds(40).to_string(), seed());
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/scan_pruning.py");
    let made = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .args([&seed, &count])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let conditions = std::fs::read(folder.path().join("conditions.json")).unwrap();
    let conditions: Vec<(String, i64)> = serde_json::from_slice(&conditions).unwrap();
    for shards in [1, 4, 64] {
        check(folder.path(), shards, &conditions, &seed).await;
    }
}

async fn check(folder: &Path, shards: usize, conditions: &[(String, i64)], seed: &str) {
    let sandbox = Sandbox::local(shards).await;
    // The order makes row groups of neighbours, whose values are neighbours, too.
    let description = format!(
        "name = \"claims\"\npatient_id = \"id\"\nshards = {shards}\n[[tables]]\nname = \"rows\"\n\
         format = \"parquet\"\nsources = [\"{}/rows.parquet\"]\norder = [\"n\"]\ncolumns = [\n\
         {{ name = \"id\", class = \"identity\" }},\n{}]\n\
         [[tables]]\nname = \"apart\"\nsharded = false\nformat = \"parquet\"\nsources = [\"{}/rows.parquet\"]\n\
         order = [\"n\"]\nignore = [\"id\"]\ncolumns = [\n{}]\n",
        folder.display(),
        columns(),
        folder.display(),
        columns(),
    );
    let dataset = Dataset::parse(&description, folder, &|_| None).unwrap();
    let options = LoadOptions {
        row_group_rows: 50,
        ..sandbox.options()
    };
    load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options)
        .await
        .unwrap();
    // Verification takes what was loaded: NaN, infinities and extremes, too.
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    assert_eq!(verified.unwrap().faults, []);
    let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
    for (condition, expected) in conditions {
        for table in ["rows", "apart"] {
            for sql in [
                format!("SELECT count(*) FROM {table} WHERE {condition}"),
                format!("SELECT count(*) FILTER (WHERE {condition}) FROM {table}"),
            ] {
                let answer = query(&session, &keys, &sql).await.unwrap();
                let found = answer[0].column(0).as_primitive::<Int64Type>().value(0);
                assert_eq!(found, *expected, "{shards} shards, seed {seed}: {sql}");
            }
        }
    }
}

/// All columns but the patient's.
fn columns() -> String {
    let names = ["n", "f", "g", "i", "u", "d", "m", "s", "b"];
    names
        .map(|name| format!("{{ name = \"{name}\", class = \"plain\" }},\n"))
        .concat()
}

//! Texts of every type and pattern, and CSV files of every structure, as `source_fuzz.py` makes them: what is read is held
//! against what Python and DuckDB read of them. `PARCOURS_ROUNDS` says how many texts of each, and a twentieth as
//! many files.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parcours_tables::source::{OnBad, ReadOptions, RejectFile, RejectLimit};
use serde_json::{Value, json};

use crate::sandbox::{python, rounds, seed};
use crate::source_support::Fixture;

fn script(python: &str, arguments: &[&str]) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/source_fuzz.py");
    Command::new(python).arg(script).args(arguments).output().unwrap()
}

#[tokio::test]
async fn others_read_the_same() {
    let Some(python) = python("duckdb") else { return };
    let (texts, seed) = (rounds(1_000), seed());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let made = script(
        &python,
        &["make", at, &seed, &texts.to_string(), &(texts / 20).to_string()],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.path().join("cases.json")).unwrap()).unwrap();
    for case in &cases {
        read_texts(folder.path(), case).await;
    }
    read_files(folder.path()).await;
    let checked = script(&python, &["check", at]);
    let said = String::from_utf8_lossy(&checked.stdout);
    println!("{seed}\n{said}");
    let failed = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "seed {seed}\n{said}{failed}");
}

/// Reads the texts of a case, and writes down the numbers and values of those that are taken.
async fn read_texts(folder: &Path, case: &Value) {
    let of = |key: &str| case[key].as_str().unwrap();
    let content = std::fs::read(folder.join(format!("{}.tsv", of("name")))).unwrap();
    let fixture = Fixture::csv(content, of("column"), &format!("csv = {{ {} }}", of("csv")));
    let mut taken = String::new();
    for row in fixture.rows(all_good(&fixture)).await.unwrap() {
        writeln!(taken, "{}\t{}", row[0], row[1]).unwrap();
    }
    std::fs::write(folder.join(format!("{}.ours", of("name"))), taken).unwrap();
}

/// Sets bad rows aside, however many there are.
fn all_good(fixture: &Fixture) -> ReadOptions {
    let rejects = RejectFile::create(fixture.path("rejects.csv"), RejectLimit::Share(1.0)).unwrap();
    ReadOptions {
        on_bad: OnBad::SetAside(Arc::new(rejects)),
        ..ReadOptions::default()
    }
}

async fn read_files(folder: &Path) {
    let columns = r#"{ name = "a", class = "plain", type = "utf8" }, { name = "b", class = "plain", type = "utf8" }"#;
    let files = std::fs::read_to_string(folder.join("structures.jsonl")).unwrap();
    let mut answers = String::new();
    for line in files.lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        let options = format!("csv = {{ {} }}", file["csv"].as_str().unwrap());
        let fixture = Fixture::csv(file["text"].as_str().unwrap(), columns, &options);
        let answer = match fixture.rows(all_good(&fixture)).await {
            Ok(rows) => json!({ "rows": rows }),
            Err(error) => json!({ "rows": null, "error": error.to_string() }),
        };
        writeln!(answers, "{answer}").unwrap();
    }
    std::fs::write(folder.join("structures.ours.jsonl"), answers).unwrap();
}

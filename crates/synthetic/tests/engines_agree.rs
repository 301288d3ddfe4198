//! The demo's queries over a small population, answered by single-process DataFusion and by DuckDB, must agree row for
//! row. DuckDB runs in the Python that `PARCOURS_PYTHON` names (with the package `duckdb`); without it the comparison
//! is skipped, loudly, except in CI, where that is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use parcours_synthetic::{Population, queries, tables};

type Rows = Vec<Vec<Option<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn datafusion_and_duckdb_give_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let population = Population {
        patients: 2_000,
        ..Population::default()
    };
    population.write_parquet(dir.path(), |_| ()).unwrap();
    let context = SessionContext::new();
    for table in tables() {
        let path = dir.path().join(table.name);
        context
            .register_parquet(table.name, path.to_str().unwrap(), ParquetReadOptions::default())
            .await
            .unwrap();
    }
    let Some(expected) = duckdb_answers(dir.path()) else {
        return;
    };
    for (query, expected) in queries::all().iter().zip(expected) {
        let frame = context
            .sql(query.sql)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", query.name));
        let names: Vec<_> = frame
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(names, query.columns, "{}", query.name);
        let answer = rows(
            &frame
                .collect()
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", query.name)),
        );
        assert!(!answer.is_empty(), "{} finds nothing", query.name);
        assert_eq!(answer.len(), expected.len(), "{}", query.name);
        for (number, (row, wanted)) in answer.iter().zip(&expected).enumerate() {
            let same = row.len() == wanted.len() && row.iter().zip(wanted).all(|(a, b)| agree(a, b));
            assert!(same, "{}, row {number}: {row:?}, DuckDB {wanted:?}", query.name);
        }
    }
}

/// Equal as text, or as numbers to a relative 1e-9.
fn agree(left: &Option<String>, right: &Option<String>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) if left != right => match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() <= 1e-9 * left.abs().max(right.abs()),
            _ => false,
        },
        _ => left == right,
    }
}

fn rows(batches: &[RecordBatch]) -> Rows {
    let options = FormatOptions::default();
    let mut rows = Rows::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |index: usize| {
                batch
                    .column(index)
                    .is_valid(row)
                    .then(|| columns[index].value(row).to_string())
            };
            rows.push((0..columns.len()).map(cell).collect());
        }
    }
    rows
}

/// DuckDB's rows, or `None` when there is no Python to run it in.
fn duckdb_answers(dir: &Path) -> Option<Vec<Rows>> {
    let Ok(python) = std::env::var("PARCOURS_PYTHON") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "PARCOURS_PYTHON must be set in CI"
        );
        eprintln!("SKIPPED: set PARCOURS_PYTHON to a Python with duckdb to compare the engines");
        return None;
    };
    let request = serde_json::json!({
        "dir": dir,
        "tables": tables().iter().map(|table| table.name).collect::<Vec<_>>(),
        "statements": queries::all().iter().map(|query| query.sql).collect::<Vec<_>>(),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/duckdb_answers.py");
    let mut command = Command::new(python);
    let mut child = command
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(request.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "DuckDB failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

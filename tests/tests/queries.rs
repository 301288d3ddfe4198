//! Every query over the public data, asked the two ways people ask: the command line, and Python's ADBC driver. DuckDB
//! on the original files says what is right.

use std::ffi::OsStr;

use anyhow::{Context, Result};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::Sandbox;
use parcours_tests::{place, python, query};

use crate::cluster;

fn through_the_command_line(dataset: &str) -> Result<()> {
    let (Some(oracle), Some(cluster)) = (Oracle::of(dataset)?, cluster::shared()?) else {
        return Ok(());
    };
    check_all(&oracle, dataset, |query| cluster.answer(query)).with_context(|| cluster.last_words())
}

fn through_adbc(dataset: &str) -> Result<()> {
    let (Some(oracle), Some(cluster)) = (Oracle::of(dataset)?, cluster::shared()?) else {
        return Ok(());
    };
    let answers = cluster.folder().at(format!("adbc-{dataset}"));
    ask_python(cluster, dataset, &answers).with_context(|| cluster.last_words())?;
    check_all(&oracle, dataset, |query| {
        Ok(answers.join(format!("{}.arrow", query.name)))
    })
}

/// Asks all queries of a dataset through Python, which leaves one file each in `answers`.
pub fn ask_python(cluster: &Sandbox, dataset: &str, answers: &std::path::Path) -> Result<()> {
    let connection = cluster.folder().write_connection("alice", &cluster.ports())?;
    let folder = query::folder(dataset);
    python::run(
        "adbc_queries.py",
        &[connection.as_os_str(), folder.as_os_str(), answers.as_os_str()],
    )
    .map(drop)
}

/// Checks every query of a dataset and reports all that are wrong, not the first alone.
pub fn check_all(
    oracle: &Oracle,
    dataset: &str,
    answer: impl Fn(&query::Query) -> Result<std::path::PathBuf>,
) -> Result<()> {
    let mut wrong = Vec::new();
    for query in query::all(dataset)? {
        if let Err(error) = answer(&query).and_then(|file| oracle.check(&query, &file)) {
            wrong.push(format!("{}: {error:#}", query.name));
        }
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "{} queries went wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn claims_are_answered_through_the_command_line_as_duckdb_does() -> Result<()> {
    through_the_command_line("claims")
}

#[test]
fn omop_is_answered_through_the_command_line_as_duckdb_does() -> Result<()> {
    through_the_command_line("omop")
}

#[test]
fn claims_are_answered_through_adbc_as_duckdb_does() -> Result<()> {
    through_adbc("claims")
}

#[test]
fn omop_is_answered_through_adbc_as_duckdb_does() -> Result<()> {
    through_adbc("omop")
}

#[test]
fn adbc_learns_catalogs_schemas_parameters_and_info() -> Result<()> {
    let (Some(data), Some(_), Some(cluster)) = (place::data()?, python::interpreter()?, cluster::shared()?) else {
        return Ok(());
    };
    let connection = cluster.folder().write_connection("alice", &cluster.ports())?;
    for dataset in ["claims", "omop"] {
        let arguments = [connection.as_os_str(), OsStr::new(dataset), data.as_os_str()];
        python::run("adbc_metadata.py", &arguments).with_context(|| cluster.last_words())?;
    }
    Ok(())
}

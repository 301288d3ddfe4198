//! Every kind of statement that ever came out wrong, broke or was refused (`tests/queries/kinds`), and every way to
//! join two tables (`tests/python/joins.py`), over a dataset of NULLs, ties and corner values: answered as DuckDB
//! answers, or refused with the sentence that is expected. Over 1, 3 and 16 shards, with one executor and with two.

use std::ffi::OsString;

use anyhow::Result;
use parcours_tests::place;
use parcours_tests::rounds::{every, report};

use crate::corner::Corner;

/// Of how many statements one is asked over 16 shards.
const SHARDED: usize = 1;

/// Of how many statements one is asked of one executor, and one of how many joins of each cluster.
const SAMPLE: usize = 12;
const JOINS: usize = 41;

fn file(name: &str) -> OsString {
    place::tests().join("queries").join(name).into_os_string()
}

#[test]
fn every_kind_is_answered_as_duckdb_does() -> Result<()> {
    let Some(corner) = Corner::with(2)? else { return Ok(()) };
    let mut arguments = vec![corner.source().as_os_str().to_owned(), file("kinds"), "--every".into()];
    arguments.push(every(SHARDED).to_string().into());
    arguments.extend(["--open".into(), file("open.txt"), corner.sharded()]);
    report(corner.run("kinds.py", &arguments)?.trim());
    Ok(())
}

#[test]
fn kinds_are_answered_alike_in_any_number_of_shards() -> Result<()> {
    for executors in [1, 2] {
        let Some(corner) = Corner::with(executors)? else {
            return Ok(());
        };
        let mut arguments = vec![corner.source().as_os_str().to_owned(), file("kinds"), "--every".into()];
        arguments.push(every(SAMPLE).to_string().into());
        arguments.extend(["--open".into(), file("open.txt")]);
        arguments.extend(corner.connections());
        report(&format!(
            "{executors} executors: {}",
            corner.run("kinds.py", &arguments)?.trim()
        ));
    }
    Ok(())
}

#[test]
fn tables_are_joined_as_duckdb_does() -> Result<()> {
    for executors in [1, 2] {
        let Some(corner) = Corner::with(executors)? else {
            return Ok(());
        };
        let mut arguments = vec![
            corner.source().as_os_str().to_owned(),
            file("refused.txt"),
            "--every".into(),
        ];
        arguments.push(every(JOINS).to_string().into());
        arguments.extend(corner.connections());
        report(&format!(
            "{executors} executors: {}",
            corner.run("joins.py", &arguments)?.trim()
        ));
    }
    Ok(())
}

/// Large sides of joins are sorted and merged, and the corner tables are small.
#[test]
fn merged_joins_are_answered_as_duckdb_does() -> Result<()> {
    // The engine's merge joins with a condition are not in order, if rows without a partner come out: planned anew.
    sampled("merged", Corner::merging()?)
}

/// Queries are planned once, in the plainest way, where planning after each stage fails: rarely, and at moments of the
/// engine's own.
#[test]
fn plainly_planned_statements_are_answered_as_duckdb_does() -> Result<()> {
    sampled("plainly planned", Corner::plain()?)
}

/// Asks a sample of joins and kinds of a cluster of its own, which may plan them anew.
fn sampled(how: &str, corner: Option<Corner>) -> Result<()> {
    let Some(corner) = corner else { return Ok(()) };
    for (script, more, sample) in [
        ("joins.py", vec![file("refused.txt")], JOINS),
        (
            "kinds.py",
            vec![file("kinds"), "--open".into(), file("open.txt")],
            SAMPLE,
        ),
    ] {
        let mut arguments = vec![corner.source().as_os_str().to_owned()];
        arguments.extend(more);
        arguments.extend(["--anew".into(), "--every".into(), every(sample).to_string().into()]);
        arguments.push(corner.sharded());
        report(&format!("{how}: {}", corner.run(script, &arguments)?.trim()));
    }
    Ok(())
}

/// How deep, or how long.
const DEPTHS: [&str; 2] = ["300", "3000"];

#[test]
fn deep_statements_are_answered_or_refused() -> Result<()> {
    // In a cluster of its own: a scheduler that ends takes no other test with it.
    let Some(corner) = Corner::alone()? else { return Ok(()) };
    for depth in DEPTHS {
        let arguments = [corner.source().as_os_str().to_owned(), depth.into(), corner.sharded()];
        report(&format!(
            "{depth} deep:\n{}",
            corner.run("deep.py", &arguments)?.trim_end()
        ));
    }
    Ok(())
}

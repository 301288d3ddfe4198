//! Random statements as wide as the SQL surface (`tests/python/wide.py`): every clause, operator and function with
//! every other in turn, over 1, 3 and 16 shards; each is answered as DuckDB answers it, values and types. Each commit
//! has statements of its own. `PARCOURS_COVERAGE` names a file for the table of the features that were met together.

use std::ffi::OsString;

use anyhow::Result;
use parcours_tests::place;
use parcours_tests::rounds::{report, rounds, seed};

use crate::corner::Corner;

/// Statements of a test run.
const SAMPLE: usize = 60;

#[test]
fn statements_of_all_features_are_answered_as_duckdb_does() -> Result<()> {
    let Some(corner) = Corner::with(2)? else { return Ok(()) };
    let from = std::env::var("PARCOURS_FROM").unwrap_or_else(|_| "0".to_owned());
    let mut arguments: Vec<OsString> = vec![corner.source().as_os_str().to_owned()];
    arguments.push(place::tests().join("queries/refused.txt").into_os_string());
    arguments.extend([seed(), from, rounds(SAMPLE).to_string()].map(OsString::from));
    arguments.extend(corner.connections());
    arguments.push(OsString::from("--open"));
    arguments.push(place::tests().join("queries/wide_open.txt").into_os_string());
    if let Some(file) = std::env::var_os("PARCOURS_COVERAGE") {
        arguments.extend([OsString::from("--coverage"), file]);
    }
    report(corner.run("wide.py", &arguments)?.trim());
    Ok(())
}

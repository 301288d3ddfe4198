//! Answers that must agree with each other: the rows for which a random condition holds, does not hold and is unknown
//! are all rows; as many are kept as have it true; DuckDB keeps as many. Each commit has conditions of its own.

use std::ffi::OsString;

use anyhow::Result;
use parcours_tests::place;
use parcours_tests::rounds::{report, rounds, seed};

use crate::corner::Corner;

/// Conditions of a test run.
const SAMPLE: usize = 24;

/// Which share of them may be planned anew, in percent; each of them is answered all the same.
const REPLANS: &str = "10";

#[test]
fn conditions_divide_rows_into_three_parts() -> Result<()> {
    let Some(corner) = Corner::with(2)? else { return Ok(()) };
    let from = std::env::var("PARCOURS_FROM").unwrap_or_else(|_| "0".to_owned());
    let mut arguments: Vec<OsString> = vec![corner.source().as_os_str().to_owned()];
    arguments.push(place::tests().join("queries/refused.txt").into_os_string());
    arguments.push(REPLANS.into());
    arguments.extend([seed(), from, rounds(SAMPLE).to_string()].map(OsString::from));
    arguments.extend(corner.connections());
    report(corner.run("metamorphic.py", &arguments)?.trim());
    Ok(())
}

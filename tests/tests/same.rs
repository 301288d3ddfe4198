//! One answer to one statement. Those that leave a choice (ties at a limit, numbers over ties, sums of floats, a CTE
//! that is read twice) are asked five times of a cluster with one executor and of one with two, and answered alike to
//! the bit.

use std::ffi::OsString;

use anyhow::Result;
use parcours_tests::place;
use parcours_tests::rounds::{report, rounds};

use crate::corner::Corner;

/// How many statements are asked, unless `PARCOURS_ROUNDS` says otherwise.
const SAMPLE: usize = 20;
const TIMES: &str = "5";

#[test]
fn an_answer_does_not_change() -> Result<()> {
    let queries = place::tests().join("queries");
    let folders = format!("{0}/same,{0}/kinds", queries.display());
    let mut arguments: Vec<OsString> = vec![folders.into(), TIMES.into(), "--at-most".into()];
    arguments.push(rounds(SAMPLE).to_string().into());
    let (Some(one), Some(two)) = (Corner::with(1)?, Corner::with(2)?) else {
        return Ok(());
    };
    arguments.extend([one.sharded(), two.sharded()]);
    report(two.run("same.py", &arguments)?.trim());
    Ok(())
}

//! One answer to one statement. Those that leave a choice (ties at a limit, numbers over ties, sums of floats, a CTE
//! that is read twice) are asked five times of clusters that differ in their executors and in the tasks that each runs at
//! once, and answered alike to the bit.

use std::ffi::OsString;

use anyhow::{Context, Result};
use parcours_tests::rounds::{report, rounds};
use parcours_tests::{place, python};

use crate::corner::{Corner, TASKS};

/// How many statements are asked, unless `PARCOURS_ROUNDS` says otherwise.
const SAMPLE: usize = 20;
const TIMES: &str = "5";

/// Executors, and tasks of each, of the clusters beside the one that tests share. A sample is asked of the last alone.
const OTHERS: [(usize, usize); 5] = [(1, 1), (1, 4), (2, 1), (2, 2), (2, 4)];

#[test]
fn an_answer_does_not_change() -> Result<()> {
    if python::interpreter()?.is_none() {
        return Ok(());
    }
    let statements = rounds(SAMPLE);
    let asked = if statements > SAMPLE { &OTHERS[..] } else { &OTHERS[4..] };
    let started = |(executors, tasks): &(usize, usize)| Corner::of(*executors, *tasks)?.context("no interpreter");
    let others = asked.iter().map(started).collect::<Result<Vec<_>>>()?;
    let shared = Corner::with(1)?.context("no interpreter")?;
    let queries = place::tests().join("queries");
    let folders = format!("{0}/same,{0}/kinds", queries.display());
    let mut arguments: Vec<OsString> = vec![folders.into(), TIMES.into(), "--at-most".into()];
    arguments.push(statements.to_string().into());
    arguments.push(shared.sharded());
    arguments.extend(others.iter().map(Corner::sharded));
    report(&format!(
        "1 executor with {TASKS} tasks, and (executors, tasks) {asked:?}: {}",
        shared.run("same.py", &arguments)?.trim()
    ));
    Ok(())
}

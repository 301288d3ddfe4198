//! The cluster that tests share which only read: both public datasets are loaded once. Its processes end with the test
//! process, whose end closes their standard input.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use parcours_tests::place;
use parcours_tests::sandbox::{Plan, Sandbox};

/// The shared cluster, or `None` (reported) without test data.
pub fn shared() -> Result<Option<&'static Sandbox>> {
    static SHARED: OnceLock<Result<Option<Sandbox>, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    shared
        .as_ref()
        .map(Option::as_ref)
        .map_err(|error| anyhow!("the shared cluster did not start: {error}"))
}

/// Prepares a cluster of one's own, loads the plan's datasets and starts it.
pub fn loaded(plan: Plan) -> Result<Sandbox> {
    let datasets = plan.datasets.clone();
    let mut sandbox = Sandbox::prepare(plan)?;
    for dataset in datasets {
        sandbox.load(dataset)?;
    }
    sandbox.explain(Sandbox::start_all)?;
    Ok(sandbox)
}

fn start() -> Result<Option<Sandbox>> {
    match place::data()? {
        Some(_) => loaded(Plan::default()).map(Some),
        None => Ok(None),
    }
}

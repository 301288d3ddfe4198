//! The SQL surface (`crates/sql/surface`, written out in `docs/sql`): every example is asked of executors over 16 shards of
//! the corner dataset (`tests/python/corner.py`) and answered as DuckDB answers it or as its definition says; what is
//! refused names the remedy.

use std::ffi::OsStr;

use anyhow::Result;
use parcours_tests::rounds::report;
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python};

const DATASET: &str = "corner16";

#[test]
fn every_example_of_the_documentation_is_answered_as_its_oracle_says() -> Result<()> {
    if python::interpreter()?.is_none() {
        return Ok(());
    }
    let place = tempfile::tempdir_in(place::scratch("surface")?)?;
    python::run("corner.py", &[place.path().as_os_str(), OsStr::new("16")])?;
    let mut cluster = Sandbox::prepare(Plan {
        executors: 2,
        datasets: vec![DATASET],
        ..Plan::default()
    })?;
    printed(&mut cluster.load_file(&place.path().join(format!("{DATASET}.toml")))?)?;
    let said = cluster.explain(|cluster| {
        cluster.start_all()?;
        let connection = cluster.folder().write_connection("alice", cluster.ports().client)?;
        python::run("surface.py", &[connection.as_os_str(), place.path().as_os_str()])
    })?;
    report(said.trim());
    Ok(())
}

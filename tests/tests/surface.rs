//! The SQL surface (`crates/sql/surface`, written out in `docs/sql`): every example is asked of executors over 16 shards of
//! the corner dataset (`tests/python/corner.py`) and answered as DuckDB answers it or as its definition says; what is
//! refused names the remedy.

use anyhow::Result;
use parcours_tests::rounds::report;

use crate::corner::Corner;

#[test]
fn every_example_of_the_documentation_is_answered_as_its_oracle_says() -> Result<()> {
    let Some(corner) = Corner::with(2)? else { return Ok(()) };
    let arguments = [corner.sharded(), corner.source().as_os_str().to_owned()];
    report(corner.run("surface.py", &arguments)?.trim());
    Ok(())
}

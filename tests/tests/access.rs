//! Who may ask what: a person without an entry is granted nothing, and a query beyond a grant is refused before it runs,
//! naming what it would have needed. Statements that would change anything are refused to everyone.

use anyhow::{Result, ensure};

use crate::cluster;

#[test]
fn a_person_without_an_entry_is_refused() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    let said = cluster.refused("bob", "SELECT count(*) FROM claims.beneficiary")?;
    ensure!(!said.contains("SELECT"), "the refusal repeats the statement: {said}");
    Ok(())
}

#[test]
fn what_is_not_a_query_is_refused() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    for statement in [
        "CREATE TABLE claims.mine AS SELECT 1",
        "CREATE EXTERNAL TABLE stolen STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO claims.beneficiary SELECT * FROM claims.beneficiary",
        "DELETE FROM claims.beneficiary",
        "UPDATE claims.beneficiary SET bene_year = 1",
        "DROP TABLE claims.beneficiary",
        "COPY claims.beneficiary TO '/tmp/stolen.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
    ] {
        cluster.refused("alice", statement)?;
    }
    cluster.ask("SELECT 1 AS one").map(drop)
}

#[test]
fn a_misspelt_column_is_answered_with_its_neighbours() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    let said = cluster.refused("alice", "SELECT bene_birth_date FROM claims.beneficiary")?;
    ensure!(
        said.contains("bene_birth_dt"),
        "the nearest column is not named: {said}"
    );
    Ok(())
}

//! Who may ask what: of a person without an entry no statement is read, and a query beyond a grant is refused before it runs,
//! naming what it would have needed. Statements that would change anything are refused to everyone.

use anyhow::{Result, ensure};
use parcours_tests::sandbox::printed;

use crate::cluster;

#[test]
fn a_person_without_an_entry_is_refused() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    for statement in ["SELECT count(*) FROM claims.beneficiary", "SELECT 1", "SELEC 1"] {
        let said = cluster.refused("bob", statement)?;
        ensure!(said.contains("nothing is granted to you"), "{statement}: {said}");
        ensure!(!said.contains("SELEC"), "the refusal repeats the statement: {said}");
    }
    Ok(())
}

/// Statements that read class health of one column, in whichever clause it stands.
const WITH_HEALTH: [&str; 6] = [
    "SELECT max(icd9_dgns_cd_1) FROM claims.inpatient",
    "SELECT count(*) FROM claims.inpatient WHERE icd9_dgns_cd_1 = '4280'",
    "SELECT count(*) FROM claims.inpatient GROUP BY icd9_dgns_cd_1",
    "SELECT clm_pmt_amt FROM claims.inpatient ORDER BY icd9_dgns_cd_1 LIMIT 3",
    "SELECT count(*) FROM claims.beneficiary WHERE desynpuf_id IN \
     (SELECT desynpuf_id FROM claims.inpatient WHERE icd9_dgns_cd_1 LIKE '4%')",
    "EXPLAIN SELECT max(icd9_dgns_cd_1) FROM claims.inpatient",
];

#[test]
fn a_person_reads_the_classes_that_they_are_granted_and_no_other() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    for statement in WITH_HEALTH {
        let said = cluster.refused("carol", statement)?;
        let sentence = "you are not granted class health of dataset claims (columns inpatient.icd9_dgns_cd_1)";
        ensure!(said.contains(sentence), "{statement}: {said}");
    }
    let mut granted = cluster.sql_command("carol")?;
    granted.args(["--format", "csv", "--command"]);
    granted.arg("SELECT max(clm_pmt_amt) AS m, count(DISTINCT desynpuf_id) AS n FROM claims.inpatient");
    let rows = printed(&mut granted)?;
    ensure!(rows.lines().count() == 2, "{rows}");
    // Another dataset is none of hers.
    let said = cluster.refused("carol", "SELECT count(*) FROM omop.person")?;
    ensure!(said.contains("table omop.person not found"), "{said}");
    Ok(())
}

#[test]
fn what_is_not_a_query_is_refused() -> Result<()> {
    let Some(cluster) = cluster::shared()? else {
        return Ok(());
    };
    let read_only = "this server is read-only";
    for statement in [
        "CREATE TABLE claims.mine AS SELECT 1",
        "CREATE EXTERNAL TABLE stolen STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO claims.beneficiary SELECT * FROM claims.beneficiary",
        "DELETE FROM claims.beneficiary",
        "UPDATE claims.beneficiary SET bene_year = 1",
        "DROP TABLE claims.beneficiary",
        "COPY claims.beneficiary TO '/tmp/stolen.csv'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let said = cluster.refused("alice", statement)?;
        ensure!(said.contains(read_only), "{statement}: {said}");
    }
    let said = cluster.refused("alice", "SELECT * FROM '/etc/passwd'")?;
    ensure!(said.contains("not found"), "{said}");
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

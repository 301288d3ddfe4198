//! Who holds keys: a scheduler that can read neither keys nor data files plans and answers all the same, and executors
//! without the key of one class fail only the queries that read that class, naming it.

use std::process::Command;

use anyhow::{Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::{Plan, Sandbox, files_below};
use parcours_tests::{place, tool};

use crate::queries::check_all;

#[test]
fn a_scheduler_that_can_read_neither_keys_nor_data_files_answers() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    if Command::new("id").arg("-u").output()?.stdout != b"0\n" {
        return tool::missing("the right to run as another user", "run as root");
    }
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["claims"],
        open_to_others: true,
        ..Plan::default()
    })?;
    cluster.load("claims")?;
    cluster.start_scheduler_as("nobody")?;
    cluster.explain(|cluster| {
        let data = files_below(&cluster.folder().at("tables"));
        let parquet = data
            .iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "parquet"));
        let secrets: Vec<_> = parquet.cloned().chain([cluster.folder().at("master.key")]).collect();
        ensure!(
            secrets.len() > 5,
            "there are no data files to be kept from the scheduler"
        );
        for file in secrets {
            let read = Command::new("setpriv")
                .args(["--reuid", "nobody", "--clear-groups", "cat"])
                .arg(&file)
                .output()?;
            ensure!(
                !read.status.success(),
                "the scheduler's user can read {}",
                file.display()
            );
        }
        cluster.start_all()?;
        check_all(&oracle, "claims", |query| cluster.answer(query))
    })
}

#[test]
fn executors_without_one_key_fail_only_what_reads_its_class() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    let held_classes = Some(vec!["footer", "identity", "quasi", "plain"]);
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["claims"],
        held_classes,
        ..Plan::default()
    })?;
    cluster.load("claims")?;
    cluster.explain(|cluster| {
        cluster.start_all()?;
        let people = cluster.ask("SELECT count(DISTINCT desynpuf_id) AS people FROM claims.beneficiary")?;
        ensure!(
            people.rows == [[parcours_tests::rows::Value::Number(500)]],
            "{people:?}"
        );
        for column in ["icd9_dgns_cd_1", "icd9_prcdr_cd_1"] {
            let said = cluster.refused("alice", &format!("SELECT max({column}) FROM claims.inpatient"))?;
            ensure!(said.contains("health"), "the class is not named: {said}");
        }
        cluster
            .ask("SELECT max(clm_pmt_amt) AS paid FROM claims.inpatient")
            .map(drop)
    })
}

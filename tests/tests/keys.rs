//! Who holds keys: a scheduler that can read neither keys nor data files plans and answers all the same; without the key of
//! one class only the queries fail that read that class, naming it; and what is taken back is used no more.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::{ALL_CLASSES, Plan, Sandbox, files_below};
use parcours_tests::{place, tool};

use crate::cluster::loaded;
use crate::faults::report;
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
fn without_one_key_executors_fail_only_what_reads_its_class() -> Result<()> {
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

/// Within so long, what was taken back is used no more.
pub const TAKEN_BACK: Duration = Duration::from_secs(5);
/// Some twelve million rows that read a column of class health, row by row.
const LONG: &str = "SELECT count(*) AS n, max(concat(a.prod_srvc_id, b.prod_srvc_id)) AS m FROM claims.prescription a \
                    JOIN claims.prescription b ON extract(month FROM a.srvc_dt) = extract(month FROM b.srvc_dt)";
const WITH_HEALTH: &str = "SELECT max(icd9_dgns_cd_1) AS m FROM claims.inpatient";
const WITHOUT_HEALTH: &str = "SELECT max(clm_pmt_amt) AS m FROM claims.inpatient";

#[test]
fn a_class_that_is_taken_from_executors_is_used_no_more_and_running_queries_end() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| {
        let executors = ["executor-1", "executor-2"];
        cluster.ask(WITH_HEALTH)?;
        let running = Running::start(cluster, LONG)?;
        let start = Instant::now();
        cluster
            .folder()
            .write_key_access(&executors, &["claims", "omop"], &["identity", "quasi", "plain"])?;
        let said = running.refusal()?;
        ensure!(said.contains("class health of dataset claims"), "{said}");
        ensure!(start.elapsed() < TAKEN_BACK, "it ran on for {:?}", start.elapsed());
        let ended = start.elapsed();
        // The one executor may hear of it before the other.
        while cluster.ask(WITH_HEALTH).is_ok() {
            ensure!(start.elapsed() < TAKEN_BACK, "the class is still used");
        }
        let said = cluster.refused("alice", WITH_HEALTH)?;
        ensure!(said.contains("class health of dataset claims"), "{said}");
        cluster.ask(WITHOUT_HEALTH)?;
        report(&format!(
            "a class taken from executors under a running query: it ended after {ended:.1?}"
        ));
        // And given back.
        cluster
            .folder()
            .write_key_access(&executors, &["claims", "omop"], &ALL_CLASSES)?;
        let start = Instant::now();
        while cluster.ask(WITH_HEALTH).is_err() {
            ensure!(start.elapsed() < TAKEN_BACK, "it does not come back");
        }
        Ok(())
    })
}

#[test]
fn a_class_that_is_taken_from_a_person_ends_their_queries() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| {
        let running = Running::start(cluster, LONG)?;
        let start = Instant::now();
        cluster
            .folder()
            .write_access(&[("alice", "claims", &["identity", "quasi", "plain"])])?;
        let said = running.refusal()?;
        ensure!(
            said.contains("no longer granted class health of dataset claims"),
            "{said}"
        );
        ensure!(start.elapsed() < TAKEN_BACK, "it ran on for {:?}", start.elapsed());
        let said = cluster.refused("alice", WITH_HEALTH)?;
        ensure!(said.contains("health"), "{said}");
        cluster.ask(WITHOUT_HEALTH).map(drop)
    })
}

#[test]
fn without_the_key_daemon_nothing_is_read_and_with_it_again_everything() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| {
        cluster.ask(WITH_HEALTH)?;
        cluster.take_keyd()?.kill()?;
        let start = Instant::now();
        let said = loop {
            if let Ok(said) = cluster.refused("alice", WITH_HEALTH) {
                break said;
            }
            ensure!(
                start.elapsed() < Duration::from_secs(25),
                "keys are kept without the daemon"
            );
        };
        ensure!(said.contains("key service"), "the key service is not named: {said}");
        cluster.start_keyd()?;
        cluster.wait_until_ready()?;
        let start = Instant::now();
        while cluster.ask(WITH_HEALTH).is_err() {
            ensure!(start.elapsed() < TAKEN_BACK, "it does not come back");
        }
        Ok(())
    })
}

#[test]
fn every_release_of_a_key_is_logged() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    // One executor, which then has every shard's keys.
    let mut cluster = loaded(Plan {
        executors: 1,
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        cluster.ask(WITH_HEALTH)?;
        let (asked, log) = (cluster.executor_gauge("key_unwraps")?, cluster.keyd()?.log());
        let releases: Vec<&str> = log.lines().filter(|line| line.contains("data key asked for")).collect();
        ensure!(
            releases.len() as u64 == asked && asked > 0,
            "{asked} keys were asked for, {} releases are logged",
            releases.len()
        );
        let tables = files_below(&cluster.folder().at("tables"));
        let files = tables
            .iter()
            .filter(|file| file.to_string_lossy().contains("inpatient/shard="));
        let most = files.count() as u64 * (ALL_CLASSES.len() as u64 + 1);
        ensure!(
            asked <= most,
            "{asked} keys were asked for, of at most {most} that the table's files have"
        );
        for line in releases {
            for part in [
                "principal=spiffe://parcours.test/user/alice",
                "executor=spiffe://parcours.test/executor/",
                "query=",
            ] {
                ensure!(line.contains(part), "{part} is missing: {line}");
            }
        }
        // Warm, nothing is asked for.
        cluster.ask(WITH_HEALTH)?;
        ensure!(
            cluster.executor_gauge("key_unwraps")? == asked,
            "a warm query asked for keys"
        );
        Ok(())
    })
}

/// A query under way, through the command line.
struct Running(std::process::Child);

impl Running {
    /// Asks, and waits until executors compute.
    fn start(cluster: &Sandbox, sql: &str) -> Result<Self> {
        let mut command = cluster.sql_command("alice")?;
        let child = command
            .args(["--format", "csv", "--command", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let start = Instant::now();
        while cluster.executor_gauge("tasks_running")? == 0 {
            ensure!(start.elapsed() < Duration::from_secs(30), "no task runs");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self(child))
    }

    /// What it says when it is refused.
    fn refusal(self) -> Result<String> {
        let output = self.0.wait_with_output()?;
        ensure!(!output.status.success(), "the query was answered");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

//! Master keys are rotated, tables rewrapped and old versions retired under a cluster that answers all the while: every
//! answer is right, no data file changes, and executors that start anew read with the new versions alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::{Plan, Sandbox, files_below, printed};

use crate::cluster::loaded;
use crate::queries::check_all;

/// How often every key is rotated.
const ROUNDS: u32 = 2;
const USES: [&str; 5] = ["footer", "identity", "quasi", "health", "plain"];

#[test]
fn keys_are_rotated_rewrapped_and_retired_under_queries() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    let mut cluster = loaded(Plan {
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        let before = data_files(cluster)?;
        let commands = (1..=ROUNDS)
            .map(|round| rotation(cluster, round))
            .collect::<Result<Vec<_>>>()?;
        let operator = std::thread::spawn(move || commands.into_iter().flatten().try_for_each(run));
        let mut rounds = 0;
        while rounds == 0 || !operator.is_finished() {
            check_all(&oracle, "claims", |query| cluster.answer(query))?;
            rounds += 1;
        }
        operator
            .join()
            .map_err(|_| anyhow!("the operator's thread ended badly"))??;
        check_all(&oracle, "claims", |query| cluster.answer(query)).context("with warm executors")?;
        ensure!(data_files(cluster)? == before, "a data file changed");
        for number in 0..2 {
            drop(cluster.take_executor(number)?);
        }
        cluster.start_all()?;
        check_all(&oracle, "claims", |query| cluster.answer(query)).context("with new executors")?;
        println!("{ROUNDS} rotations of 5 keys during {rounds} rounds of queries");
        Ok(())
    })
}

/// What an operator types to rotate every key once: its version `round` is the one that goes.
pub fn rotation(cluster: &Sandbox, round: u32) -> Result<Vec<Command>> {
    let parcours = |arguments: &[&str]| -> Result<Command> {
        let mut command = cluster.parcours()?;
        command.args(arguments);
        command.arg("--keyring").arg(cluster.folder().at("master.keyring"));
        command.arg("--key-file").arg(cluster.folder().at("master.key"));
        Ok(command)
    };
    let place = cluster.location();
    let mut commands = vec![
        parcours(&["keyring", "rotate", "claims"])?,
        parcours(&["rewrap", "claims", "--in", &place, "--quiet"])?,
    ];
    for key_use in USES {
        let version = format!("claims/{key_use}#{round}");
        commands.push(parcours(&[
            "keyring",
            "retire",
            &version,
            "--dataset-url",
            &place,
            "--quiet",
        ])?);
    }
    commands.push(parcours(&[
        "tables",
        "verify-keys",
        "claims",
        "--in",
        &place,
        "--quiet",
    ])?);
    Ok(commands)
}

/// Runs a command that must succeed.
pub fn run(mut command: Command) -> Result<()> {
    printed(&mut command).map(drop)
}

/// Every data file with its bytes.
fn data_files(cluster: &Sandbox) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let files = files_below(&cluster.folder().at("tables"));
    let data = files.into_iter().filter(|file| {
        let is_parquet = file.extension().is_some_and(|extension| extension == "parquet");
        is_parquet && !file.components().any(|part| part.as_os_str() == "_delta_log")
    });
    data.map(|file| Ok((file.clone(), std::fs::read(file)?))).collect()
}

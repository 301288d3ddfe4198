//! Master keys in an HSM: tables are loaded and queried with keys that never leave it, and a token that goes away is a clear
//! error until it is back, with no process started anew.

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::{Plan, Sandbox, hsm};

use crate::queries::check_all;

/// How often the token goes away.
const ROUNDS: usize = 3;

#[test]
fn a_cluster_computes_with_keys_that_never_leave_an_hsm() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    if !hsm::is_installed()? {
        return Ok(());
    }
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["claims"],
        hsm: true,
        ..Plan::default()
    })?;
    cluster.load("claims")?;
    cluster.start_all()?;
    cluster.explain(|cluster| {
        check_all(&oracle, "claims", |query| cluster.answer(query))?;
        for round in 0..ROUNDS {
            go_without(cluster).with_context(|| format!("round {round}"))?;
            check_all(&oracle, "claims", |query| cluster.answer(query))
                .with_context(|| format!("after round {round}"))?;
        }
        Ok(())
    })
}

fn go_without(cluster: &Sandbox) -> Result<()> {
    cluster.unplug_hsm()?;
    // Longer than data keys are kept.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let said = cluster.refused("alice", "SELECT max(icd9_dgns_cd_1) FROM claims.inpatient");
    cluster.plug_in_hsm()?;
    let said = said?;
    ensure!(said.contains("key service"), "the key service is not named: {said}");
    ensure!(!said.contains("sandbox-pin"), "the PIN is told: {said}");
    // The module is initialized anew once a second at most.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    Ok(())
}

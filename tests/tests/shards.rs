//! A dataset gets another number of shards under a running cluster: queries are answered all the while, and as DuckDB does
//! on the original files; a resharding that is killed leaves the shards that there were, or the new ones.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::sandbox::{Plan, Sandbox, printed};

use crate::faults::{report, rounds, share};
use crate::queries::check_all;

const COUNT: &str =
    "SELECT count(*) FROM claims.beneficiary b JOIN claims.prescription p ON b.desynpuf_id = p.desynpuf_id";
/// How long a scheduler may go on with the version before.
const SERVED: Duration = Duration::from_secs(3);

#[test]
fn a_dataset_is_resharded_under_a_cluster() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    cluster.load("claims")?;
    cluster.explain(|cluster| {
        cluster.start_all()?;
        let expected = cluster.ask(COUNT)?;
        for shards in ["4", "64", "1", "16"] {
            printed(&mut reshard(cluster, shards)?)?;
            let start = Instant::now();
            while start.elapsed() < SERVED {
                ensure!(cluster.ask(COUNT)?.rows == expected.rows, "into {shards} shards");
            }
            check(cluster, &oracle).with_context(|| format!("in {shards} shards"))?;
        }
        kill_reshardings(cluster, &oracle, rounds(3))
    })
}

fn kill_reshardings(cluster: &Sandbox, oracle: &Oracle, rounds: usize) -> Result<()> {
    let start = Instant::now();
    printed(&mut reshard(cluster, "5")?)?;
    let undisturbed = start.elapsed();
    let mut struck = 0;
    for round in 0..rounds {
        let moment = undisturbed.mul_f64(share(round));
        let mut killed = reshard(cluster, if round % 2 == 0 { "7" } else { "3" })?;
        let mut child = killed
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(moment);
        struck += usize::from(child.try_wait()?.is_none());
        child.kill()?;
        child.wait()?;
        std::thread::sleep(SERVED);
        check(cluster, oracle).with_context(|| format!("killed after {moment:?}"))?;
    }
    printed(&mut reshard(cluster, "16")?)?;
    std::thread::sleep(SERVED);
    check(cluster, oracle).context("after the last resharding")?;
    let removed = cluster.vacuum("claims")?;
    check(cluster, oracle).context("after vacuum")?;
    ensure!(
        struck * 2 >= rounds,
        "only {struck} of {rounds} reshardings were still running"
    );
    report(&format!(
        "{rounds} reshardings killed over {undisturbed:.1?}, {struck} before their end; vacuum removed {removed} files that they had left"
    ));
    Ok(())
}

fn reshard(cluster: &Sandbox, shards: &str) -> Result<std::process::Command> {
    cluster.dataset_command(&["reshard", "claims", "--shards", shards])
}

/// Every row is where its layout promises it, and every query is answered as DuckDB does.
fn check(cluster: &Sandbox, oracle: &Oracle) -> Result<()> {
    printed(&mut cluster.dataset_command(&["tables", "verify", "claims"])?)?;
    check_all(oracle, "claims", |query| cluster.answer(query))
}

//! The same data and the same queries against an object store: everything is loaded into a RADOS gateway over TLS and
//! asked both ways. The store stopped in the middle of a query and started again gives a right answer or a clear error
//! within a stated time, and the next query is right.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::query;
use parcours_tests::rgw::Store;
use parcours_tests::sandbox::{Bucket, Plan, Sandbox};

use crate::cluster::loaded;
use crate::faults::{report, rounds, share};
use crate::queries::{ask_python, check_all};

/// A query whose store goes away answers or fails within so long.
const STATED: Duration = Duration::from_secs(60);
/// How long the store is away.
const AWAY: Duration = Duration::from_secs(3);

fn bucket(store: &Store) -> Result<Bucket> {
    Ok(Bucket {
        url: format!("{}/tables", store.url()?),
        endpoint: store.setting("AWS_ENDPOINT_URL")?.to_owned(),
        ca: store.ca()?,
        environment: store.settings().to_vec(),
    })
}

#[test]
fn tables_in_an_object_store_answer_the_same_and_survive_its_absence() -> Result<()> {
    let (Some(claims), Some(omop)) = (Oracle::of("claims")?, Oracle::of("omop")?) else {
        return Ok(());
    };
    let Some(store) = Store::start()? else { return Ok(()) };
    let mut cluster = loaded(Plan {
        bucket: Some(bucket(&store)?),
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        for (dataset, oracle) in [("claims", &claims), ("omop", &omop)] {
            check_all(oracle, dataset, |query| cluster.answer(query)).context("through the command line")?;
            let answers = cluster.folder().at(format!("adbc-{dataset}"));
            ask_python(cluster, dataset, &answers)?;
            check_all(oracle, dataset, |query| {
                Ok(answers.join(format!("{}.arrow", query.name)))
            })?;
        }
        let Some(faults) = Oracle::over("claims", "faults")? else {
            return Ok(());
        };
        stop_the_store(cluster, &store, &faults, rounds(3))
    })
}

fn stop_the_store(cluster: &Sandbox, store: &Store, oracle: &Oracle, rounds: usize) -> Result<()> {
    let queries = query::all("faults")?;
    let (mut right, mut felt, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..rounds {
        let query = &queries[round % queries.len()];
        let Struck { answered, waited, took } = strike(cluster, store, oracle, query, share(round))
            .with_context(|| format!("round {round} of {}", query.name))?;
        right += usize::from(answered);
        felt += usize::from(waited || !answered);
        slowest = slowest.max(took);
        oracle
            .check(query, &cluster.answer(query)?)
            .context("the query after the store came back")?;
    }
    report(&format!(
        "{rounds} rounds with the object store away for {AWAY:?} in a query, {felt} of which waited for it or failed: {right} \
         right answers, {} clear errors, slowest {slowest:.1?}; every query after it right",
        rounds - right
    ));
    ensure!(
        felt * 3 >= rounds,
        "only {felt} of {rounds} queries had anything to do with the store"
    );
    Ok(())
}

/// What came of a query whose store went away.
struct Struck {
    /// Whether it was answered, rightly.
    answered: bool,
    /// Whether it was still running when the store came back.
    waited: bool,
    /// How long it took either way.
    took: Duration,
}

/// Asks, and takes the store away for a while.
fn strike(cluster: &Sandbox, store: &Store, oracle: &Oracle, query: &query::Query, share: f64) -> Result<Struck> {
    let file = cluster.folder().at("struck.arrow");
    let mut command = cluster.sql_command("alice")?;
    command
        .args(["--format", "arrow", "--file"])
        .arg(&query.path)
        .arg("--output")
        .arg(&file);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(400).mul_f64(share));
    store.stop_gateway()?;
    std::thread::sleep(AWAY);
    let waited = child.try_wait()?.is_none();
    store.start_gateway()?;
    while child.try_wait()?.is_none() {
        if start.elapsed() > STATED {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = start.elapsed();
    let output = child.wait_with_output()?;
    ensure!(took <= STATED, "neither an answer nor an error within {STATED:?}");
    if output.status.success() {
        oracle.check(query, &file)?;
        return Ok(Struck {
            answered: true,
            waited,
            took,
        });
    }
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        said.trim().len() > 20 && !said.contains("panicked"),
        "the error does not help: {said}"
    );
    Ok(Struck {
        answered: false,
        waited,
        took,
    })
}

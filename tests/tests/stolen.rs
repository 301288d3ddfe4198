//! What a stolen certificate of an executor is good for, and whether stop means stop: partitions are given out under the
//! grant of a task alone, and nothing of a query runs on when its client or its scheduler is gone.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use parcours_identity::{ClientTls, Expects, TlsFiles};
use parcours_tests::place;
use parcours_tests::rounds::report;
use parcours_tests::sandbox::{Plan, Sandbox, TRUST_DOMAIN};

use crate::cluster::loaded;

/// Within so long nothing of a query is left that computes without a pause. Alone on a machine it is a tenth.
const STOPPED: Duration = Duration::from_secs(2);
/// Within so long a query has begun on the executors.
const BEGUN: Duration = Duration::from_secs(60);
/// Would be computed for minutes: all pairs of some ten thousand rows, each with its own text.
const ENDLESS: &str = "SELECT max(regexp_replace(concat(a.prod_srvc_id, b.prod_srvc_id), '[0-4]+', 'x', 'g')) AS m \
                       FROM claims.prescription a CROSS JOIN claims.prescription b";
/// The same, by a condition that holds for no pair: nothing comes out of the join.
const BARREN: &str = "SELECT count(*) AS n FROM claims.prescription a JOIN claims.prescription b \
                      ON regexp_replace(concat(a.prod_srvc_id, b.prod_srvc_id), '[0-4]+', 'x', 'g') < ''";

#[test]
fn a_certificate_fetches_no_partition() -> Result<()> {
    let mut cluster = Sandbox::start(Plan::default())?;
    cluster.explain(|cluster| {
        let partition = r#"{"job":"0123456789abcdef","stage":1,"partition":0,"task":0}"#;
        for (body, refusal) in [
            // As partitions were once asked for.
            (partition.to_owned(), "InvalidArgument"),
            (format!(r#"{{"grant":"","partition":{partition}}}"#), "PermissionDenied"),
            (
                format!(r#"{{"grant":"e30.e30.AA","partition":{partition}}}"#),
                "PermissionDenied",
            ),
        ] {
            let refused = fetch(cluster, body.clone())?;
            ensure!(refused == refusal, "{body}: {refused}");
        }
        let log = cluster.executor(0)?.log();
        ensure!(log.contains("a partition is not given out"), "the operator is not told");
        Ok(())
    })
}

/// How the first executor refuses the second one that asks it for something.
fn fetch(cluster: &Sandbox, body: String) -> Result<String> {
    let (cert, key) = cluster.folder().certificate("executor-2-client");
    let files = TlsFiles {
        ca: cluster.folder().at("pki/ca.pem"),
        cert,
        key,
        crl: None,
    };
    parcours_identity::install_crypto_provider();
    let tls = ClientTls::open(files, TRUST_DOMAIN, Expects::Executor("executor-1".to_owned()))?;
    let address = cluster.partitions(0)?.to_string();
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut client = FlightServiceClient::new(tls.connect_lazy(&address)?);
        let action = Action::new("parcours.partition", body.into_bytes());
        match client.do_action(action).await {
            Ok(_) => Err(anyhow!("it was answered")),
            Err(status) => Ok(format!("{:?}", status.code())),
        }
    })
}

#[test]
fn nothing_computes_on_when_its_client_is_gone() -> Result<()> {
    let Some(mut cluster) = claims()? else { return Ok(()) };
    cluster.explain(|cluster| {
        for sql in [ENDLESS, BARREN] {
            let mut client = begin(cluster, sql)?;
            client.kill()?;
            client.wait()?;
            let took = stopped(cluster)?;
            report(&format!(
                "tasks of a join without an equality ended {took:.1?} after their client"
            ));
        }
        cluster.ask("SELECT count(*) AS n FROM claims.prescription").map(drop)
    })
}

#[test]
fn nothing_computes_on_when_its_scheduler_is_gone() -> Result<()> {
    let Some(mut cluster) = claims()? else { return Ok(()) };
    cluster.explain(|cluster| {
        let mut client = begin(cluster, ENDLESS)?;
        cluster.take_scheduler()?.kill()?;
        let took = stopped(cluster)?;
        report(&format!(
            "tasks of a join without an equality ended {took:.1?} after their scheduler"
        ));
        client.wait()?;
        Ok(())
    })
}

fn claims() -> Result<Option<Sandbox>> {
    if place::data()?.is_none() {
        return Ok(None);
    }
    let plan = Plan {
        datasets: vec!["claims"],
        ..Plan::default()
    };
    loaded(plan).map(Some)
}

/// A client that asks a statement, of which tasks run by now.
fn begin(cluster: &Sandbox, sql: &str) -> Result<Child> {
    let mut command = cluster.sql_command("alice")?;
    command.args(["--command", sql]).stdin(Stdio::null());
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    while cluster.executor_gauge("tasks_running")? == 0 {
        ensure!(start.elapsed() < BEGUN, "no task of it runs: {sql}");
        ensure!(client.try_wait()?.is_none(), "it ended before: {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Tasks that read begin first; those that join are what is to be stopped.
    std::thread::sleep(Duration::from_secs(1));
    let running = cluster.executor_gauge("tasks_running")?;
    ensure!(
        running > 0 && client.try_wait()?.is_none(),
        "it was to take long: {sql}"
    );
    Ok(client)
}

/// How long it took until no task was left.
fn stopped(cluster: &Sandbox) -> Result<Duration> {
    let start = Instant::now();
    while cluster.executor_gauge("tasks_running").context("an executor is gone")? > 0 {
        ensure!(start.elapsed() < STOPPED, "tasks compute on");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}

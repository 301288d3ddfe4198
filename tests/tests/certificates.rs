//! The certificate matrix on a running cluster: every wrong certificate at each of its listeners is refused and logged
//! with its reason, every right one is admitted; a revocation and a renewal take effect without a restart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use parcours_identity::Accepts;
use parcours_identity::testing::{TestPki, dial_wrongly, mistakes};
use parcours_tests::sandbox::{Plan, Sandbox, TRUST_DOMAIN, printed};
use parcours_tests::tool;

/// A watched file is looked at within so long.
const NOTICED: Duration = Duration::from_secs(10);

fn cluster() -> Result<(TestPki, Sandbox)> {
    let pki = TestPki::new(TRUST_DOMAIN).map_err(|error| anyhow!("{error}"))?;
    let plan = Plan {
        pki: Some(pki.pki().dir().to_path_buf()),
        ..Plan::default()
    };
    Ok((pki, Sandbox::start(plan)?))
}

#[test]
fn each_listener_refuses_each_wrong_certificate_and_admits_the_right_ones() -> Result<()> {
    let (pki, mut cluster) = cluster()?;
    cluster.explain(|cluster| {
        let (ports, partitions) = (cluster.ports(), cluster.partitions(0)?);
        matrix(&pki, ports.client, Accepts::Users, || Ok(cluster.scheduler()?.log()))?;
        matrix(&pki, ports.internal, Accepts::Executors, || {
            Ok(cluster.scheduler()?.log())
        })?;
        matrix(&pki, ports.keys, Accepts::Executors, || Ok(cluster.keyd()?.log()))?;
        matrix(&pki, partitions, Accepts::ExecutorsAndScheduler, || {
            Ok(cluster.executor(0)?.log())
        })
    })
}

fn matrix(
    pki: &TestPki,
    listener: std::net::SocketAddr,
    accepts: Accepts,
    mut log: impl FnMut() -> Result<String>,
) -> Result<()> {
    let before = log()?.len();
    let runtime = tokio::runtime::Runtime::new()?;
    let outcomes = runtime
        .block_on(dial_wrongly(pki, listener, accepts))
        .map_err(|error| anyhow!("{error}"))?;
    let mistakes = mistakes(&outcomes);
    ensure!(
        outcomes.len() >= 15 && mistakes.is_empty(),
        "{accepts:?}: {}",
        mistakes.join("\n")
    );
    let log = log()?;
    let log = &log[before..];
    for (case, _) in &outcomes {
        ensure!(
            log.contains(case.reason()),
            "{accepts:?}: {case:?} was not logged as {:?}",
            case.reason()
        );
    }
    Ok(())
}

#[test]
fn a_revoked_person_is_refused_without_a_restart() -> Result<()> {
    let (_pki, mut cluster) = cluster()?;
    cluster.explain(|cluster| {
        cluster.ask("SELECT 1 AS one")?;
        let (cert, _) = cluster.folder().certificate("alice-client");
        let mut revoke = cluster.parcours()?;
        revoke
            .args(["pki", "revoke", "--dir"])
            .arg(cluster.folder().at("pki"))
            .arg(cert);
        printed(&mut revoke)?;
        let start = Instant::now();
        while cluster.ask("SELECT 1 AS one").is_ok() {
            ensure!(
                start.elapsed() < NOTICED,
                "a revoked certificate is still admitted after {NOTICED:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        ensure!(
            cluster.scheduler()?.log().contains("revoked"),
            "the refusal was not logged with its reason"
        );
        Ok(())
    })
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() -> Result<()> {
    if !tool::have(&["openssl"], "apt-get install openssl")? {
        return Ok(());
    }
    let (_pki, mut cluster) = cluster()?;
    cluster.explain(|cluster| {
        let before = serial(cluster)?;
        renew_scheduler(cluster)?;
        let start = Instant::now();
        while serial(cluster)? == before {
            ensure!(
                start.elapsed() < NOTICED,
                "the old certificate is still shown after {NOTICED:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        cluster.ask("SELECT 1 AS one").map(drop)
    })
}

fn renew_scheduler(cluster: &Sandbox) -> Result<()> {
    let pki = cluster.folder().at("pki");
    let mut issue = cluster.parcours()?;
    issue
        .args([
            "pki",
            "issue",
            "scheduler",
            "--server",
            "--host",
            "127.0.0.1",
            "--out",
            "renewed",
            "--dir",
        ])
        .arg(&pki);
    printed(&mut issue)?;
    for suffix in ["key", "pem"] {
        let new = pki.join(format!("renewed.{suffix}"));
        std::fs::rename(new, pki.join(format!("scheduler-server.{suffix}")))?;
    }
    Ok(())
}

/// The serial number that the client listener shows, read by OpenSSL.
fn serial(cluster: &Sandbox) -> Result<String> {
    let script = "openssl s_client -connect \"$0\" -alpn h2 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    let address = cluster.ports().client.to_string();
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", script, &address])
        .output()?;
    let serial = String::from_utf8(output.stdout).context("openssl printed no text")?;
    ensure!(
        serial.starts_with("serial="),
        "openssl saw no certificate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serial)
}

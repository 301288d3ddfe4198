//! `parcours doctor` on nodes that run: healthy ones have no problem, and each thing that is broken is found, named and
//! told apart from the others, and is gone from the report when it is mended.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use parcours_tests::sandbox::{Plan, Sandbox};
use serde_json::Value;

/// What the doctor says of a node, and with which exit code.
struct Report {
    code: Option<i32>,
    json: Value,
}

impl Report {
    fn of(cluster: &Sandbox, config: &Path, more: &[&str]) -> Result<Self> {
        let mut doctor = cluster.parcours()?;
        let output = doctor
            .args(["doctor", "--json", "--config"])
            .arg(config)
            .args(more)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(Self {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).with_context(|| said.into_owned())?,
        })
    }

    fn executor(cluster: &Sandbox) -> Result<Self> {
        Self::of(cluster, &cluster.folder().at("executor-1.toml"), &[])
    }

    /// The lines of a level, as `check: what was seen`.
    fn lines(&self, level: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().cloned().unwrap_or_default();
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        let lines = findings.iter().filter(|finding| finding["level"] == level);
        lines
            .map(|finding| format!("{}: {}", text(finding, "check"), text(finding, "seen")))
            .collect()
    }

    fn ensure_healthy(&self) -> Result<()> {
        let problems = self.lines("problem");
        ensure!(
            problems.is_empty() && self.code == Some(0),
            "exit code {:?}, {problems:#?}",
            self.code
        );
        ensure!(self.lines("ok").len() >= 8, "{:#?}", self.json);
        Ok(())
    }

    /// One problem, which says all of `words`.
    fn ensure_problem(&self, words: &[&str]) -> Result<()> {
        let problems = self.lines("problem");
        let named = |problem: &String| words.iter().all(|word| problem.contains(word));
        ensure!(
            self.code == Some(1) && problems.len() == 1 && problems.iter().any(named),
            "{words:?} was to be found alone, exit code {:?}, {problems:#?}",
            self.code
        );
        Ok(())
    }
}

fn chmod(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[test]
fn a_healthy_cluster_has_no_problem_and_each_broken_thing_is_found() -> Result<()> {
    let mut cluster = Sandbox::start(Plan {
        executors: 1,
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        let scheduler = cluster.folder().at("scheduler.toml");
        Report::of(cluster, &scheduler, &[])?
            .ensure_healthy()
            .context("the scheduler")?;
        let healthy = Report::executor(cluster)?;
        healthy.ensure_healthy().context("the executor")?;
        let pid = cluster.executor(0)?.id();
        ensure!(
            healthy.json["pid"] == pid,
            "found by its health port: {}",
            healthy.json["pid"]
        );
        Report::of(
            cluster,
            &cluster.folder().at("executor-1.toml"),
            &["--pid", &pid.to_string()],
        )?
        .ensure_healthy()?;
        permissions(cluster)?;
        key_daemon(cluster)?;
        left_over_files(cluster)?;
        certificates(cluster)?;
        listeners(cluster)?;
        another_process(cluster)
    })
}

/// Each file and folder opened to others in turn.
fn permissions(cluster: &Sandbox) -> Result<()> {
    let at = |name: &str| cluster.folder().at(name);
    let cases: [(PathBuf, u32, &[&str]); 4] = [
        (at("pki/executor-1-client.key"), 0o644, &["certificates", "client"]),
        (at("executor-1.toml"), 0o666, &["configuration", "666"]),
        (at("scratch-executor-1"), 0o755, &["scratch", "755"]),
        (at("scratch-executor-1/spill"), 0o701, &["scratch", "spill", "701"]),
    ];
    for (path, broken, words) in cases {
        let right = mode(&path)?;
        chmod(&path, broken)?;
        let report = Report::executor(cluster)?;
        chmod(&path, right)?;
        if words[0] == "certificates" {
            // A key that is open to others is told twice: by who may read it, and by the node that would not take it.
            let problems = report.lines("problem");
            ensure!(
                problems.len() == 2 && problems.iter().any(|line| line.contains("tls.client.key")),
                "{problems:#?}"
            );
            continue;
        }
        report.ensure_problem(words)?;
    }
    Report::executor(cluster)?
        .ensure_healthy()
        .context("when all is mended")
}

/// The key daemon, healthy and with each of its files opened to others in turn.
fn key_daemon(cluster: &Sandbox) -> Result<()> {
    let (at, config) = (|name: &str| cluster.folder().at(name), cluster.folder().at("keyd.toml"));
    Report::of(cluster, &config, &[])?.ensure_healthy()?;
    for (path, broken, words) in [
        (at("master.keyring"), 0o640, &["secrets", "keys.keyring.path", "640"]),
        (at("master.key"), 0o604, &["secrets", "keys.keyring.key_file", "604"]),
    ] {
        let right = mode(&path)?;
        chmod(&path, broken)?;
        let report = Report::of(cluster, &config, &[])?;
        chmod(&path, right)?;
        report.ensure_problem(words)?;
    }
    Report::of(cluster, &config, &[])?.ensure_healthy()
}

fn left_over_files(cluster: &Sandbox) -> Result<()> {
    let old = cluster.folder().at("scratch-executor-1/spill/spill-of-another-time");
    fs::write(&old, "noise")?;
    Report::executor(cluster)?
        .ensure_healthy()
        .context("a file of the running node")?;
    let before = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().write(true).open(&old)?.set_modified(before)?;
    Report::executor(cluster)?.ensure_problem(&["left-over files", "spill-of-another-time"])?;
    fs::remove_file(&old)?;
    let strange = cluster.folder().at("scratch-executor-1/patients.csv");
    fs::write(&strange, "name")?;
    Report::executor(cluster)?.ensure_problem(&["left-over files", "patients.csv"])?;
    fs::remove_file(&strange)?;
    Report::executor(cluster)?.ensure_healthy()
}

/// A certificate that ends soon, and one of another node.
fn certificates(cluster: &Sandbox) -> Result<()> {
    let pki = cluster.folder().at("pki");
    let (cert, key) = cluster.folder().certificate("executor-1-client");
    let kept = (fs::read(&cert)?, fs::read(&key)?);
    let issue = |name: &str, out: &str, days: &str| -> Result<()> {
        let mut issue = cluster.parcours()?;
        let issued = issue
            .args(["pki", "issue", name, "--client", "--days", days, "--out", out, "--dir"])
            .arg(&pki)
            .output()?;
        ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
        let (new_cert, new_key) = cluster.folder().certificate(out);
        fs::copy(new_cert, &cert)?;
        fs::copy(new_key, &key)?;
        Ok(())
    };
    issue("executor/executor-1", "soon", "12")?;
    let report = Report::executor(cluster)?;
    report.ensure_healthy()?;
    ensure!(
        report
            .lines("warning")
            .iter()
            .any(|line| line.contains("certificates: client") && line.contains("days left")),
        "{:#?}",
        report.lines("warning")
    );
    issue("executor/executor-9", "other", "90")?;
    Report::executor(cluster)?.ensure_problem(&["certificates", "client", "executor/executor-9"])?;
    fs::write(&cert, kept.0)?;
    fs::write(&key, kept.1)?;
    Report::executor(cluster)?.ensure_healthy()
}

/// A configuration that says another port than the node has, and a node that is gone.
fn listeners(cluster: &mut Sandbox) -> Result<()> {
    let pid = cluster.executor(0)?.id().to_string();
    let config = cluster.folder().at("executor-1.toml");
    let (right, here) = (fs::read_to_string(&config)?, cluster.partitions(0)?.to_string());
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    fs::write(&config, right.replace(&here, &free))?;
    let report = Report::of(cluster, &config, &["--pid", &pid])?;
    fs::write(&config, &right)?;
    let problems = report.lines("problem");
    ensure!(
        problems.len() == 2
            && problems
                .iter()
                .any(|line| line.contains("nothing of the process listens") && line.contains(&free))
            && problems
                .iter()
                .any(|line| line.contains("not configured") && line.contains(&here)),
        "{problems:#?}"
    );
    cluster.take_executor(0)?.kill()?;
    let report = Report::executor(cluster)?;
    let problems = report.lines("problem");
    ensure!(
        report.code == Some(1) && problems.iter().any(|line| line.starts_with("process: nothing listens")),
        "{problems:#?}"
    );
    ensure!(
        problems.iter().any(|line| line.starts_with("health port:")),
        "{problems:#?}"
    );
    cluster.start_executor(0)?;
    cluster.wait_until_ready()?;
    Report::executor(cluster)?.ensure_healthy()
}

/// The doctor sent to a process that is no node: this one. It may dump core where the system lets it, holds no listener of
/// the node's, and its memory is open.
fn another_process(cluster: &Sandbox) -> Result<()> {
    let config = cluster.folder().at("executor-1.toml");
    let report = Report::of(cluster, &config, &["--pid", &std::process::id().to_string()])?;
    let problems = report.lines("problem");
    let limits = fs::read_to_string("/proc/self/limits")?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let may_dump = core.is_some_and(|line| line.split_whitespace().nth(5) != Some("0"));
    let told = problems.iter().any(|line| line.starts_with("core dumps:"));
    ensure!(
        told == may_dump,
        "core dumps are possible: {may_dump}, but {problems:#?}"
    );
    let missing = problems
        .iter()
        .filter(|line| line.contains("nothing of the process listens"));
    ensure!(missing.count() == 2 && report.code == Some(1), "{problems:#?}");
    Ok(())
}

#[test]
fn a_configuration_that_no_node_would_take_is_a_usage_error() -> Result<()> {
    let cluster = Sandbox::prepare(Plan {
        executors: 1,
        datasets: Vec::new(),
        ..Plan::default()
    })?;
    let config = cluster.folder().at("broken.toml");
    fs::write(&config, "id = 'e'\nbanana = 1\n")?;
    let output = cluster
        .parcours()?
        .arg("doctor")
        .arg("--config")
        .arg(&config)
        .output()?;
    ensure!(output.status.code() == Some(2), "{:?}", output.status);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(said.contains("banana") || said.contains("missing"), "{said}");
    Ok(())
}

/// A start makes the scratch folders closed and empty, whatever they were before.
#[test]
fn scratch_folders_are_closed_and_scrubbed_at_every_start() -> Result<()> {
    let mut cluster = Sandbox::prepare(Plan {
        executors: 1,
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    let scratch = cluster.folder().at("scratch-executor-1");
    for folder in ["partitions/job/1/0", "spill"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    for left in [
        "partitions/job/1/0/data-0.arrow",
        "partitions/stray",
        "spill/spill-0123",
    ] {
        fs::write(scratch.join(left), "of an earlier process")?;
    }
    for folder in ["", "partitions", "spill"] {
        chmod(&scratch.join(folder), 0o777)?;
    }
    cluster.explain(|cluster| {
        cluster.start_all()?;
        ensure!(
            cluster.scratch_files().is_empty(),
            "left: {:?}",
            cluster.scratch_files()
        );
        for folder in ["", "partitions", "spill"] {
            let mode = mode(&scratch.join(folder))?;
            ensure!(mode == 0o700, "{folder} has mode {mode:o}");
        }
        Report::executor(cluster)?.ensure_healthy()
    })
}

//! `parcours doctor`: looks at a node that runs on this machine and says what of its protections is missing. It changes
//! nothing, asks the node nothing but its health port, and opens no secret: it looks at who else could.
//!
//! Each subject is a module that gathers facts and judges them: `process` and `node` gather, [`memory`], [`files`],
//! [`scratch`], [`sockets`], [`certificates`] and [`health`] judge. What is not seen is a warning, never a pass.

mod certificates;
mod files;
mod finding;
mod health;
mod memory;
mod node;
mod process;
mod scratch;
mod sockets;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use self::finding::{Finding, Level};
use self::health::Health;
use self::memory::Surroundings;
use self::node::{Kind, Node};
use self::process::Process;
use crate::exit::Failure;
use crate::output::{plain, say};

/// Look at a running node: what of a patient or a key it could leave behind, and what to do
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The node's configuration, of a scheduler or an executor
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The node's process [default: the one that listens on the configured health port]
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    node: Kind,
    principal: String,
    pid: Option<u32>,
    findings: Vec<Finding>,
}

/// Runs the command. It fails when a problem was found.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let node = Node::read(&args.config).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let report = look(node, args.pid);
    match args.json {
        true => say(serde_json::to_string_pretty(&report).context("cannot write json")?)?,
        false => print(&report)?,
    }
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Problem), count(Level::Warning)) {
        (0, _) => Ok(()),
        (problems, warnings) => Err(Failure::Failed(anyhow!("{problems} problems and {warnings} warnings"))),
    }
}

fn print(report: &Report) -> std::io::Result<()> {
    let process = report
        .pid
        .map_or("no process".to_owned(), |pid| format!("process {pid}"));
    say(format!("{}, {process}", plain(&report.principal)))?;
    report
        .findings
        .iter()
        .try_for_each(|finding| say(plain(&finding.line())))
}

fn look(node: Node, pid: Option<u32>) -> Report {
    let process = match pid {
        Some(pid) => Process::read(pid),
        None => Process::listening_on(node.health),
    };
    let health = Health::ask(node.health);
    let mut findings = Vec::new();
    let node = match &process {
        Ok(process) => {
            findings.extend(running(&node, process, &health));
            match &process.folder {
                Some(folder) => node.seen_from(folder),
                None => node,
            }
        }
        Err(error) => {
            let seen = format!("{error:#}");
            findings.push(Finding::problem(
                "process",
                seen,
                "start the node, or name its process with --pid",
            ));
            node
        }
    };
    findings.push(health.judge(node.health));
    findings.extend(at_rest(&node, process.as_ref().ok()));
    Report {
        node: node.kind,
        principal: node.principal,
        pid: process.ok().map(|process| process.pid),
        findings,
    }
}

/// What is judged of a running process.
fn running(node: &Node, process: &Process, health: &Health) -> Vec<Finding> {
    let metric = |name: &str| {
        let kind = match node.kind {
            Kind::Scheduler => "scheduler",
            Kind::Executor => "executor",
            Kind::KeyDaemon => "keyd",
        };
        health.metric(&format!("parcours_{kind}_{name}"))
    };
    let around = Surroundings {
        swap_on_disk: std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| memory::swap_on_disk(&swaps)),
        dumpable: metric("dumpable").map(|dumpable| dumpable != 0),
        pages_locked: metric("key_pages_locked"),
        pages_refused: metric("key_pages_refused"),
    };
    let mut findings = vec![user(process)];
    findings.extend(memory::judge(node.kind, process, around));
    findings.extend(sockets::judge(&node.listeners, process.listening.as_deref()));
    findings
}

fn user(process: &Process) -> Finding {
    match process.uid {
        0 => Finding::warning(
            "user",
            "the node runs as root, which may read everything on this machine",
            "run it as a user of its own",
        ),
        user => Finding::ok("user", format!("the node runs as user {user}")),
    }
}

/// What is judged of files, whether a process runs or not.
fn at_rest(node: &Node, process: Option<&Process>) -> Vec<Finding> {
    let user = process.map_or_else(|| rustix::process::geteuid().as_raw(), |process| process.uid);
    let mut findings = files::judge(node, user);
    if let Some(dir) = &node.scratch {
        findings.extend(scratch::judge(dir, user, process.map(|process| process.started)));
    }
    findings.push(scratch::dead_loads(temporary()));
    findings.extend(certificates::judge(node));
    findings
}

/// Where loads spill unless they are told otherwise. The doctor's own environment says nothing of theirs.
fn temporary() -> &'static Path {
    Path::new("/tmp")
}

//! The demo's processes: one key daemon, one scheduler and its executors, children of this process and copies of this binary. They are
//! in process groups of their own, so that Ctrl-C reaches them through us, in order; they end when our end of their
//! standard input closes, however that comes about.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};

use super::folder::Folder;
use super::identities::executor_ids;
use super::settings::Listeners;
use super::steps::Steps;
use crate::exit::Failure;

/// How long processes may take until they are ready.
const START: Duration = Duration::from_secs(60);
/// How long they may take to stop before they are killed.
const STOP: Duration = Duration::from_secs(8);

/// The processes.
#[derive(Default)]
pub struct Cluster {
    processes: Vec<Process>,
}

/// One of them.
pub struct Process {
    /// Its name: `scheduler`, `executor-1`, …
    pub name: String,
    /// Its process id.
    pub id: u32,
    /// Its health port.
    pub health: SocketAddr,
    /// The other end of its standard input, by which it follows us. Not left in `child`, where waiting would close it.
    held: Option<ChildStdin>,
    child: Child,
}

impl Cluster {
    /// Starts all and waits until each says that it is ready.
    pub async fn start(
        &mut self,
        folder: &Folder,
        executors: u16,
        listeners: &Listeners,
        steps: &Steps,
    ) -> Result<(), Failure> {
        let step = steps.begin("starting the cluster");
        self.processes
            .push(Process::spawn(folder, "keyd", "keyd", listeners.keys_health)?);
        self.processes
            .push(Process::spawn(folder, "scheduler", "scheduler", listeners.health)?);
        for (id, listen) in executor_ids(executors).zip(&listeners.executors) {
            self.processes
                .push(Process::spawn(folder, &id, "executor", listen.health)?);
        }
        for process in &mut self.processes {
            process.ready(folder).await?;
        }
        // The scheduler is ready with its first executor; the demo waits for all.
        self.all_connected(listeners.health, executors).await?;
        let ids: Vec<_> = self
            .processes
            .iter()
            .map(|process| format!("{} {}", process.name, process.id))
            .collect();
        step.end(&format!("Started {} processes: {}", ids.len(), ids.join(", ")));
        Ok(())
    }

    /// The processes, the key daemon first.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    async fn all_connected(&self, scheduler: SocketAddr, executors: u16) -> Result<(), Failure> {
        let started = Instant::now();
        while metric(scheduler, "parcours_scheduler_executors_connected").await != Some(u64::from(executors)) {
            if started.elapsed() > START {
                return Err(anyhow!("not every executor has joined within {} s", START.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits until a process ends that should not.
    pub async fn watch(&mut self) -> Result<(), Failure> {
        let ends = self.processes.iter_mut().map(|process| Box::pin(process.child.wait()));
        let (_, which, _) = futures::future::select_all(ends).await;
        let name = self
            .processes
            .get(which)
            .map(|process| process.name.clone())
            .unwrap_or_default();
        Err(anyhow!("{name} ended by itself").into())
    }

    /// Stops all: executors and scheduler are asked at once, and killed when they do not listen.
    pub async fn stop(&mut self, steps: &Steps) {
        if self.processes.is_empty() {
            return;
        }
        let started = Instant::now();
        for process in &mut self.processes {
            drop(process.held.take());
        }
        for process in &mut self.processes {
            let left = STOP.saturating_sub(started.elapsed());
            if tokio::time::timeout(left, process.child.wait()).await.is_err() {
                steps.say(&format!(
                    "{} did not stop in {} s and is killed",
                    process.name,
                    STOP.as_secs()
                ));
                let _ = process.child.kill().await;
            }
        }
        self.processes.clear();
        steps.say(&format!(
            "\nStopped all processes ({:.1} s).",
            started.elapsed().as_secs_f64()
        ));
    }
}

impl Process {
    fn spawn(folder: &Folder, name: &str, command: &str, health: SocketAddr) -> Result<Self, Failure> {
        let binary = std::env::current_exe().context("cannot find this program")?;
        let log = File::create(folder.logs().join(format!("{name}.log"))).context("cannot write a log")?;
        let mut child = Command::new(binary)
            .arg(command)
            .arg("--config")
            .arg(folder.at(format!("{name}.toml")))
            .arg("--exit-with-stdin")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot write a log")?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let held = child.stdin.take();
        match child.id() {
            Some(id) => Ok(Self {
                held,
                name: name.to_owned(),
                id,
                health,
                child,
            }),
            None => Err(anyhow!("{name} ended at once, status {:?}", child.try_wait()).into()),
        }
    }

    async fn ready(&mut self, folder: &Folder) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch a process")? {
                return Err(anyhow!("{} ended with {status}: {}", self.name, self.last_words(folder)).into());
            }
            if get(self.health, "/readyz")
                .await
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
            {
                return Ok(());
            }
            if started.elapsed() > START {
                let words = self.last_words(folder);
                return Err(anyhow!("{} is not ready after {} s: {words}", self.name, START.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn last_words(&self, folder: &Folder) -> String {
        let log = std::fs::read_to_string(folder.logs().join(format!("{}.log", self.name))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// The value of a metric on a health port.
pub async fn metric(health: SocketAddr, name: &str) -> Option<u64> {
    let answer = get(health, "/metrics").await?;
    let line = answer.lines().find(|line| line.split(' ').next() == Some(name))?;
    line.split(' ').nth(1)?.parse().ok()
}

/// A plain HTTP GET on a health port: the whole answer.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?.ok()
}

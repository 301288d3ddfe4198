//! A whole cluster for a test: real processes of the built binary with a development PKI, keyrings and folders of their
//! own, on free ports of loopback. Each can be stopped, killed and started again on the same ports. Nothing is left behind
//! when the test ends, in whatever way: the processes follow their standard input, and folders of test processes that are
//! gone are swept by the next one.

mod command;
pub mod hsm;
mod metrics;
mod namesakes;
mod preparation;
mod settings;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::place;
use crate::process::Process;
use crate::writes::Recorder;
pub use command::printed;
use hsm::Hsm;
pub use metrics::get;
pub use settings::{Bucket, ExecutorSettings, Folder, Ports};

/// The trust domain of every sandbox.
pub const TRUST_DOMAIN: &str = "parcours.test";

/// Every class of columns.
pub const ALL_CLASSES: [&str; 4] = ["identity", "quasi", "health", "plain"];

/// What `carol` is granted of `claims`.
pub const WITHOUT_HEALTH: [&str; 3] = ["identity", "quasi", "plain"];

const START: Duration = Duration::from_secs(60);

/// What a sandbox is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many executors.
    pub executors: usize,
    /// How many tasks each executor runs at once.
    pub tasks: usize,
    /// The memory of each executor, as configurations say it.
    pub memory: &'static str,
    /// How many bytes of small partitions each executor keeps from the disk.
    pub partition_memory: &'static str,
    /// Joins of larger sides are merged; the scheduler's own choice if there is nothing.
    pub hash_join_bytes: Option<usize>,
    /// Whether queries are planned once, in the plainest way.
    pub plan_once: bool,
    /// Where tables go instead of a folder of the sandbox.
    pub bucket: Option<Bucket>,
    /// The datasets whose keys the keyring holds.
    pub datasets: Vec<&'static str>,
    /// The keys of `claims` that the key daemon holds (classes, and `footer`); `None`: the keys of everything.
    pub held_classes: Option<Vec<&'static str>>,
    /// The folder of an authority that is there already, of [`TRUST_DOMAIN`].
    pub pki: Option<PathBuf>,
    /// Whether master keys are in an HSM instead of a keyring; `held_classes` is then not looked at.
    pub hsm: bool,
    /// Whether other users of this machine can reach the folder, which then lies in the system's temporary folder:
    /// target directories often lie below a home that is closed to them.
    pub open_to_others: bool,
    /// What records everything that the cluster's processes and its loads write.
    pub recorder: Option<Arc<Recorder>>,
    /// What processes log, as `PARCOURS_LOG` says it; their own choice if there is nothing.
    pub log: Option<&'static str>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            executors: 2,
            tasks: 2,
            memory: "512MiB",
            partition_memory: "64MiB",
            hash_join_bytes: None,
            plan_once: false,
            bucket: None,
            datasets: vec!["claims", "omop"],
            held_classes: None,
            pki: None,
            hsm: false,
            open_to_others: false,
            recorder: None,
            log: None,
        }
    }
}

/// A cluster. The user `alice` is granted everything, `bob` nothing, and `carol` all of `claims` but the class health.
pub struct Sandbox {
    plan: Plan,
    folder: Folder,
    ports: Ports,
    keyd: Option<Process>,
    scheduler: Option<Process>,
    executors: Vec<Executor>,
}

struct Executor {
    id: String,
    partitions: SocketAddr,
    health: SocketAddr,
    process: Option<Process>,
}

impl Sandbox {
    /// Makes PKI, keyring and configurations. No process runs yet.
    pub fn prepare(plan: Plan) -> Result<Self> {
        let folder = Folder(new_folder(&sandboxes(plan.open_to_others)?)?);
        let [client, internal, health, keys, keys_health] = free_ports()?;
        let ports = Ports {
            client,
            internal,
            health,
            keys,
            keys_health,
        };
        let mut executors = Vec::new();
        for number in 1..=plan.executors {
            let [partitions, health] = free_ports()?;
            executors.push(Executor {
                id: format!("executor-{number}"),
                partitions,
                health,
                process: None,
            });
        }
        let sandbox = Self {
            plan,
            folder,
            ports,
            keyd: None,
            scheduler: None,
            executors,
        };
        std::fs::create_dir(sandbox.folder.at("logs"))?;
        std::fs::create_dir(sandbox.folder.at("tables"))?;
        sandbox.make_pki()?;
        sandbox.make_keys()?;
        sandbox.write_settings()?;
        Ok(sandbox)
    }

    /// Starts everything and waits until queries can run.
    pub fn start(plan: Plan) -> Result<Self> {
        let mut sandbox = Self::prepare(plan)?;
        sandbox.start_all()?;
        Ok(sandbox)
    }

    /// Starts whatever does not run and waits until the scheduler says it is ready.
    pub fn start_all(&mut self) -> Result<()> {
        if self.keyd.is_none() {
            self.start_keyd()?;
        }
        if self.scheduler.is_none() {
            self.start_scheduler()?;
        }
        for number in 0..self.executors.len() {
            if self.executors[number].process.is_none() {
                self.start_executor(number)?;
            }
        }
        self.wait_until_ready()
    }

    /// Starts the key daemon, which alone gets keys.
    pub fn start_keyd(&mut self) -> Result<()> {
        let config = self.folder.at("keyd.toml");
        self.keyd = Some(self.start_node("keyd", "keyd", &config)?);
        Ok(())
    }

    /// Starts the scheduler. It gets no keyring and no credential beyond those of its object store.
    pub fn start_scheduler(&mut self) -> Result<()> {
        let config = self.folder.at("scheduler.toml");
        self.scheduler = Some(self.start_node("scheduler", "scheduler", &config)?);
        Ok(())
    }

    /// Starts the scheduler as another user of this machine, which only root may do. Its own certificates and
    /// configuration are given to that user first.
    pub fn start_scheduler_as(&mut self, user: &str) -> Result<()> {
        self.give_scheduler_to(user)?;
        let config = self.folder.at("scheduler.toml");
        let binary = self.folder.at("parcours");
        std::fs::copy(place::parcours()?, &binary).context("cannot copy the binary to where others can run it")?;
        let mut command = self.clean(Command::new("setpriv"));
        command.args(["--reuid", user, "--clear-groups"]).arg(binary);
        command
            .arg("scheduler")
            .arg("--config")
            .arg(config)
            .arg("--exit-with-stdin");
        self.scheduler = Some(Process::spawn("scheduler", command, &self.folder.at("logs"))?);
        Ok(())
    }

    /// Starts executor `number`, counted from 0.
    pub fn start_executor(&mut self, number: usize) -> Result<()> {
        let id = self.executors[number].id.clone();
        let config = self.folder.at(format!("{id}.toml"));
        self.executors[number].process = Some(self.start_node(&id, "executor", &config)?);
        Ok(())
    }

    /// Waits until the scheduler and each running executor say that they are ready.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let scheduler = self.scheduler.as_mut().map(|process| (process, self.ports.health));
        let executors = self.executors.iter_mut().filter_map(|executor| {
            let health = executor.health;
            executor.process.as_mut().map(|process| (process, health))
        });
        let keyd = self.keyd.as_mut().map(|process| (process, self.ports.keys_health));
        for (process, health) in keyd.into_iter().chain(scheduler).chain(executors) {
            process.wait_until("readiness", START, |_| {
                get(health, "/readyz").is_ok_and(|text| text.contains("200 OK"))
            })?;
        }
        Ok(())
    }

    /// The scheduler's process.
    pub fn scheduler(&mut self) -> Result<&mut Process> {
        self.scheduler.as_mut().context("the scheduler does not run")
    }

    /// The key daemon's process.
    pub fn keyd(&mut self) -> Result<&mut Process> {
        self.keyd.as_mut().context("the key daemon does not run")
    }

    /// Takes the key daemon's process out, to be killed or ended.
    pub fn take_keyd(&mut self) -> Result<Process> {
        self.keyd.take().context("the key daemon does not run")
    }

    /// The process of executor `number`, counted from 0.
    pub fn executor(&mut self, number: usize) -> Result<&mut Process> {
        let executor = self.executors.get_mut(number).context("no such executor")?;
        executor.process.as_mut().context("the executor does not run")
    }

    /// Takes an executor's process out, to be killed or ended; [`Self::start_executor`] starts a new one.
    pub fn take_executor(&mut self, number: usize) -> Result<Process> {
        let executor = self.executors.get_mut(number).context("no such executor")?;
        executor.process.take().context("the executor does not run")
    }

    /// Takes the scheduler's process out, to be killed or ended.
    pub fn take_scheduler(&mut self) -> Result<Process> {
        self.scheduler.take().context("the scheduler does not run")
    }

    /// Where things lie.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The scheduler's listeners.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Where executor `number` serves partitions.
    pub fn partitions(&self, number: usize) -> Result<SocketAddr> {
        Ok(self.executors.get(number).context("no such executor")?.partitions)
    }

    /// The URL under which datasets are loaded.
    pub fn location(&self) -> String {
        match &self.plan.bucket {
            Some(bucket) => bucket.url.clone(),
            None => format!("file://{}", self.folder.at("tables").display()),
        }
    }

    /// Every file that executors keep in their scratch folders now, but for the marks of running processes.
    pub fn scratch_files(&self) -> Vec<PathBuf> {
        let folders = self
            .executors
            .iter()
            .map(|executor| self.folder.at(format!("scratch-{}", executor.id)));
        let files = folders.flat_map(|folder| files_below(&folder));
        files
            .filter(|file| file.file_name().is_none_or(|name| name != "in-use"))
            .collect()
    }

    /// The last words of every process, for the message of a failing test.
    pub fn last_words(&self) -> String {
        let executors = self.executors.iter().filter_map(|executor| executor.process.as_ref());
        let nodes = self.keyd.iter().chain(&self.scheduler);
        nodes.chain(executors).map(Process::last_words).collect()
    }

    /// Runs a test's body; when it fails, its error comes with the processes' last words.
    pub fn explain<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = body(self);
        result.map_err(|error| error.context(format!("the cluster said:\n{}", self.last_words())))
    }

    fn start_node(&self, name: &str, kind: &str, config: &Path) -> Result<Process> {
        let mut command = self.parcours()?;
        command.arg(kind).arg("--config").arg(config).arg("--exit-with-stdin");
        Process::spawn(name, self.recorded(name, command)?, &self.folder.at("logs"))
    }

    /// The command under the recorder, if there is one.
    pub fn recorded(&self, name: &str, command: Command) -> Result<Command> {
        match &self.plan.recorder {
            Some(recorder) => Ok(self.clean(recorder.wrap(name, &command)?)),
            None => Ok(command),
        }
    }

    /// The binary with a clean environment, but for what its object store needs.
    pub fn parcours(&self) -> Result<Command> {
        Ok(self.clean(Command::new(place::parcours()?)))
    }

    fn clean(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &self.folder.0)
            .env("RUST_BACKTRACE", "1")
            .current_dir(&self.folder.0);
        if let Some(log) = self.plan.log {
            command.env("PARCOURS_LOG", log);
        }
        if self.plan.hsm {
            let (name, value) = Hsm(&self.folder).environment();
            command.env(name, value);
        }
        if let Some(bucket) = &self.plan.bucket {
            command.envs(bucket.environment.iter().map(|(name, value)| (name, value)));
        }
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.executors.clear();
        self.scheduler = None;
        self.keyd = None;
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder.0);
        }
    }
}

/// All files below a folder, which may be missing.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.path())).collect()
}

/// Free ports of loopback, all different. They lie below those that systems give to outgoing connections, of which tests
/// make so many that one would now and then be gone before its server binds it.
pub fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test programs that run side by side begin far from each other.
    let begin = std::process::id().wrapping_mul(7_919);
    let candidates = (0..PORTS).map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS);
    let addresses = candidates.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16)));
    let free: Vec<SocketAddr> = addresses
        .filter(|address| TcpListener::bind(address).is_ok())
        .take(N)
        .collect();
    free.try_into().map_err(|_| anyhow::anyhow!("no free port on loopback"))
}

/// Where sandboxes lie: under the target directory, or where other users can reach them.
fn sandboxes(open_to_others: bool) -> Result<PathBuf> {
    if !open_to_others {
        return place::scratch("sandboxes");
    }
    let all = std::env::temp_dir().join("parcours-sandboxes");
    std::fs::create_dir_all(&all).with_context(|| format!("cannot make {}", all.display()))?;
    Ok(all)
}

/// A new `<pid>-<n>` in the folder of all sandboxes; those of processes that are gone are removed first.
fn new_folder(all: &Path) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    for old in std::fs::read_dir(all)?.flatten() {
        let name = old.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.split_once('-'))
            .map(|(pid, _)| pid.to_owned());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(old.path());
        }
    }
    let folder = all.join(format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

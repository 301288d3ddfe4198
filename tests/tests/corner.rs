//! The clusters over the corner dataset (`tests/python/corner.py`) that tests share which only read: one with one
//! executor and one with two, each with the dataset in 1, 3 and 16 shards. Nobody sees more than one of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::{Result, anyhow};
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python};

/// The dataset's names.
const DATASETS: [&str; 3] = ["corner1", "corner3", "corner16"];

/// How many tasks an executor of the shared clusters runs at once.
pub const TASKS: usize = 2;

/// A cluster and the connections to its datasets, in the order of [`DATASETS`].
pub struct Corner {
    cluster: Sandbox,
    connections: Vec<PathBuf>,
    source: PathBuf,
}

impl Corner {
    /// The cluster with one executor or with two; `None` (reported) without Python.
    pub fn with(executors: usize) -> Result<Option<&'static Self>> {
        static SHARED: [OnceLock<Result<Corner, String>>; 2] = [const { OnceLock::new() }; 2];
        if python::interpreter()?.is_none() {
            return Ok(None);
        }
        let started = SHARED[executors - 1]
            .get_or_init(|| start(executors, TASKS, Plan::default()).map_err(|error| format!("{error:#}")));
        started
            .as_ref()
            .map(Some)
            .map_err(|error| anyhow!("a cluster over the corner dataset did not start: {error}"))
    }

    /// A cluster for one test, with one executor.
    pub fn alone() -> Result<Option<Self>> {
        Self::of(1, TASKS)
    }

    /// A cluster for one test, with so many executors and tasks of each at once.
    pub fn of(executors: usize, tasks: usize) -> Result<Option<Self>> {
        python::interpreter()?
            .map(|_| start(executors, tasks, Plan::default()))
            .transpose()
    }

    /// A cluster for one test that takes every side of a join for too large to be joined by hash.
    pub fn merging() -> Result<Option<Self>> {
        let merging = Plan {
            hash_join_bytes: Some(1),
            ..Plan::default()
        };
        python::interpreter()?.map(|_| start(2, TASKS, merging)).transpose()
    }

    /// A cluster for one test that plans each query once, in the plainest way.
    pub fn plain() -> Result<Option<Self>> {
        let plain = Plan {
            plan_once: true,
            ..Plan::default()
        };
        python::interpreter()?.map(|_| start(2, TASKS, plain)).transpose()
    }

    /// The folder of the files that everybody reads.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The connections, of 1, 3 and 16 shards.
    pub fn connections(&self) -> impl Iterator<Item = OsString> {
        self.connections.iter().map(|file| file.as_os_str().to_owned())
    }

    /// The connection to the dataset in 16 shards.
    pub fn sharded(&self) -> OsString {
        self.connections[2].as_os_str().to_owned()
    }

    /// Runs a script against the cluster; after what it says stand the last words of the processes.
    ///
    /// One script at a time: they count how often the scheduler plans anew, and must not count each other's.
    pub fn run(&self, script: &str, arguments: &[OsString]) -> Result<String> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock();
        let said = python::run(script, arguments);
        drop(turn);
        said.map_err(|error| anyhow!("{error:#}\nthe cluster said:\n{}", self.cluster.last_words()))
    }
}

fn start(executors: usize, tasks: usize, plan: Plan) -> Result<Corner> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = place::scratch(&format!("corner-{}", std::process::id()))?.join(number.to_string());
    let shards = DATASETS.map(|dataset| dataset.trim_start_matches("corner"));
    let arguments: Vec<_> = [folder.to_string_lossy().as_ref()]
        .into_iter()
        .chain(shards)
        .map(OsString::from)
        .collect();
    python::run("corner.py", &arguments)?;
    let mut cluster = Sandbox::prepare(Plan {
        executors,
        tasks,
        datasets: DATASETS.to_vec(),
        ..plan
    })?;
    for dataset in DATASETS {
        printed(&mut cluster.load_file(&folder.join(format!("{dataset}.toml")))?)?;
    }
    let connections = cluster.grant_to_namesakes()?;
    cluster.explain(Sandbox::start_all)?;
    Ok(Corner {
        cluster,
        connections,
        source: folder,
    })
}

//! The cluster under test: `parcours demo --keep`, started from the binary beside this one, or one that is running
//! already. It owns the process it has started and ends it when the run ends; it knows no key.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::options::Options;

/// A cluster, and where the rows it was loaded from lie in plain Parquet.
pub struct Cluster {
    /// How to connect.
    pub connect: Connect,
    /// Folder of the plain files, one folder per table.
    pub source: PathBuf,
    /// Dropped with the run, which ends the demo and with it every process it has started.
    _demo: Option<Child>,
}

/// What kind of cluster of Parcours is started.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Encrypted, with so many executors.
    Executors(u16),
    /// The build that writes files and partitions in clear, with as many executors as the cluster it is compared with.
    InClear,
}

impl Kind {
    /// What its columns are called beside others.
    pub fn name(self) -> String {
        match self {
            Kind::Executors(1) => "1 executor".to_owned(),
            Kind::Executors(executors) => format!("{executors} executors"),
            Kind::InClear => "in clear".to_owned(),
        }
    }

    /// A sentence on how it runs.
    pub fn about(self, options: &Options) -> String {
        match self {
            Kind::Executors(_) => format!("{}: the same, encrypted, in a cluster of its own.", self.name()),
            Kind::InClear if options.stock_shuffle => STOCK.to_owned(),
            Kind::InClear => IN_CLEAR.to_owned(),
        }
    }

    fn program(self) -> &'static str {
        match self {
            Kind::Executors(_) => "parcours",
            Kind::InClear => "parcours-plain",
        }
    }

    fn folder(self) -> String {
        match self {
            Kind::Executors(executors) => format!("parcours-{executors}"),
            Kind::InClear => "parcours-plain".to_owned(),
        }
    }

    fn executors(self, options: &Options) -> u16 {
        match self {
            Kind::Executors(executors) => executors,
            Kind::InClear => options.executors,
        }
    }
}

const IN_CLEAR: &str = "In clear: the same program built with `measure-plain`, plain Parquet and partitions.";
const STOCK: &str = "In clear: the same program built with `measure-plain`, plain Parquet, Ballista's own shuffle.";

/// The content of `connect.json`.
#[derive(Debug, Deserialize)]
pub struct Connect {
    pub uri: String,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Cluster {
    /// The cluster that all else is compared with: one that is started, or the one that `options` name.
    pub async fn reach(options: &Options) -> anyhow::Result<Self> {
        let Some(file) = &options.connect else {
            return Self::start(options, Kind::Executors(options.executors)).await;
        };
        let folder = file.parent().unwrap_or(Path::new("."));
        Ok(Self {
            connect: read(file)?,
            source: folder.join("source"),
            _demo: None,
        })
    }

    /// Starts a cluster, loads generated patients and waits until it answers.
    pub async fn start(options: &Options, kind: Kind) -> anyhow::Result<Self> {
        let program = beside_this_program(kind.program())?;
        let folder = match &options.data {
            Some(folder) => folder.clone(),
            None => data_folder(&program, options)?,
        };
        let folder = folder.join(kind.folder());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join("connect.json");
        if file.exists() {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        let mut demo = demo_command(&program, &folder, kind, options);
        let mut demo = demo
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        wait_for(&file, &mut demo).await?;
        Ok(Self {
            connect: read(&file)?,
            source: folder.join("source"),
            _demo: Some(demo),
        })
    }
}

fn demo_command(program: &Path, folder: &Path, kind: Kind, options: &Options) -> Command {
    let mut command = Command::new(program);
    command.arg("demo").arg("--keep").arg("--json").arg("--dir").arg(folder);
    command.arg("--patients").arg(options.patients.to_string());
    command.arg("--seed").arg(options.seed.to_string());
    command.arg("--executors").arg(kind.executors(options).to_string());
    if options.stock_shuffle {
        // Only the build in clear reads it.
        command.env("PARCOURS_STOCK_SHUFFLE", "1");
    }
    // Its own report is not ours; what it says on the way goes to standard error.
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
}

/// Waits for the file that the demo writes last, as long as the demo runs.
async fn wait_for(file: &Path, demo: &mut Child) -> anyhow::Result<()> {
    while read(file).is_err() {
        if let Some(status) = demo.try_wait().context("cannot wait for the demo")? {
            bail!("the demo ended before its cluster could be used: {status}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Connect> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not say how to connect", file.display()))
}

fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find this program")?;
    let program = here.with_file_name(name);
    if !program.is_file() {
        bail!("{} is missing, build it as the README says", program.display());
    }
    Ok(program)
}

/// `bench-data/<patients>-<seed>` in the target folder.
fn data_folder(program: &Path, options: &Options) -> anyhow::Result<PathBuf> {
    let target = program
        .parent()
        .and_then(Path::parent)
        .context("cannot find the target folder, give --data")?;
    Ok(target
        .join("bench-data")
        .join(format!("{}-{}", options.patients, options.seed)))
}

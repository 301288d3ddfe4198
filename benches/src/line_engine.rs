//! An engine in a Python process of its own, which keeps one connection and answers one statement per line: the scripts
//! `*_side.py` beside this crate. What they answer from is their own matter; what they are asked is the same.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, anyhow};
use parcours_synthetic::tables;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::measure::{Answer, Rows};
use crate::options::Options;

/// An engine that has a script.
pub struct Side {
    /// What it is called.
    pub name: &'static str,
    /// What it answers from.
    pub over: &'static str,
    /// The Python package that its script needs.
    package: &'static str,
    script: &'static str,
}

/// DuckDB, always asked.
pub static DUCKDB: Side = Side {
    name: "DuckDB",
    over: "plain Parquet",
    package: "duckdb",
    script: "duckdb_side.py",
};

/// The engine below Parcours, in one process.
pub static DATAFUSION: Side = Side {
    name: "DataFusion",
    over: "plain Parquet",
    package: "datafusion",
    script: "datafusion_side.py",
};

/// Spark, which encrypts files of its own before it answers.
pub static SPARK: Side = Side {
    name: "Spark",
    over: "its own encrypted Parquet",
    package: "pyspark",
    script: "spark_side.py",
};

/// The process and its two ends.
pub struct LineEngine {
    pub side: &'static Side,
    /// The engine's version.
    pub version: String,
    statements: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Answered { seconds: f64, rows: Rows },
    Failed { error: String },
}

impl LineEngine {
    /// Starts it over the plain files below `source`.
    pub async fn start(side: &'static Side, options: &Options, source: &Path) -> anyhow::Result<Self> {
        let Side { name, package, .. } = side;
        let mut process = command(side, options, source)
            .spawn()
            .with_context(|| format!("cannot run {}", options.python.display()))?;
        let statements = process.stdin.take().context("no way to ask an engine")?;
        let mut answers = BufReader::new(process.stdout.take().context("no way to hear an engine")?).lines();
        let missing = || format!("{name} did not start, set PARCOURS_PYTHON to a Python with the package {package}");
        let first = answers.next_line().await?.with_context(missing)?;
        let Version { version } = serde_json::from_str(&first).with_context(missing)?;
        Ok(Self {
            side,
            version,
            statements,
            answers,
            _process: process,
        })
    }

    /// Runs a statement to its last row.
    pub async fn run(&mut self, sql: &str) -> anyhow::Result<Answer> {
        let name = self.side.name;
        let gone = || format!("{name} is gone");
        let line = serde_json::to_string(sql)? + "\n";
        self.statements.write_all(line.as_bytes()).await.with_context(gone)?;
        let line = self.answers.next_line().await?.with_context(gone)?;
        match serde_json::from_str(&line).with_context(|| format!("{name} answered something else"))? {
            Line::Answered { seconds, rows } => Ok(Answer { seconds, rows }),
            Line::Failed { error } => Err(anyhow!("{name}: {error}")),
        }
    }
}

fn command(side: &Side, options: &Options, source: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(side.script);
    let mut command = Command::new(&options.python);
    command.arg(script).arg(options.threads.to_string()).arg(source);
    command.args(tables().iter().map(|table| table.name));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

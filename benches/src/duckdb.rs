//! DuckDB's side: a Python process that keeps one connection and answers one statement per line (`duckdb_side.py`).

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, anyhow};
use parcours_synthetic::tables;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::measure::{Answer, Rows};
use crate::options::Options;

/// The process and its two ends.
pub struct DuckDb {
    /// DuckDB's version.
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

impl DuckDb {
    /// Starts it over the plain files below `source`.
    pub async fn start(options: &Options, source: &Path) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb_side.py");
        let mut command = Command::new(&options.python);
        command.arg(script).arg(options.threads.to_string()).arg(source);
        command.args(tables().iter().map(|table| table.name));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot run {}", options.python.display()))?;
        let statements = process.stdin.take().context("no way to ask DuckDB")?;
        let mut answers = BufReader::new(process.stdout.take().context("no way to hear DuckDB")?).lines();
        let missing = "DuckDB did not start, set PARCOURS_PYTHON to a Python with the package duckdb";
        let first = answers.next_line().await?.context(missing)?;
        let Version { version } = serde_json::from_str(&first).context(missing)?;
        Ok(Self {
            version,
            statements,
            answers,
            _process: process,
        })
    }

    /// Runs a statement to its last row.
    pub async fn run(&mut self, sql: &str) -> anyhow::Result<Answer> {
        let line = serde_json::to_string(sql)? + "\n";
        self.statements
            .write_all(line.as_bytes())
            .await
            .context("DuckDB is gone")?;
        let line = self.answers.next_line().await?.context("DuckDB is gone")?;
        match serde_json::from_str(&line).context("DuckDB answered something else")? {
            Line::Answered { seconds, rows } => Ok(Answer { seconds, rows }),
            Line::Failed { error } => Err(anyhow!("DuckDB: {error}")),
        }
    }
}

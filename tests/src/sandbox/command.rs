//! What people do with a sandbox: load a dataset, ask a query through the command line or through Python.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::Sandbox;
use crate::place;
use crate::query::Query;
use crate::rows::Rows;

impl Sandbox {
    /// `parcours load` of a description of `tests/datasets`, not yet started.
    pub fn load_command(&self, dataset: &str) -> Result<Command> {
        let data = place::data()?.context("no test data: a test must ask for it first")?;
        let mut command = self.load_file(&place::tests().join(format!("datasets/{dataset}.toml")))?;
        command.env("PARCOURS_DATA", data);
        Ok(command)
    }

    /// `parcours load` of any description, not yet started.
    pub fn load_file(&self, description: &Path) -> Result<Command> {
        let mut command = self.parcours()?;
        command.arg("load").arg(description).arg("--into").arg(self.location());
        command.args(self.key_arguments()?);
        command.arg("--quiet").arg("--spill-dir").arg(self.folder.at("spill"));
        self.reach_store(&mut command);
        self.recorded("load", command)
    }

    /// A command on a loaded dataset that needs its keys, such as `reshard`, not yet started.
    pub fn dataset_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.parcours()?;
        command.args(arguments).arg("--in").arg(self.location());
        command.args(self.key_arguments()?).arg("--quiet");
        self.reach_store(&mut command);
        Ok(command)
    }

    /// Removes what killed loads left of a dataset, however young, and returns how many files that were.
    pub fn vacuum(&self, dataset: &str) -> Result<usize> {
        let mut command = self.parcours()?;
        command.args([
            "vacuum",
            dataset,
            "--in",
            &self.location(),
            "--older-than",
            "0h",
            "--delete",
            "--json",
        ]);
        self.reach_store(&mut command);
        let report: serde_json::Value = serde_json::from_str(&printed(&mut command)?)?;
        report["litter"]
            .as_array()
            .map(Vec::len)
            .context("the report of vacuum lists no litter")
    }

    fn reach_store(&self, command: &mut Command) {
        if let Some(bucket) = &self.plan.bucket {
            command
                .arg("--endpoint")
                .arg(&bucket.endpoint)
                .arg("--ca-file")
                .arg(&bucket.ca);
        }
    }

    /// Loads a dataset of `tests/datasets` and returns what the command printed.
    pub fn load(&self, dataset: &str) -> Result<String> {
        printed(&mut self.load_command(dataset)?)
    }

    /// `parcours sql` as a user, not yet started.
    pub fn sql_command(&self, user: &str) -> Result<Command> {
        let (cert, key) = self.folder.certificate(&format!("{user}-client"));
        let mut command = self.parcours()?;
        command.args(["sql", "--quiet", "--uri", &format!("grpc+tls://{}", self.ports.client)]);
        command
            .arg("--ca")
            .arg(self.folder.at("pki/ca.pem"))
            .arg("--cert")
            .arg(cert)
            .arg("--key")
            .arg(key);
        Ok(command)
    }

    /// Asks a statement through the command line, as `alice`.
    pub fn ask(&self, sql: &str) -> Result<Rows> {
        let file = self
            .folder
            .at(format!("answer-{:?}.arrow", std::thread::current().id()));
        self.ask_into(sql, &file)?;
        Rows::read(&file)
    }

    /// Asks a statement through the command line, as `alice`, into an Arrow file.
    pub fn ask_into(&self, sql: &str, file: &Path) -> Result<()> {
        let mut command = self.sql_command("alice")?;
        command
            .args(["--format", "arrow", "--command", sql, "--output"])
            .arg(file);
        printed(&mut command).map(drop)
    }

    /// Asks a query of `tests/queries` through the command line, into an Arrow file whose path is returned.
    pub fn answer(&self, query: &Query) -> Result<PathBuf> {
        let file = self.folder.at(format!("{}.arrow", query.name));
        let mut command = self.sql_command("alice")?;
        command
            .args(["--format", "arrow", "--file"])
            .arg(&query.path)
            .arg("--output")
            .arg(&file);
        printed(&mut command).with_context(|| query.name.clone())?;
        Ok(file)
    }

    /// Asks a statement that must be refused, and returns the sentence that was said on standard error. A fault of ours is
    /// no refusal.
    pub fn refused(&self, user: &str, sql: &str) -> Result<String> {
        let output = self.sql_command(user)?.args(["--command", sql]).output()?;
        ensure!(
            !output.status.success(),
            "{user} was answered: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let fault = ["internal error", "panicked"].iter().any(|words| said.contains(words));
        ensure!(!fault && !said.trim().is_empty(), "{user} was not refused but: {said}");
        Ok(said)
    }

    /// How often queries were computed anew so far, because an executor or a partition was lost or a plan did not work out.
    pub fn computed_anew(&mut self) -> Result<usize> {
        Ok(self.scheduler()?.log().matches("the query is computed anew").count())
    }

    /// How many tasks had each operator of ours in their plans, by the operator's name, over running executors.
    pub fn operators(&self) -> Result<BTreeMap<String, u64>> {
        let mut found = BTreeMap::new();
        for number in 0..self.plan.executors {
            for line in self.executor_metrics(number)?.lines() {
                let operator = line.strip_prefix("parcours_executor_operators_total{operator=\"");
                if let Some((name, count)) = operator.and_then(|rest| rest.split_once("\"} ")) {
                    *found.entry(name.to_owned()).or_default() += count.trim().parse::<u64>()?;
                }
            }
        }
        ensure!(!found.is_empty(), "executors tell of no operators");
        Ok(found)
    }
}

/// Runs a command that must succeed and returns its standard output.
pub fn printed(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output()?;
    let verb = command.get_args().next().unwrap_or_default().to_string_lossy();
    ensure!(
        status.success(),
        "{verb} ended with {status}: {}",
        String::from_utf8_lossy(&stderr)
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

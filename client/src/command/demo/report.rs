//! The demo's last word: what was made, asked and shown, for people or as one JSON document.

use anyhow::Context;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::DemoArgs;
use super::connect::Connect;
use super::data::{Generated, Loaded};
use super::proof::Proof;
use super::questions::Answer;
use super::steps::Steps;
use super::wire::Seen;
use crate::exit::Failure;
use crate::output::say;

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    patients: u64,
    seed: u64,
    executors: u16,
    generated: Generated,
    loaded: Loaded,
    queries: Vec<Answer>,
    proof: Proof,
    connect: Connect,
    running: bool,
}

impl Report {
    /// Puts it together.
    pub fn new(
        args: &DemoArgs,
        generated: Generated,
        loaded: Loaded,
        queries: Vec<Answer>,
        proof: Proof,
        connect: &Connect,
    ) -> Self {
        let (patients, seed, executors) = (args.patients, args.seed, args.executors);
        let (connect, running) = (connect.clone(), args.keep);
        Self {
            patients,
            seed,
            executors,
            generated,
            loaded,
            queries,
            proof,
            connect,
            running,
        }
    }

    /// Prints it: for people in any case, and as JSON on standard output where that was asked for.
    pub fn print(&self, steps: &Steps) -> Result<(), Failure> {
        steps.title("Shown on the way");
        self.files(steps);
        self.keys(steps);
        self.wire(steps);
        if steps.is_json() {
            say(serde_json::to_string_pretty(self).context("cannot write the report")?)?;
        }
        Ok(())
    }

    fn files(&self, steps: &Steps) {
        let files = &self.proof.files;
        steps.say(&format!(
            "Files     {} data files ({}), each Parquet with an encrypted footer; {} files of key material, logs and versions",
            files.data_files,
            HumanBytes(files.data_bytes),
            files.other_files,
        ));
        steps.say(&format!(
            "          {} known values (classes {}) searched for in all of them: {} found; in a plain copy: {}",
            files.values,
            files.classes.join(", "),
            files.found,
            files.found_in_plain_copy,
        ));
    }

    fn keys(&self, steps: &Steps) {
        let mut label = "Keys";
        for holder in &self.proof.holders {
            let process = format!("{} (process {})", holder.process, holder.id);
            let holds = match &holder.keyring {
                None => {
                    let asked = holder.asked.filter(|count| *count > 0);
                    asked.map_or("no master key, asked for no key".to_owned(), |count| {
                        format!("no master key, was released {count} data keys")
                    })
                }
                Some(ring) => {
                    let name = ring.file_name().unwrap_or_default().to_string_lossy();
                    format!("{name} with {} master keys", holder.keys.len())
                }
            };
            steps.say(&format!("{label:9} {process:27} {holds}"));
            label = "";
        }
    }

    fn wire(&self, steps: &Steps) {
        let line = |seen: Seen| {
            let (bytes, count) = (HumanBytes(seen.bytes), HumanCount(seen.connections));
            format!("{bytes} in {count} connections, every one TLS 1.3, nothing else seen")
        };
        steps.say(&format!(
            "Wire      client to scheduler:     {}",
            line(self.proof.client_wire)
        ));
        steps.say(&format!(
            "          executors to scheduler:  {}",
            line(self.proof.executor_wire)
        ));
        steps.say(&format!(
            "          executors to key daemon: {}",
            line(self.proof.key_wire)
        ));
    }
}

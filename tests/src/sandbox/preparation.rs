//! What stands before a sandbox's first process: an authority and its certificates, a keyring, the configurations. All of
//! it is made by the built binary, as an operator would.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::hsm::Hsm;
use super::settings::{ExecutorSettings, keyring_settings};
use super::{ALL_CLASSES, Sandbox, TRUST_DOMAIN, WITHOUT_HEALTH, files_below, printed};

impl Sandbox {
    pub(super) fn make_pki(&self) -> Result<()> {
        let pki = self.folder.at("pki");
        match &self.plan.pki {
            Some(there) => std::os::unix::fs::symlink(there, &pki)?,
            None => self.run(&["pki", "init", "--trust-domain", TRUST_DOMAIN, "--dir"], &pki)?,
        }
        let nodes = std::iter::once("scheduler".to_owned());
        let nodes = nodes.chain(self.executors.iter().map(|executor| executor.id.clone()));
        for node in nodes {
            let name = node
                .strip_prefix("executor-")
                .map_or_else(|| node.clone(), |_| format!("executor/{node}"));
            let (server, client) = (format!("{node}-server"), format!("{node}-client"));
            let hosts = ["--server", "--host", "127.0.0.1", "--host", "localhost"];
            self.run(
                &[&["pki", "issue", &name, "--out", &server][..], &hosts, &["--dir"]].concat(),
                &pki,
            )?;
            self.run(&["pki", "issue", &name, "--out", &client, "--client", "--dir"], &pki)?;
        }
        self.run(
            &[
                "pki",
                "issue",
                "keyd",
                "--server",
                "--host",
                "127.0.0.1",
                "--out",
                "keyd-server",
                "--dir",
            ],
            &pki,
        )?;
        self.run(
            &[
                "pki",
                "issue",
                "scheduler",
                "--signing",
                "--out",
                "scheduler-signing",
                "--dir",
            ],
            &pki,
        )?;
        for user in ["alice", "bob", "carol"] {
            self.issue_user(user)?;
        }
        Ok(())
    }

    /// Issues a client certificate for a user, as `pki/<user>-client.pem` and `.key`.
    pub fn issue_user(&self, user: &str) -> Result<()> {
        let (name, out) = (format!("user/{user}"), format!("{user}-client"));
        self.run(
            &["pki", "issue", &name, "--out", &out, "--client", "--dir"],
            &self.folder.at("pki"),
        )
    }

    /// A keyring or a token, with the keys of every dataset.
    pub(super) fn make_keys(&self) -> Result<()> {
        if self.plan.hsm {
            Hsm(&self.folder).make(self.clean(Command::new("softhsm2-util")))?;
        } else {
            let mut init = self.parcours()?;
            printed(init.args(["keyring", "init"]).args(self.key_arguments()?))?;
        }
        for dataset in &self.plan.datasets {
            let mut add = self.parcours()?;
            printed(add.args(["keyring", "add", dataset]).args(self.key_arguments()?))?;
        }
        Ok(())
    }

    /// The arguments by which a command uses the keys.
    pub(super) fn key_arguments(&self) -> Result<Vec<String>> {
        if self.plan.hsm {
            return Hsm(&self.folder).arguments();
        }
        let path = |name: &str| self.folder.at(name).display().to_string();
        Ok(vec![
            "--keyring".to_owned(),
            path("master.keyring"),
            "--key-file".to_owned(),
            path("master.key"),
        ])
    }

    /// The keyring that the key daemon opens: the whole one, or one with only the classes it holds.
    fn daemons_keyring(&self) -> Result<PathBuf> {
        let Some(classes) = &self.plan.held_classes else {
            return Ok(self.folder.at("master.keyring"));
        };
        let keyring = self.folder.at("keyd.keyring");
        let mut export = self.parcours()?;
        export
            .args(["keyring", "export", "--keyring"])
            .arg(self.folder.at("master.keyring"));
        export
            .arg("--key-file")
            .arg(self.folder.at("master.key"))
            .arg("--to")
            .arg(&keyring);
        export.arg("--to-key-file").arg(self.folder.at("keyd.key"));
        for class in classes {
            export.arg("--only").arg(format!("claims/{class}"));
        }
        printed(&mut export)?;
        Ok(keyring)
    }

    /// Lets `user` read what a scheduler needs, and nothing of keys or rows: those are for root alone.
    pub(super) fn give_scheduler_to(&self, user: &str) -> Result<()> {
        let at = |name: &str| self.folder.at(name);
        let secrets = ["server", "client", "signing"].map(|usage| at(&format!("pki/scheduler-{usage}.key")));
        printed(Command::new("chown").arg(user).args(secrets))?;
        // The authority's folder is closed to others: the scheduler may pass through it, not list it.
        printed(Command::new("chmod").arg("711").arg(at("pki").canonicalize()?))?;
        let data = files_below(&at("tables"));
        for file in data.iter().filter(|file| file.to_string_lossy().contains(".parquet")) {
            printed(Command::new("chmod").arg("600").arg(file))?;
        }
        printed(
            Command::new("chmod")
                .arg("600")
                .args(["master.keyring", "master.key"].map(at)),
        )
        .map(drop)
    }

    /// Runs a subcommand whose last argument is a path, to its end.
    fn run(&self, arguments: &[&str], path: &Path) -> Result<()> {
        let output = self.parcours()?.args(arguments).arg(path).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "parcours {} failed: {said}",
            arguments.join(" ")
        );
        Ok(())
    }

    pub(super) fn write_settings(&self) -> Result<()> {
        let (bucket, folder) = (self.plan.bucket.as_ref(), &self.folder);
        let datasets = self.plan.datasets.iter();
        let mut grants: Vec<_> = datasets.map(|dataset| ("alice", *dataset, &ALL_CLASSES[..])).collect();
        if self.plan.datasets.contains(&"claims") {
            grants.push(("carol", "claims", &WITHOUT_HEALTH));
        }
        folder.write_access(&grants)?;
        folder.write_scheduler(&self.ports, &self.location(), bucket, &limits(&self.plan))?;
        let keys = match self.plan.hsm {
            true => Hsm(&self.folder).settings()?,
            false => keyring_settings(&self.daemons_keyring()?),
        };
        folder.write_keyd(&self.ports, &keys)?;
        let executors: Vec<_> = self.executors.iter().map(|executor| executor.id.as_str()).collect();
        folder.write_key_access(&executors, &self.plan.datasets, &ALL_CLASSES)?;
        // With an HSM data keys are kept for a second only, so that the token is asked again and again.
        let cache_seconds = if self.plan.hsm { 1 } else { 300 };
        for executor in &self.executors {
            let settings = ExecutorSettings {
                id: &executor.id,
                scheduler: self.ports.internal,
                partitions: executor.partitions,
                health: executor.health,
                keys: self.ports.keys,
                cache_seconds,
                tasks: self.plan.tasks,
                memory: self.plan.memory,
                partition_memory: self.plan.partition_memory,
            };
            folder.write_executor(&settings, bucket)?;
        }
        Ok(())
    }
}

/// The scheduler's limits that are not its own choice.
fn limits(plan: &super::Plan) -> String {
    let joins = plan.hash_join_bytes.map(|bytes| format!("hash_join_bytes = {bytes}\n"));
    let once = plan.plan_once.then(|| "plan_once = true\n".to_owned());
    match (joins, once) {
        (None, None) => String::new(),
        (joins, once) => format!("[limits]\n{}{}", joins.unwrap_or_default(), once.unwrap_or_default()),
    }
}

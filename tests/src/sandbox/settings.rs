//! The files a sandbox's processes read: configurations, the access file and a connection for Python. This is the only
//! place of the tests that knows how they are written.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::TRUST_DOMAIN;

/// Where everything of a sandbox lies.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

/// An object store that is not a folder.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// The endpoint.
    pub endpoint: String,
    /// The authority of its certificate.
    pub ca: PathBuf,
    /// Credentials as environment variables.
    pub environment: Vec<(String, String)>,
}

impl Folder {
    /// A file or folder of the sandbox.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// The certificate and key that were issued under a name.
    pub fn certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.at(format!("pki/{name}.pem")), self.at(format!("pki/{name}.key")))
    }

    /// `[tls]` of a node, with a certificate for each use.
    fn tls(&self, node: &str, uses: &[&str]) -> String {
        let part = |usage: &&str| format!("[tls.{usage}]\n{}", self.certificate_lines(&format!("{node}-{usage}")));
        let (ca, crl) = (self.at("pki/ca.pem"), self.at("pki/crl.pem"));
        let head = format!("[tls]\ntrust_domain = \"{TRUST_DOMAIN}\"\nca = {ca:?}\ncrl = {crl:?}\n");
        head + &uses.iter().map(part).collect::<String>()
    }

    fn certificate_lines(&self, name: &str) -> String {
        let (cert, key) = self.certificate(name);
        format!("cert = {cert:?}\nkey = {key:?}\n")
    }

    /// Writes the key daemon's configuration.
    pub fn write_keyd(&self, ports: &Ports, keys: &str) -> Result<PathBuf> {
        let text = format!(
            "access = {:?}\n[listen]\nkeys = \"{}\"\nhealth = \"{}\"\n{}{keys}",
            self.at("keyd-access.toml"),
            ports.keys,
            ports.keys_health,
            self.tls("keyd", &["server"]),
        );
        self.write("keyd.toml", &text)
    }

    /// Writes which executors may be released which classes of which datasets.
    pub fn write_key_access(&self, executors: &[&str], datasets: &[&str], classes: &[&str]) -> Result<PathBuf> {
        let entry = |executor: &&str| {
            let classes = |dataset: &&str| format!("{dataset} = {classes:?}\n");
            let lines: String = datasets.iter().map(classes).collect();
            format!("[\"spiffe://{TRUST_DOMAIN}/executor/{executor}\"]\n{lines}")
        };
        self.write("keyd-access.toml", &executors.iter().map(entry).collect::<String>())
    }

    /// Writes the scheduler's configuration.
    pub fn write_scheduler(
        &self,
        ports: &Ports,
        location: &str,
        bucket: Option<&Bucket>,
        limits: &str,
    ) -> Result<PathBuf> {
        let text = format!(
            "access = {:?}\ndrain_seconds = 5\n[listen]\nclient = \"{}\"\ninternal = \"{}\"\nhealth = \"{}\"\n\
             [data]\nlocation = {location:?}\nrefresh_seconds = 1\n{}[grants]\n{}{}{}",
            self.at("access.toml"),
            ports.client,
            ports.internal,
            ports.health,
            limits,
            self.certificate_lines("scheduler-signing"),
            self.tls("scheduler", &["server", "client"]),
            storage(bucket),
        );
        self.write("scheduler.toml", &text)
    }

    /// Writes an executor's configuration.
    pub fn write_executor(&self, executor: &ExecutorSettings<'_>, bucket: Option<&Bucket>) -> Result<PathBuf> {
        let ExecutorSettings {
            id,
            scheduler,
            partitions,
            health,
            keys,
            cache_seconds,
            tasks,
            memory,
            partition_memory,
        } = executor;
        let text = format!(
            "id = {id:?}\nscheduler = \"{scheduler}\"\nadvertise = \"127.0.0.1\"\ntasks = {tasks}\nmemory = {memory:?}\n\
             drain_seconds = 5\n[listen]\npartitions = \"{partitions}\"\nhealth = \"{health}\"\n\
             [keys]\ndaemon = \"{keys}\"\ncache_seconds = {cache_seconds}\n[scratch]\ndir = {:?}\n\
             memory = {partition_memory:?}\n{}{}",
            self.at(format!("scratch-{id}")),
            self.tls(id, &["server", "client"]),
            storage(bucket),
        );
        self.write(&format!("{id}.toml"), &text)
    }

    /// Writes the access file: each user with datasets and the classes of each.
    pub fn write_access(&self, grants: &[(&str, &str, &[&str])]) -> Result<PathBuf> {
        let mut text = String::new();
        let mut last = "";
        for (user, dataset, classes) in grants {
            if *user != last {
                text += &format!("[\"spiffe://{TRUST_DOMAIN}/user/{user}\"]\n");
            }
            text += &format!("{dataset} = {classes:?}\n");
            last = user;
        }
        self.write("access.toml", &text)
    }

    /// Writes what a Python client needs, in the form `parcours demo --keep` writes it, and where the scheduler counts.
    pub fn write_connection(&self, user: &str, ports: &Ports) -> Result<PathBuf> {
        let (cert, key) = self.certificate(&format!("{user}-client"));
        let connection = serde_json::json!({
            "uri": format!("grpc+tls://{}", ports.client), "ca": self.at("pki/ca.pem"), "cert": cert, "key": key,
            "health": ports.health,
        });
        self.write(&format!("connect-{user}.json"), &connection.to_string())
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.write(name, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.at(name);
        // Watched files must never be seen half written.
        let new = self.at(format!("{name}.new"));
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &path)?;
        Ok(path)
    }
}

/// The listeners of scheduler and key daemon, on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// For people's clients.
    pub client: SocketAddr,
    /// For executors.
    pub internal: SocketAddr,
    /// Plain: liveness, readiness, metrics.
    pub health: SocketAddr,
    /// The key daemon's, for executors.
    pub keys: SocketAddr,
    /// The key daemon's plain port.
    pub keys_health: SocketAddr,
}

/// What tells one executor from another.
#[derive(Debug, Clone)]
pub struct ExecutorSettings<'a> {
    /// Its name, as in `executor/<id>`.
    pub id: &'a str,
    /// The scheduler's internal listener.
    pub scheduler: SocketAddr,
    /// Where it serves partitions.
    pub partitions: SocketAddr,
    /// Plain: liveness, readiness, metrics.
    pub health: SocketAddr,
    /// Where the key daemon answers.
    pub keys: SocketAddr,
    /// For how long it keeps a data key.
    pub cache_seconds: u64,
    /// How many tasks it runs at once.
    pub tasks: usize,
    /// Memory of its tasks.
    pub memory: &'a str,
    /// Memory of its small partitions.
    pub partition_memory: &'a str,
}

/// `[keys]` for a keyring; the key file that opens it has the same name with the ending `key`.
pub fn keyring_settings(keyring: &Path) -> String {
    format!(
        "[keys.keyring]\npath = {keyring:?}\nkey_file = {:?}\n",
        keyring.with_extension("key")
    )
}

fn storage(bucket: Option<&Bucket>) -> String {
    let options = |bucket: &Bucket| {
        format!(
            "[storage]\nendpoint = {:?}\nca_file = {:?}\n",
            bucket.endpoint, bucket.ca
        )
    };
    bucket.map(options).unwrap_or_default()
}

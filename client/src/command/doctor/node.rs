//! What a configuration says of a node: which kind it is, where it listens, and which files it lives by. Files of secrets
//! are found by the names of their keys, wherever they stand, so that a key service that is added later is looked at, too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use parcours_cluster::config::Layers;
use parcours_cluster::tls::{Certificate, NodeTls};
use parcours_identity::TlsFiles;
use serde::Serialize;
use toml::{Table, Value};

/// Keys of a configuration whose values name files that nobody but the process's user may read.
const SECRET_FILES: [&str; 10] = [
    "credentials_file",
    "key",
    "key_file",
    "keyring",
    "passphrase_file",
    "password_file",
    "pin_file",
    "secret_file",
    "secret_id_file",
    "token_file",
];

/// The kinds of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Faces people; holds no key.
    Scheduler,
    /// Holds data keys and rows.
    Executor,
    /// Holds master keys.
    #[serde(rename = "key daemon")]
    KeyDaemon,
}

/// What a certificate of a node is for, and its files.
#[derive(Clone, Debug)]
pub struct Certified {
    /// As `parcours pki issue` says it: `server`, `client` or `signing`.
    pub usage: &'static str,
    /// The files.
    pub files: TlsFiles,
}

/// A node as its configuration describes it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Which kind.
    pub kind: Kind,
    /// The configuration file.
    pub config: PathBuf,
    /// Its listeners by name.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// The plain port.
    pub health: SocketAddr,
    /// Its certificates.
    pub certificates: Vec<Certified>,
    /// The trust domain of its names.
    pub trust_domain: String,
    /// The name that its certificates must carry.
    pub principal: String,
    /// The scratch folder, if it has one.
    pub scratch: Option<PathBuf>,
    /// Files that hold secrets, with the key that names each.
    pub secrets: Vec<(String, PathBuf)>,
}

impl Node {
    /// Reads a configuration, with the environment laid over it as the node does.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let none = || std::iter::empty::<(String, String)>();
        let table: Table = Layers::read(Some(path), "", none(), &[])?.parse()?;
        let layers = |prefix| Layers::read(Some(path), prefix, std::env::vars(), &[]);
        if table.contains_key("access") && !table.contains_key("data") {
            let layers = layers(parcours_keyd::config::ENVIRONMENT_PREFIX)?;
            Self::key_daemon(path, &layers.parse()?)
        } else if table.contains_key("access") {
            let layers = layers(parcours_scheduler::config::ENVIRONMENT_PREFIX)?;
            Self::scheduler(path, &layers.parse()?)
        } else {
            let layers = layers(parcours_executor::config::ENVIRONMENT_PREFIX)?;
            Self::executor(path, &layers.parse()?)
        }
    }

    fn scheduler(path: &Path, config: &parcours_scheduler::config::Config) -> anyhow::Result<Self> {
        let listen = &config.listen;
        Ok(Self {
            kind: Kind::Scheduler,
            config: path.to_owned(),
            listeners: vec![
                ("client", listen.client),
                ("internal", listen.internal),
                ("health", listen.health),
            ],
            health: listen.health,
            principal: format!("spiffe://{}/scheduler", config.tls.trust_domain),
            certificates: with_third(&config.tls, &config.grants),
            trust_domain: config.tls.trust_domain.clone(),
            scratch: None,
            secrets: secrets(config)?,
        })
    }

    fn key_daemon(path: &Path, config: &parcours_keyd::config::Config) -> anyhow::Result<Self> {
        let listen = &config.listen;
        Ok(Self {
            kind: Kind::KeyDaemon,
            config: path.to_owned(),
            listeners: vec![("keys", listen.keys), ("health", listen.health)],
            health: listen.health,
            principal: format!("spiffe://{}/keyd", config.tls.trust_domain),
            certificates: vec![certified("server", config.tls.server_files())],
            trust_domain: config.tls.trust_domain.clone(),
            scratch: None,
            secrets: secrets(config)?,
        })
    }

    fn executor(path: &Path, config: &parcours_executor::config::Config) -> anyhow::Result<Self> {
        Ok(Self {
            kind: Kind::Executor,
            config: path.to_owned(),
            listeners: vec![
                ("partitions", config.listen.partitions),
                ("health", config.listen.health),
            ],
            health: config.listen.health,
            principal: format!("spiffe://{}/executor/{}", config.tls.trust_domain, config.id),
            certificates: both(&config.tls),
            trust_domain: config.tls.trust_domain.clone(),
            scratch: Some(config.scratch.dir.clone()),
            secrets: secrets(config)?,
        })
    }

    /// The same with every relative path taken from `folder`, which is where the process stands.
    pub fn seen_from(mut self, folder: &Path) -> Self {
        let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
        self.secrets.iter_mut().for_each(|(_, path)| absolute(path));
        self.scratch.iter_mut().for_each(absolute);
        for Certified { files, .. } in &mut self.certificates {
            [&mut files.ca, &mut files.cert, &mut files.key]
                .into_iter()
                .for_each(absolute);
            files.crl.iter_mut().for_each(absolute);
        }
        self
    }

    /// Where the authorities are that it trusts.
    pub fn ca(&self) -> Option<&Path> {
        self.certificates.first().map(|certified| certified.files.ca.as_path())
    }
}

fn certified(usage: &'static str, files: TlsFiles) -> Certified {
    Certified { usage, files }
}

fn both(tls: &NodeTls) -> Vec<Certified> {
    vec![
        certified("server", tls.server_files()),
        certified("client", tls.client_files()),
    ]
}

fn with_third(tls: &NodeTls, signing: &Certificate) -> Vec<Certified> {
    let mut all = both(tls);
    all.push(certified("signing", tls.files(signing)));
    all
}

/// Every file of secrets that a configuration names.
fn secrets(config: &impl Serialize) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let value = Value::try_from(config).context("the configuration cannot be looked through")?;
    let mut found = Vec::new();
    collect("", &value, &mut found);
    Ok(found)
}

fn collect(path: &str, value: &Value, found: &mut Vec<(String, PathBuf)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                // A keyring's own file stands under `path` in its table.
                let secret = SECRET_FILES.contains(&key.as_str()) || path.ends_with("keyring.path");
                match value.as_str().filter(|_| secret) {
                    Some(file) => found.push((path, file.into())),
                    None => collect(&path, value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(path, value, found)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TLS: &str = "[tls]\ntrust_domain = 'x.test'\nca = 'ca.pem'\n[tls.server]\ncert = 's.pem'\nkey = 's.key'\n\
                       [tls.client]\ncert = 'c.pem'\nkey = '/etc/c.key'\n";

    fn read(text: &str) -> anyhow::Result<Node> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("node.toml");
        std::fs::write(&path, format!("{text}{TLS}"))?;
        Node::read(&path)
    }

    #[test]
    fn each_kind_of_node_is_told_from_the_others() {
        let executor = "id = 'e1'\nscheduler = 'h:1'\nadvertise = 'h'\n[listen]\npartitions = '127.0.0.1:1'\n\
                        health = '127.0.0.1:2'\n[keys]\ndaemon = 'h:2'\n[scratch]\ndir = 'scratch'\n";
        let node = read(executor).unwrap().seen_from(Path::new("/srv"));
        assert_eq!(
            (node.kind, node.principal.as_str()),
            (Kind::Executor, "spiffe://x.test/executor/e1")
        );
        assert_eq!(node.scratch.as_deref(), Some(Path::new("/srv/scratch")));
        let secrets: Vec<String> = node
            .secrets
            .iter()
            .map(|(key, path)| format!("{key}={}", path.display()))
            .collect();
        for expected in ["tls.server.key=/srv/s.key", "tls.client.key=/etc/c.key"] {
            assert!(secrets.iter().any(|secret| secret == expected), "{secrets:?}");
        }
        let scheduler = "access = 'access.toml'\n[listen]\nclient = '127.0.0.1:1'\ninternal = '127.0.0.1:2'\n\
                         health = '127.0.0.1:3'\n[data]\nlocation = 'file:///srv/tables'\n[grants]\ncert = 'g.pem'\nkey = 'g.key'\n";
        let node = read(scheduler).unwrap();
        assert_eq!(
            (node.kind, node.listeners.len(), node.scratch),
            (Kind::Scheduler, 3, None)
        );
        assert!(node.secrets.iter().any(|(key, _)| key == "grants.key"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyd.toml");
        let daemon = "access = 'a.toml'\n[listen]\nkeys = '127.0.0.1:1'\nhealth = '127.0.0.1:2'\n[keys.keyring]\n\
                      path = 'm.keyring'\nkey_file = 'm.key'\n[tls]\ntrust_domain = 'x.test'\nca = 'ca.pem'\n\
                      [tls.server]\ncert = 's.pem'\nkey = 's.key'\n";
        std::fs::write(&path, daemon).unwrap();
        let node = Node::read(&path).unwrap().seen_from(Path::new("/srv"));
        assert_eq!(
            (node.kind, node.principal.as_str()),
            (Kind::KeyDaemon, "spiffe://x.test/keyd")
        );
        for expected in ["keys.keyring.path", "keys.keyring.key_file", "tls.server.key"] {
            assert!(
                node.secrets.iter().any(|(key, _)| key == expected),
                "{:?}",
                node.secrets
            );
        }
        assert_eq!(node.certificates.len(), 1);
    }

    #[test]
    fn a_configuration_that_the_node_would_refuse_is_refused() {
        assert!(
            read("id = 'e1'\nbanana = 1\n")
                .unwrap_err()
                .to_string()
                .contains("not valid")
        );
    }
}

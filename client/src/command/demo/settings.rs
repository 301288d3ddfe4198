//! The configuration files of the demo's processes, and the ports they listen on. Written as an operator would write
//! them, so that they can be read and tried by hand.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use serde_json::json;
use toml::Value;

use super::folder::Folder;
use super::identities::executor_ids;
use super::wire::Wire;
use super::{DATASET, PERSON, TRUST_DOMAIN};
use crate::exit::Failure;

/// The addresses of all listeners, on loopback.
pub struct Listeners {
    /// The scheduler's, for people.
    pub client: SocketAddr,
    /// The scheduler's, for executors.
    pub internal: SocketAddr,
    /// The scheduler's plain port for health.
    pub health: SocketAddr,
    /// The key daemon's, for executors.
    pub keys: SocketAddr,
    /// The key daemon's plain port for health.
    pub keys_health: SocketAddr,
    /// The executors', in order.
    pub executors: Vec<ExecutorListeners>,
}

/// The addresses of one executor.
pub struct ExecutorListeners {
    /// For partitions.
    pub partitions: SocketAddr,
    /// Its plain port for health.
    pub health: SocketAddr,
}

impl Listeners {
    /// Free ports. All are held until all are chosen, so that no two are the same.
    pub fn choose(executors: u16) -> Result<Self, Failure> {
        let mut held = Vec::new();
        let mut free = || -> Result<SocketAddr, Failure> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
            let address = listener.local_addr()?;
            held.push(listener);
            Ok(address)
        };
        let (client, internal, health) = (free()?, free()?, free()?);
        let (keys, keys_health) = (free()?, free()?);
        let mut chosen = Vec::new();
        for _ in 0..executors {
            chosen.push(ExecutorListeners {
                partitions: free()?,
                health: free()?,
            });
        }
        Ok(Self {
            client,
            internal,
            health,
            keys,
            keys_health,
            executors: chosen,
        })
    }
}

/// Writes the access file and every process's configuration.
pub fn write(folder: &Folder, executors: u16, listeners: &Listeners, wire: &Wire) -> Result<(), Failure> {
    let person = format!("spiffe://{TRUST_DOMAIN}/user/{PERSON}");
    let classes = json!(["identity", "quasi", "health", "plain"]);
    save(folder, "access.toml", &json!({ person: { DATASET: classes.clone() } }))?;
    let entry = |id| {
        (
            format!("spiffe://{TRUST_DOMAIN}/executor/{id}"),
            json!({ DATASET: classes.clone() }),
        )
    };
    let entries: serde_json::Map<_, _> = executor_ids(executors).map(entry).collect();
    save(folder, "keyd-access.toml", &entries.into())?;
    let daemon = json!({
        "access": folder.at("keyd-access.toml"),
        "listen": { "keys": listeners.keys, "health": listeners.keys_health },
        "tls": tls(folder, "keyd", &["server"]),
        "keys": { "keyring": { "path": folder.at("keyd.keyring"), "key_file": folder.at("keyd.key") } },
    });
    save(folder, "keyd.toml", &daemon)?;
    let location = format!("file://{}", folder.tables().display());
    let scheduler = json!({
        "access": folder.at("access.toml"),
        "drain_seconds": 1,
        "listen": { "client": listeners.client, "internal": listeners.internal, "health": listeners.health },
        "tls": tls(folder, "scheduler", &["server", "client"]),
        "grants": files(folder, "scheduler-signing"),
        "data": { "location": location },
    });
    save(folder, "scheduler.toml", &scheduler)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (id, listen) in executor_ids(executors).zip(&listeners.executors) {
        let executor = json!({
            "id": id,
            "scheduler": wire.internal().to_string(),
            "advertise": "127.0.0.1",
            "tasks": (cores / usize::from(executors)).max(1),
            "memory": "1GiB",
            "drain_seconds": 1,
            "listen": { "partitions": listen.partitions, "health": listen.health },
            "tls": tls(folder, &id, &["server", "client"]),
            "keys": { "daemon": wire.keys().to_string() },
            "scratch": { "dir": folder.at(format!("{id}.scratch")) },
        });
        save(folder, &format!("{id}.toml"), &executor)?;
    }
    Ok(())
}

fn tls(folder: &Folder, node: &str, uses: &[&str]) -> serde_json::Value {
    let pki = folder.pki();
    let mut tls = json!({
        "trust_domain": TRUST_DOMAIN,
        "ca": pki.join("ca.pem"),
        "crl": pki.join("crl.pem"),
    });
    for name in uses {
        tls[name] = files(folder, &format!("{node}-{name}"));
    }
    tls
}

/// A certificate and its key, as they were issued.
fn files(folder: &Folder, stem: &str) -> serde_json::Value {
    let pki = folder.pki();
    json!({ "cert": pki.join(format!("{stem}.pem")), "key": pki.join(format!("{stem}.key")) })
}

fn save(folder: &Folder, name: &str, settings: &serde_json::Value) -> Result<(), Failure> {
    let value = Value::try_from(settings).with_context(|| format!("cannot write {name}"))?;
    let text = toml::to_string_pretty(&value).with_context(|| format!("cannot write {name}"))?;
    Ok(std::fs::write(folder.at(name), text).with_context(|| format!("cannot write {name}"))?)
}

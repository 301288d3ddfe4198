//! The scheduler's configuration. Every field is documented with its default and unit; unknown keys are refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use parcours_cluster::tls::{Certificate, NodeTls};
use parcours_tables::StoreOptions;
use serde::{Deserialize, Serialize};

/// Where environment variables of this component begin.
pub const ENVIRONMENT_PREFIX: &str = "PARCOURS_SCHEDULER__";

/// The whole configuration of a scheduler. It names no key and no keyring: a scheduler has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners.
    pub listen: Listen,
    /// Certificates.
    pub tls: NodeTls,
    /// The certificate under which grants are signed (id-kp-jwt); neither of the other two.
    pub grants: Certificate,
    /// The datasets that are served.
    pub data: Data,
    /// Who may read what: a TOML file, watched.
    pub access: PathBuf,
    /// Bounds of every query.
    #[serde(default)]
    pub limits: Limits,
    /// How object stores are reached.
    #[serde(default)]
    pub storage: StoreOptions,
    /// How long a stopping scheduler waits for running queries, in seconds. Default: 30.
    #[serde(default = "default_drain")]
    pub drain_seconds: u64,
}

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Flight SQL for people's clients, over mTLS.
    pub client: SocketAddr,
    /// For executors, over mTLS.
    pub internal: SocketAddr,
    /// Plain port for liveness, readiness and metrics.
    pub health: SocketAddr,
}

/// `[data]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The URL below which datasets lie: `file:///…` or `s3://bucket/…`.
    pub location: String,
    /// How often new versions are looked for, in seconds. Default: 2.
    #[serde(default = "default_refresh")]
    pub refresh_seconds: u64,
}

/// `[limits]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A query that has not ended after so many seconds, reading included, is stopped. Default: 3600.
    pub query_seconds: u64,
    /// How many queries one person may run at once. Default: 16.
    pub queries_per_person: usize,
    /// Joins of which a partition of the smaller side has more bytes are sorted and merged, others joined by hash. Default:
    /// 67,108,864.
    pub hash_join_bytes: usize,
    /// Whether queries are planned once, before they run, as if rows lay anywhere. It is slower, and the way that is taken of
    /// itself where planning after each stage fails: this is for looking at it. Default: false.
    pub plan_once: bool,
    /// How many tasks at once one executor may say that it runs; whoever says more is handed work for as many. Default: 256.
    pub slots_per_executor: usize,
    /// An executor of which nothing was heard for so many seconds is taken for lost, and its work computed elsewhere; at least 5.
    /// Default: 10.
    pub silence_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_seconds: 3600,
            queries_per_person: 16,
            hash_join_bytes: 64 << 20,
            plan_once: false,
            slots_per_executor: 256,
            silence_seconds: 10,
        }
    }
}

fn default_drain() -> u64 {
    30
}

fn default_refresh() -> u64 {
    2
}

//! The executor's configuration. Every field is documented with its default and unit; unknown keys are refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use parcours_cluster::bytesize::ByteSize;
use parcours_cluster::tls::NodeTls;
use parcours_tables::StoreOptions;
use serde::{Deserialize, Serialize};

/// Where environment variables of this component begin.
pub const ENVIRONMENT_PREFIX: &str = "PARCOURS_EXECUTOR__";

/// The whole configuration of an executor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The executor's name; its certificates must say `spiffe://<trust-domain>/executor/<id>`.
    pub id: String,
    /// `host:port` of the scheduler's internal listener.
    pub scheduler: String,
    /// Host name or address under which the scheduler and other executors reach this one.
    pub advertise: String,
    /// How many tasks run at once. Default: the number of cores.
    #[serde(default = "cores")]
    pub tasks: usize,
    /// Memory that operators of all tasks together may hold. Default: 2 GiB. Resident memory exceeds it by what operators
    /// do not count (batches on their way, pages being decoded, footers, the allocator): leave 1 GiB, `footer_cache` and
    /// `scratch.memory`.
    #[serde(default = "default_memory")]
    pub memory: ByteSize,
    /// How long a stopping executor waits for its running tasks, in seconds. Default: 30.
    #[serde(default = "default_drain")]
    pub drain_seconds: u64,
    /// Listeners.
    pub listen: Listen,
    /// Certificates.
    pub tls: NodeTls,
    /// Where the keys come from.
    pub keys: Keys,
    /// Where sealed partitions and spills are kept.
    pub scratch: Scratch,
    /// How object stores are reached.
    #[serde(default)]
    pub storage: StoreOptions,
}

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Where partitions are served to executors and to the scheduler, over mTLS. Port 0 takes a free one.
    pub partitions: SocketAddr,
    /// Plain port for liveness, readiness and metrics.
    pub health: SocketAddr,
}

/// `[keys]`: an executor has no master key. It asks the key daemon for data keys, task by task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// `host:port` of the key daemon.
    pub daemon: String,
    /// For how long an unwrapped data key stays in memory, in seconds. Default: 300.
    #[serde(default = "default_cache")]
    pub cache_seconds: u64,
    /// How many bytes of decoded file footers stay in memory. Default: 256 MiB.
    #[serde(default = "default_footers")]
    pub footer_cache: ByteSize,
}

/// `[scratch]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// The directory, created 0700 and scrubbed at every start.
    pub dir: PathBuf,
    /// How many bytes of partitions it may hold. Default: 20 GiB.
    #[serde(default = "default_shuffle")]
    pub shuffle: ByteSize,
    /// How many bytes of small partitions stay in memory instead, beside `memory`; 0 keeps none. Default: 64 MiB.
    #[serde(default = "default_kept")]
    pub memory: ByteSize,
    /// How many bytes of spilled operators it may hold. Default: 20 GiB.
    #[serde(default = "default_spill")]
    pub spill: ByteSize,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn default_memory() -> ByteSize {
    ByteSize::gib(2)
}

fn default_drain() -> u64 {
    30
}

fn default_cache() -> u64 {
    300
}

fn default_footers() -> ByteSize {
    ByteSize::mib(256)
}

fn default_shuffle() -> ByteSize {
    ByteSize::gib(20)
}

fn default_kept() -> ByteSize {
    ByteSize::mib(64)
}

fn default_spill() -> ByteSize {
    ByteSize::gib(20)
}

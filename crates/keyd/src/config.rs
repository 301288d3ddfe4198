//! The key daemon's configuration. Every field is documented with its default and unit; unknown keys are refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use parcours_cluster::tls::{Certificate, NodeTls};
use parcours_identity::TlsFiles;
use parcours_keys::KeyServiceOptions;
use serde::{Deserialize, Serialize};

/// Where environment variables of this component begin.
pub const ENVIRONMENT_PREFIX: &str = "PARCOURS_KEYD__";

/// The whole configuration of a key daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which executor may be released which classes: a TOML file, watched. A class that is taken out of it is revoked.
    pub access: PathBuf,
    /// Listeners.
    pub listen: Listen,
    /// The certificate and the authorities.
    pub tls: Tls,
    /// Where the master keys are: one of the tables `keys.keyring`, `keys.pkcs11`, `keys.kmip` and `keys.transit`.
    pub keys: KeyServiceOptions,
}

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For executors, over mTLS.
    pub keys: SocketAddr,
    /// Plain port for liveness, readiness and metrics.
    pub health: SocketAddr,
}

/// `[tls]`: a process that dials nobody has one certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The trust domain of every principal, `spiffe://<trust-domain>/…`.
    pub trust_domain: String,
    /// PEM file of the authorities that are trusted.
    pub ca: PathBuf,
    /// PEM file of revoked certificates; watched.
    pub crl: Option<PathBuf>,
    /// The certificate shown to executors (serverAuth).
    pub server: Certificate,
}

impl Tls {
    /// The files for serving.
    pub fn server_files(&self) -> TlsFiles {
        NodeTls::files_under(&self.ca, self.crl.as_ref(), &self.server)
    }
}

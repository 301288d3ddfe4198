//! The key daemon's configuration. Every field is documented with its default and unit; unknown keys are refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use parcours_cluster::tls::{Certificate, NodeTls};
use parcours_identity::TlsFiles;
use parcours_keys::Pkcs11Options;
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
    /// Where the master keys are.
    pub keys: Keys,
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

/// `[keys]`: one key service, either a local keyring or an HSM. A keyring's passphrase comes from
/// `PARCOURS_KEYRING_PASSPHRASE` unless a key file is named.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The keyring file.
    pub keyring: Option<PathBuf>,
    /// The file that unlocks it, readable by its owner only.
    pub key_file: Option<PathBuf>,
    /// The HSM.
    pub pkcs11: Option<Pkcs11Options>,
}

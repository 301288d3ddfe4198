//! Master keys in a KMIP server, over mutual TLS.
//!
//! Keys are made on the server for one use, and are never fetched: data keys go there to be wrapped and come back
//! unwrapped. `mode` says how the server protects them and why there are two ways, `versions` how master keys are found
//! among a server's objects, `operations` what is asked of it, `message` and `ttlv` how, `link` over which connections.
//!
//! Encoding and messages are our own: of the crates that speak KMIP, one knows neither encryption nor authentication and
//! brings a TLS of years ago, the other's licence is not free. What a server allows a certificate to do with a key is the
//! server's to say: it should keep `Get` from all of them.

mod fault;
mod link;
mod message;
mod mode;
mod operations;
mod ttlv;
mod versions;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::DataKey;
use crate::service::{KeyAdmin, KeyService, WrappedKey};
use crate::wrapping::unknown;

use fault::Fault;
use link::Link;
pub use mode::KmipMode;
use operations::Server;
use versions::{Version, Versions};

/// Where the server is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmipOptions {
    /// The server, `host:port`; its certificate must be for this host. The usual port is 5696.
    pub server: String,
    /// The authorities that the server's certificate must lead to (PEM).
    pub ca: PathBuf,
    /// Our certificate with its intermediates (PEM). Files are read at each new connection.
    pub cert: PathBuf,
    /// Its private key (PEM, mode 0600).
    pub key: PathBuf,
    /// How data keys are protected. Default: `aes-gcm`.
    #[serde(default)]
    pub mode: KmipMode,
    /// How long a request may take, with waiting for a connection and further tries, in seconds. Default: 5.
    #[serde(default = "default_limit")]
    pub limit_seconds: u64,
    /// How many connections there are at most. Default: 4.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

impl KmipOptions {
    /// This server, used with the defaults.
    pub fn new(
        server: impl Into<String>,
        ca: impl Into<PathBuf>,
        cert: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        Self {
            server: server.into(),
            ca: ca.into(),
            cert: cert.into(),
            key: key.into(),
            mode: KmipMode::default(),
            limit_seconds: default_limit(),
            connections: default_connections(),
        }
    }
}

fn default_limit() -> u64 {
    5
}

fn default_connections() -> usize {
    4
}

/// A key service whose master keys are in a KMIP server.
pub struct KmipKeys {
    options: KmipOptions,
    versions: Versions,
}

impl KmipKeys {
    /// Connects to the server and looks for keys there.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for files that cannot be used, a certificate that either end refuses, or a server that does
    /// not do what is needed; [`KeyError::Unavailable`] when it cannot be reached.
    pub async fn open(options: KmipOptions) -> Result<Self, KeyError> {
        let server = Server::new(Link::new(&options)?, options.mode.minor());
        let keys = Self {
            versions: Versions::new(server, options.mode),
            options,
        };
        let sought = keys.versions.server.noted(keys.options.mode.as_str()).await;
        sought.map_err(|fault| fault.explain(None))?;
        tracing::info!(
            server = keys.options.server,
            mode = keys.options.mode.as_str(),
            "connected to the KMIP server"
        );
        Ok(keys)
    }

    async fn wrap_under_newest(
        &self,
        name: &MasterKeyName,
        key: &DataKey,
        aad: &[u8],
    ) -> Result<Option<WrappedKey>, Fault> {
        let Some(Version { id, holding }) = self.versions.newest(name).await? else {
            return Ok(None);
        };
        let wrapped = holding.wrap(&self.versions.server, &id, key, aad).await;
        if wrapped == Err(Fault::Missing) {
            self.versions.forget();
        }
        Ok(Some(WrappedKey {
            master: id,
            text: wrapped?,
        }))
    }
}

#[async_trait]
impl KeyService for KmipKeys {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        let wrapped = self.wrap_under_newest(name, key, aad).await;
        wrapped
            .map_err(|fault| fault.explain(Some(name)))?
            .ok_or_else(|| unknown(name, None))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let id = &wrapped.master;
        let opened = self.versions.unwrap(id, &wrapped.text, aad).await;
        opened
            .map_err(|fault| fault.explain(Some(&id.name)))?
            .ok_or_else(|| unknown(&id.name, Some(id.version)))
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let newest = self
            .versions
            .newest(name)
            .await
            .map_err(|fault| fault.explain(Some(name)))?;
        newest.map(|version| version.id).ok_or_else(|| unknown(name, None))
    }
}

#[async_trait]
impl KeyAdmin for KmipKeys {
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let made = self
            .versions
            .make(name, true)
            .await
            .map_err(|fault| fault.explain(Some(name)))?;
        made.ok_or_else(|| KeyError::Exists { key: name.clone() })
    }

    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError> {
        let names = self.versions.names().await.map_err(|fault| fault.explain(None))?;
        Ok(names.into_iter().collect())
    }

    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let made = self
            .versions
            .make(name, false)
            .await
            .map_err(|fault| fault.explain(Some(name)))?;
        made.ok_or_else(|| unknown(name, None))
    }
}

impl fmt::Debug for KmipKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmipKeys")
            .field("server", &self.options.server)
            .field("mode", &self.options.mode)
            .finish_non_exhaustive()
    }
}

//! Master keys in the transit engine of HashiCorp Vault or OpenBao, over HTTPS.
//!
//! Keys are `aes256-gcm96`, made there and never exportable; data keys go there to be wrapped and come back unwrapped, with
//! the additional data authenticated (`associated_data`). Wrapped keys have the form of the keyring's: what transit writes
//! behind `vault:v3:` is nonce, sealed key and tag. `name` says how master keys are called there, `message` what is said,
//! `server` how.
//!
//! Transit's `encrypt` makes a key that is missing if the token's policy allows `create` on it: give tokens `update` only.
//! Executors need `update` on `decrypt/*`, and `read` on `keys/*` so that a key that is gone is told from a text that was
//! altered; loads need `update` on `encrypt/*` as well. An old version is revoked with `min_decryption_version`.
//!
//! Tried against HashiCorp Vault 1.21.4. Not tried against OpenBao, whose documentation describes the same interface, nor
//! with namespaces, which Vault has in its Enterprise edition only.

mod message;
mod name;
mod server;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::calls::Repeat;
use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::DataKey;
use crate::service::{KeyAdmin, KeyService, WrappedKey};
use crate::wrapping::{additional_data, decode, encode, tampered, unknown};

use message::{About, Create, Decrypt, Encrypt, Encrypted, KEY_TYPE, Listed, Nothing, json};
use server::{Fault, Server};

/// Where the engine is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitOptions {
    /// The server, `https://host:port`; its certificate must be for this host.
    pub address: String,
    /// Where the engine is mounted. Default: `transit`.
    #[serde(default = "default_mount")]
    pub mount: String,
    /// The namespace of the engine, where the server has namespaces.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The file whose first line is the token, mode 0600. It is read for each request.
    pub token_file: PathBuf,
    /// The authorities that the server's certificate must lead to (PEM).
    pub ca: PathBuf,
    /// Our certificate with its intermediates (PEM), for a server that asks for one.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM, mode 0600).
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// How long a request may take, with waiting for a connection and further tries, in seconds. Default: 5.
    #[serde(default = "default_limit")]
    pub limit_seconds: u64,
    /// How many requests are under way at once. Default: 8.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

impl TransitOptions {
    /// This server, used with the defaults and without a certificate of our own.
    pub fn new(address: impl Into<String>, token_file: impl Into<PathBuf>, ca: impl Into<PathBuf>) -> Self {
        Self {
            address: address.into(),
            mount: default_mount(),
            namespace: None,
            token_file: token_file.into(),
            ca: ca.into(),
            cert: None,
            key: None,
            limit_seconds: default_limit(),
            connections: default_connections(),
        }
    }
}

fn default_mount() -> String {
    "transit".to_owned()
}

fn default_limit() -> u64 {
    5
}

fn default_connections() -> usize {
    8
}

/// A key service whose master keys are in a transit engine.
pub struct TransitKeys {
    options: TransitOptions,
    server: Server,
}

impl TransitKeys {
    /// Reads the files and asks the server for a key that need not be there.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for files that cannot be used, a certificate that either end refuses, or a server without such
    /// an engine; [`KeyError::Unavailable`] when it cannot be reached.
    pub async fn open(options: TransitOptions) -> Result<Self, KeyError> {
        if options.cert.is_some() != options.key.is_some() {
            return Err(KeyError::Refused {
                reason: "a certificate of our own needs both, write cert and key".to_owned(),
            });
        }
        let server = Server::new(&options)?;
        match server.get("keys/parcours").await {
            // A token may be allowed some keys and not this one: what it is allowed shows when it is used.
            Ok(_) | Err(Fault::Missing | Fault::Forbidden) => {}
            Err(fault) => return Err(explain(fault, None, &options)),
        }
        tracing::info!(
            server = options.address,
            mount = options.mount,
            "reached the transit engine"
        );
        Ok(Self { options, server })
    }

    /// What the engine tells about a key, if it is one that we would use.
    async fn about(&self, name: &MasterKeyName) -> Result<About, KeyError> {
        let about: About = match self.server.get(&format!("keys/{}", name::encode(name))).await {
            Err(Fault::Missing) => return Err(unknown(name, None)),
            answer => answer
                .and_then(|answer| answer.data())
                .map_err(|fault| self.explain(fault, name))?,
        };
        let problem = match &about {
            About { kind, .. } if kind != KEY_TYPE => "it is not of the type aes256-gcm96",
            About { derived: true, .. } => "it derives keys",
            About { exportable: true, .. }
            | About {
                allow_plaintext_backup: true,
                ..
            } => "it can leave the server",
            _ => return Ok(about),
        };
        Err(KeyError::Denied {
            key: name.clone(),
            reason: format!("{problem}, make the key with parcours keyring add"),
        })
    }

    async fn newest(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let about = self.about(name).await?;
        Ok(MasterKeyId {
            name: name.clone(),
            version: about.latest_version,
        })
    }

    /// Why the engine does not take a wrapped key: it does not say whether the key is missing or the text is wrong.
    async fn doubt(&self, id: &MasterKeyId) -> KeyError {
        match self.about(&id.name).await {
            Ok(about) if id.version > about.latest_version => unknown(&id.name, Some(id.version)),
            Ok(about) if id.version < about.min_decryption_version => KeyError::Denied {
                key: id.name.clone(),
                reason: format!("version {} is below its min_decryption_version", id.version),
            },
            Ok(_) => tampered(&id.name),
            Err(KeyError::Unknown { key, .. }) => unknown(&key, Some(id.version)),
            // A token that may only decrypt is told no more.
            Err(KeyError::Denied { .. }) => tampered(&id.name),
            Err(error) => error,
        }
    }

    fn explain(&self, fault: Fault, name: &MasterKeyName) -> KeyError {
        explain(fault, Some(name), &self.options)
    }
}

/// What a fault means to the caller who asked with `key`.
fn explain(fault: Fault, key: Option<&MasterKeyName>, options: &TransitOptions) -> KeyError {
    match (fault, key) {
        (Fault::Passing(reason), _) => KeyError::Unavailable { reason },
        (Fault::Missing, Some(key)) => unknown(key, None),
        (Fault::Forbidden, Some(key)) => KeyError::Denied {
            key: key.clone(),
            reason: format!(
                "the token in {} may not use it or is not valid, see its policy or put another one there",
                options.token_file.display()
            ),
        },
        (Fault::Rejected, Some(key)) => KeyError::Denied {
            key: key.clone(),
            reason: "the key server rejects the request".to_owned(),
        },
        (Fault::Forbidden, None) => KeyError::Refused {
            reason: format!(
                "the token in {} may not do this or is not valid",
                options.token_file.display()
            ),
        },
        (Fault::Missing | Fault::Rejected, None) => KeyError::Refused {
            reason: "the key server rejects the request".to_owned(),
        },
        (Fault::Refused(reason), _) => KeyError::Refused { reason },
    }
}

/// What transit writes before the sealed bytes of a version.
fn prefix(version: u32) -> String {
    format!("vault:v{version}:")
}

#[async_trait]
impl KeyService for TransitKeys {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        let master = self.newest(name).await?;
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let body = json(&Encrypt {
            plaintext: &plaintext,
            associated_data: &STANDARD.encode(additional_data(&master, aad)),
            key_version: master.version,
        })?;
        let path = format!("encrypt/{}", name::encode(name));
        let answer = self.server.post(&path, Repeat::Yes, body).await;
        let answer = answer.and_then(|answer| answer.data::<Encrypted>());
        let ciphertext = answer.map_err(|fault| self.explain(fault, name))?.ciphertext;
        // Only the form that this service takes back is handed out.
        let sealed = ciphertext.strip_prefix(&prefix(master.version)).and_then(decode);
        match sealed {
            Some((nonce, sealed)) => Ok(WrappedKey {
                master,
                text: encode(&nonce, &sealed),
            }),
            None => Err(KeyError::Unavailable {
                reason: "the key server's answer cannot be read".to_owned(),
            }),
        }
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let id = &wrapped.master;
        let Some((nonce, sealed)) = decode(&wrapped.text) else {
            return Err(self.doubt(id).await);
        };
        let body = json(&Decrypt {
            ciphertext: &format!("{}{}", prefix(id.version), encode(&nonce, &sealed)),
            associated_data: &STANDARD.encode(additional_data(id, aad)),
        })?;
        let path = format!("decrypt/{}", name::encode(&id.name));
        let answer = match self.server.post(&path, Repeat::Yes, body).await {
            Err(Fault::Rejected) => return Err(self.doubt(id).await),
            Err(Fault::Missing) => return Err(unknown(&id.name, Some(id.version))),
            answer => answer.map_err(|fault| self.explain(fault, &id.name))?,
        };
        let plain = answer.plaintext().map_err(|fault| self.explain(fault, &id.name))?;
        DataKey::from_bytes(&plain).map_err(|_| tampered(&id.name))
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.newest(name).await
    }
}

#[async_trait]
impl KeyAdmin for TransitKeys {
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        match self.newest(name).await {
            Err(KeyError::Unknown { .. }) => {}
            Ok(_) => return Err(KeyError::Exists { key: name.clone() }),
            Err(error) => return Err(error),
        }
        let body = json(&Create {
            kind: KEY_TYPE,
            exportable: false,
            allow_plaintext_backup: false,
            derived: false,
        })?;
        let made = self
            .server
            .post(&format!("keys/{}", name::encode(name)), Repeat::Yes, body)
            .await;
        made.map_err(|fault| self.explain(fault, name))?;
        // Read back: the engine keeps a key that another made at this moment, whatever it was told.
        self.newest(name).await
    }

    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError> {
        let listed = match self.server.get("keys?list=true").await {
            Err(Fault::Missing) => return Ok(Vec::new()),
            answer => answer.and_then(|answer| answer.data::<Listed>()),
        };
        let keys = listed.map_err(|fault| explain(fault, None, &self.options))?.keys;
        let mut names: Vec<_> = keys.iter().filter_map(|key| name::decode(key)).collect();
        names.sort();
        Ok(names)
    }

    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.newest(name).await?;
        let path = format!("keys/{}/rotate", name::encode(name));
        let rotated = self.server.post(&path, Repeat::No, json(&Nothing {})?).await;
        rotated.map_err(|fault| self.explain(fault, name))?;
        self.newest(name).await
    }
}

impl fmt::Debug for TransitKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransitKeys")
            .field("server", &self.options.address)
            .field("mount", &self.options.mount)
            .finish_non_exhaustive()
    }
}

//! Master keys in a hardware security module, through PKCS#11.
//!
//! Keys are made inside the token, cannot be extracted, and never leave it: data keys go in to be wrapped and come out
//! unwrapped. Wrapped keys have the form that the keyring writes, so files look alike whichever service sealed them. Calls
//! run on threads of their own, a bounded number at once and within a time limit; the next token is asked when one cannot
//! be reached. `module` loads the library, `token` keeps the connection, `objects` has the keys.

mod fault;
mod module;
mod objects;
mod pin;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cryptoki::object::ObjectHandle;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::DataKey;
use crate::service::{KeyAdmin, KeyService, WrappedKey};
use crate::wrapping::{tampered, unknown};

use fault::Fault;
use module::Module;
use token::{Token, Use};

/// Where the token is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Options {
    /// The vendor's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// Labels of the tokens, which the HSM keeps alike; the first that can be reached is used.
    pub tokens: Vec<String>,
    /// The file that holds the user PIN, mode 0600. It is read at each login.
    pub pin_file: PathBuf,
    /// How many calls are under way at once. Default: 4.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
    /// How long a call may take, in seconds. Default: 5.
    #[serde(default = "default_limit")]
    pub limit_seconds: u64,
}

impl Pkcs11Options {
    /// These tokens of this module, used with the defaults.
    pub fn new(module: impl Into<PathBuf>, tokens: &[String], pin_file: impl Into<PathBuf>) -> Self {
        Self {
            module: module.into(),
            tokens: tokens.to_vec(),
            pin_file: pin_file.into(),
            sessions: default_sessions(),
            limit_seconds: default_limit(),
        }
    }
}

fn default_sessions() -> usize {
    4
}

fn default_limit() -> u64 {
    5
}

/// A key service whose master keys are in a token.
#[derive(Clone)]
pub struct Pkcs11Keys {
    shared: Arc<Shared>,
}

struct Shared {
    options: Pkcs11Options,
    tokens: Vec<Token>,
    /// The token that answered last.
    reached: AtomicUsize,
    calls: Arc<Semaphore>,
    /// Held while keys are made, so that one process makes a version once.
    making: Mutex<()>,
}

impl Pkcs11Keys {
    /// Loads the module and logs in to a token.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for a module that does not load, no token, or a PIN that is refused; [`KeyError::Unavailable`]
    /// when no token is there.
    pub async fn open(options: Pkcs11Options) -> Result<Self, KeyError> {
        if options.tokens.is_empty() {
            return Err(refused("no token is named, write tokens = [\"LABEL\"]"));
        }
        let module = Module::of(&options.module).map_err(|fault| explain(fault, None))?;
        let token = |label: &String| Token::new(module.clone(), label, &options.pin_file);
        let keys = Self {
            shared: Arc::new(Shared {
                tokens: options.tokens.iter().map(token).collect(),
                reached: AtomicUsize::new(0),
                calls: Arc::new(Semaphore::new(options.sessions.max(1))),
                making: Mutex::new(()),
                options,
            }),
        };
        keys.ask(None, |_| Ok(())).await?;
        Ok(keys)
    }

    /// Runs a call to the token on a thread that may wait for it.
    async fn ask<T: Send + 'static>(
        &self,
        key: Option<&MasterKeyName>,
        call: impl Fn(&Use) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, KeyError> {
        let shared = self.shared.clone();
        self.within_limit(move || shared.on_any_token(call))
            .await?
            .map_err(|fault| explain(fault, key))
    }

    async fn within_limit<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, KeyError> {
        // Parquet's key retriever may ask outside a runtime: then this thread itself waits.
        if Handle::try_current().is_err() {
            return Ok(work());
        }
        let limit = Duration::from_secs(self.shared.options.limit_seconds);
        let late = move |_| KeyError::Unavailable {
            reason: format!("the token did not answer within {} s", limit.as_secs()),
        };
        let broken = || KeyError::Unavailable {
            reason: "the call to the token broke off".to_owned(),
        };
        let calls = self.shared.calls.clone();
        // In a task of its own: a caller that stopped waiting would keep its place in the queue, and a permit once it is
        // its turn.
        let done = tokio::spawn(async move {
            let permit = timeout(limit, calls.acquire_owned()).await.map_err(late)?;
            let permit = permit.map_err(|_| broken())?;
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                work()
            });
            timeout(limit, work).await.map_err(late)?.map_err(|_| broken())
        });
        done.await.map_err(|_| broken())?
    }

    /// Makes the version of `name` that follows the newest, which must be there or, for the first, must not.
    async fn make(&self, name: &MasterKeyName, first: bool) -> Result<MasterKeyId, KeyError> {
        let (shared, wanted) = (self.shared.clone(), name.clone());
        let made = self.within_limit(move || {
            let _making = shared.making.lock();
            shared.on_any_token(|token| {
                let newest = objects::versions(token, &wanted)?.last().map(|(version, _)| *version);
                let version = match (newest, first) {
                    (None, true) => 1,
                    (Some(newest), false) => newest + 1,
                    _ => return Ok(None),
                };
                let id = MasterKeyId {
                    name: wanted.clone(),
                    version,
                };
                objects::generate(token, &id)?;
                Ok(Some(id))
            })
        });
        let made = made.await?.map_err(|fault| explain(fault, Some(name)))?;
        made.ok_or_else(|| match first {
            true => KeyError::Exists { key: name.clone() },
            false => unknown(name, None),
        })
    }
}

impl Shared {
    /// Asks the token that answered last, then the others in turn as long as they cannot be reached.
    fn on_any_token<T>(&self, call: impl Fn(&Use) -> Result<T, Fault>) -> Result<T, Fault> {
        let first = self.reached.load(Ordering::Relaxed);
        let mut failed = None;
        for offset in 0..self.tokens.len() {
            let which = (first + offset) % self.tokens.len();
            match self.tokens[which].with(&call) {
                Err(fault @ (Fault::Lost(_) | Fault::Void(_))) => failed = failed.or(Some(fault)),
                answer => {
                    self.reached.store(which, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(failed.unwrap_or_else(|| Fault::Lost("no token is named".to_owned())))
    }
}

fn newest(token: &Use, name: &MasterKeyName) -> Result<Option<(MasterKeyId, ObjectHandle)>, Fault> {
    let versions = objects::versions(token, name)?;
    Ok(versions.last().map(|(version, object)| {
        let id = MasterKeyId {
            name: name.clone(),
            version: *version,
        };
        (id, *object)
    }))
}

/// What a fault means to the caller.
fn explain(fault: Fault, key: Option<&MasterKeyName>) -> KeyError {
    match (fault, key) {
        (Fault::Lost(reason) | Fault::Void(reason) | Fault::Unclear(reason), _) => KeyError::Unavailable { reason },
        (Fault::Undecipherable, Some(key)) => tampered(key),
        (Fault::Refused(reason), Some(key)) => KeyError::Denied {
            key: key.clone(),
            reason,
        },
        (Fault::Pin(reason) | Fault::Refused(reason), _) => KeyError::Refused { reason },
        (Fault::Stale | Fault::Undecipherable, _) => KeyError::Unavailable {
            reason: "a key's object changed while it was used".to_owned(),
        },
    }
}

fn refused(reason: &str) -> KeyError {
    KeyError::Refused {
        reason: reason.to_owned(),
    }
}

#[async_trait]
impl KeyService for Pkcs11Keys {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        let (wanted, aad) = (name.clone(), aad.to_vec());
        let key = DataKey::from_bytes(key.expose())?;
        let wrapped = self.ask(Some(name), move |token| {
            let Some((master, object)) = newest(token, &wanted)? else {
                return Ok(None);
            };
            let text = objects::wrap(token.session, object, &master, &key, &aad)?;
            Ok(Some(WrappedKey { master, text }))
        });
        wrapped.await?.ok_or_else(|| unknown(name, None))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let (asked, aad) = (wrapped.clone(), aad.to_vec());
        let id = &wrapped.master;
        let opened = self.ask(Some(&id.name), move |token| {
            objects::unwrap(token, &asked.master, &asked.text, &aad)
        });
        opened.await?.ok_or_else(|| unknown(&id.name, Some(id.version)))
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let wanted = name.clone();
        let newest = self.ask(Some(name), move |token| newest(token, &wanted)).await?;
        newest.map(|(id, _)| id).ok_or_else(|| unknown(name, None))
    }
}

#[async_trait]
impl KeyAdmin for Pkcs11Keys {
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.make(name, true).await
    }

    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError> {
        let names = self.ask(None, objects::names).await?;
        Ok(names.into_iter().collect())
    }

    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.make(name, false).await
    }
}

impl fmt::Debug for Pkcs11Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Keys")
            .field("module", &self.shared.options.module)
            .field("tokens", &self.shared.options.tokens)
            .finish_non_exhaustive()
    }
}

//! The embedded key service: master keys in one sealed file, AES-256-GCM throughout.
//!
//! Keys are in memory while the keyring is open and never leave it except into another sealed keyring
//! ([`Keyring::export`]). The file is read again when it changes, so that a created, rotated or withdrawn key takes
//! effect without a restart; a file that no longer opens closes the service. `file` has the format, `unlock` the keys
//! that seal it, `upkeep` retiring of old versions and backups.

mod file;
mod unlock;
mod upkeep;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::{DataKey, fill_random};
use crate::service::{KeyAdmin, KeyService, WrappedKey};
use crate::wrapping::{additional_data, decode, encode, tampered, unknown};

use file::{Sealed, Stamp};
pub use unlock::{PassphraseCost, Unlock, create_key_file};

/// One version of a master key.
pub(crate) struct MasterKey {
    version: u32,
    /// Seconds since 1970, for an operator who asks how old a key is.
    created: u64,
    secret: DataKey,
}

/// Master keys by name, versions ascending.
pub(crate) type MasterKeys = BTreeMap<MasterKeyName, Vec<MasterKey>>;

struct State {
    sealed: Sealed,
    keys: MasterKeys,
    stamp: Stamp,
}

/// An open keyring file.
pub struct Keyring {
    path: PathBuf,
    unlock: Unlock,
    state: RwLock<State>,
}

impl Keyring {
    /// Creates an empty keyring of mode 0600 at `path` and opens it.
    ///
    /// # Errors
    /// [`KeyError::KeyringFile`] when a file is there already, or cannot be written.
    pub fn create(path: impl AsRef<Path>, unlock: Unlock) -> Result<Self, KeyError> {
        Self::create_with(path.as_ref(), unlock, PassphraseCost::default(), MasterKeys::new())
    }

    /// As [`Keyring::create`], with another cost of the passphrase's derivation.
    ///
    /// # Errors
    /// As [`Keyring::create`], and for a cost below [`PassphraseCost::LEAST`].
    pub fn create_with_cost(path: impl AsRef<Path>, unlock: Unlock, cost: PassphraseCost) -> Result<Self, KeyError> {
        Self::create_with(path.as_ref(), unlock, cost, MasterKeys::new())
    }

    /// Opens the keyring at `path`.
    ///
    /// # Errors
    /// [`KeyError::KeyringFile`] when it is missing or readable by others, [`KeyError::KeyringDamaged`] when it is cut
    /// short or altered, [`KeyError::KeyringLocked`] for a wrong passphrase or key file.
    pub fn open(path: impl AsRef<Path>, unlock: Unlock) -> Result<Self, KeyError> {
        let path = path.as_ref().to_owned();
        let (sealed, keys, stamp) = file::read(&path, &unlock, None)?;
        Ok(Self {
            path,
            unlock,
            state: RwLock::new(State { sealed, keys, stamp }),
        })
    }

    /// The keyring's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a second keyring at `path` that holds only the master keys named in `only`, with all their versions.
    ///
    /// A process that must not read a class is given such a keyring without that class's key.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] for a key that is not held; else as [`Keyring::create`].
    pub fn export(&self, path: impl AsRef<Path>, unlock: Unlock, only: &[MasterKeyName]) -> Result<Self, KeyError> {
        self.export_with_cost(path, unlock, only, PassphraseCost::default())
    }

    /// As [`Keyring::export`], with another cost of the passphrase's derivation.
    ///
    /// # Errors
    /// As [`Keyring::export`], and for a cost below [`PassphraseCost::LEAST`].
    pub fn export_with_cost(
        &self,
        path: impl AsRef<Path>,
        unlock: Unlock,
        only: &[MasterKeyName],
        cost: PassphraseCost,
    ) -> Result<Self, KeyError> {
        self.refresh()?;
        Self::create_with(path.as_ref(), unlock, cost, self.copy_of(only)?)
    }

    fn copy_of(&self, only: &[MasterKeyName]) -> Result<MasterKeys, KeyError> {
        let state = self.state.read();
        let copy = |name: &MasterKeyName| {
            let versions = state.keys.get(name).ok_or_else(|| unknown(name, None))?;
            let versions: Vec<MasterKey> = versions.iter().map(MasterKey::copy).collect::<Result<_, _>>()?;
            Ok((name.clone(), versions))
        };
        only.iter().map(copy).collect()
    }

    fn create_with(path: &Path, unlock: Unlock, cost: PassphraseCost, keys: MasterKeys) -> Result<Self, KeyError> {
        let sealed = Sealed::new(path, &unlock, cost)?;
        let stamp = file::create(path, &sealed, &keys)?;
        Ok(Self {
            path: path.to_owned(),
            unlock,
            state: RwLock::new(State { sealed, keys, stamp }),
        })
    }

    /// Reads the file again if it is not the one that was read last.
    fn refresh(&self) -> Result<(), KeyError> {
        let stamp = file::stamp(&self.path)?;
        if self.state.read().stamp == stamp {
            return Ok(());
        }
        self.reread(&mut self.state.write())
    }

    fn reread(&self, state: &mut State) -> Result<(), KeyError> {
        let (sealed, keys, stamp) = file::read(&self.path, &self.unlock, Some(&state.sealed))?;
        tracing::info!(keyring = %self.path.display(), keys = keys.len(), "keyring read again");
        *state = State { sealed, keys, stamp };
        Ok(())
    }

    /// Changes the keys under the file's lock, so that two processes do not lose each other's changes.
    fn change<T>(&self, change: impl FnOnce(&mut MasterKeys) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let mut state = self.state.write();
        let _lock: File = file::lock(&self.path)?;
        if file::stamp(&self.path)? != state.stamp {
            self.reread(&mut state)?;
        }
        let answer = change(&mut state.keys);
        let written = match &answer {
            Ok(_) => file::replace(&self.path, &state.sealed, &state.keys),
            Err(_) => return answer,
        };
        match written {
            Ok(stamp) => state.stamp = stamp,
            // What is in memory must not run ahead of the file: a key that is lost at the next start loses data.
            Err(error) => {
                self.reread(&mut state)?;
                return Err(error);
            }
        }
        answer
    }

    /// Runs `with` on one version of a key, or on the newest.
    fn with_key<T>(
        &self,
        name: &MasterKeyName,
        version: Option<u32>,
        with: impl FnOnce(&MasterKey) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        self.refresh()?;
        let state = self.state.read();
        let versions = state.keys.get(name).ok_or_else(|| unknown(name, None))?;
        let found = match version {
            None => versions.last(),
            Some(number) => versions.iter().find(|key| key.version == number),
        };
        with(found.ok_or_else(|| unknown(name, version))?)
    }
}

#[async_trait]
impl KeyService for Keyring {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        self.with_key(name, None, |master| {
            let id = MasterKeyId {
                name: name.clone(),
                version: master.version,
            };
            let text = seal_key(master, &id, key, aad)?;
            Ok(WrappedKey { master: id, text })
        })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let id = &wrapped.master;
        self.with_key(&id.name, Some(id.version), |master| {
            open_key(master, id, &wrapped.text, aad)
        })
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.with_key(name, None, |master| {
            Ok(MasterKeyId {
                name: name.clone(),
                version: master.version,
            })
        })
    }
}

#[async_trait]
impl KeyAdmin for Keyring {
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.change(|keys| {
            if keys.contains_key(name) {
                return Err(KeyError::Exists { key: name.clone() });
            }
            keys.insert(name.clone(), vec![MasterKey::random(1)?]);
            Ok(MasterKeyId {
                name: name.clone(),
                version: 1,
            })
        })
    }

    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError> {
        self.refresh()?;
        Ok(self.state.read().keys.keys().cloned().collect())
    }

    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        self.change(|keys| {
            let versions = keys.get_mut(name).ok_or_else(|| unknown(name, None))?;
            let version = versions.last().map_or(1, |newest| newest.version + 1);
            versions.push(MasterKey::random(version)?);
            Ok(MasterKeyId {
                name: name.clone(),
                version,
            })
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl MasterKey {
    fn random(version: u32) -> Result<Self, KeyError> {
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(Self {
            version,
            created,
            secret: DataKey::random()?,
        })
    }

    fn copy(&self) -> Result<Self, KeyError> {
        let secret = DataKey::from_bytes(self.secret.expose())?;
        Ok(Self {
            version: self.version,
            created: self.created,
            secret,
        })
    }

    fn cipher(&self) -> Result<LessSafeKey, KeyError> {
        cipher(&self.secret)
    }
}

/// An AES-256-GCM key.
pub(crate) fn cipher(key: &DataKey) -> Result<LessSafeKey, KeyError> {
    let unbound = UnboundKey::new(&AES_256_GCM, key.expose());
    unbound.map(LessSafeKey::new).map_err(|_| KeyError::Crypto {
        operation: "preparing an AES-256-GCM key",
    })
}

fn seal_key(master: &MasterKey, id: &MasterKeyId, key: &DataKey, aad: &[u8]) -> Result<String, KeyError> {
    let mut nonce = [0; NONCE_LEN];
    fill_random(&mut nonce)?;
    let mut bytes = Zeroizing::new(key.expose().to_vec());
    let tag = master
        .cipher()?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(additional_data(id, aad)),
            &mut bytes,
        )
        .map_err(|_| KeyError::Crypto {
            operation: "wrapping a data key",
        })?;
    Ok(encode(&nonce, &[bytes.as_slice(), tag.as_ref()].concat()))
}

fn open_key(master: &MasterKey, id: &MasterKeyId, text: &str, aad: &[u8]) -> Result<DataKey, KeyError> {
    let tampered = || tampered(&id.name);
    let (nonce, sealed) = decode(text).ok_or_else(tampered)?;
    let mut sealed = Zeroizing::new(sealed);
    let opened = master.cipher()?.open_in_place(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(additional_data(id, aad)),
        &mut sealed,
    );
    DataKey::from_bytes(opened.map_err(|_| tampered())?).map_err(|_| tampered())
}

#[cfg(test)]
mod tests;

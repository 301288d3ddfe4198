//! The one trait behind which master keys live, and its administrative side.
//!
//! A service wraps data keys and unwraps them; it never gives a master key out. Every implementation runs the suite in
//! `conformance`. Callers that read files go through [`crate::UnwrapCache`], which asks a service as seldom as it can.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::KeyError;
use crate::name::{KeyUse, MasterKeyId, MasterKeyName, dataset_key};
use crate::secret::DataKey;

/// A data key as it may be stored: which master key wrapped it, and the service's own text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrappedKey {
    /// The version of the master key that unwraps it.
    pub master: MasterKeyId,
    /// Whatever the service returned; opaque to everyone else, printable ASCII, at most a few hundred bytes.
    pub text: String,
}

/// Wraps and unwraps data keys under named, versioned master keys.
///
/// `aad` is authenticated, not stored: unwrapping asks for the very same bytes.
#[async_trait]
pub trait KeyService: Debug + Send + Sync {
    /// Wraps `key` under the current version of the master key `name`.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Denied`] or [`KeyError::Unavailable`].
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError>;

    /// Unwraps what [`KeyService::wrap`] returned, under the version that it names.
    ///
    /// # Errors
    /// [`KeyError::Tampered`] when text, master key or `aad` is not the one of the wrapping; else as for `wrap`.
    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError>;

    /// The version that [`KeyService::wrap`] uses now.
    ///
    /// # Errors
    /// As for `wrap`.
    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError>;
}

/// A key service whose master keys may be made and rotated from here.
#[async_trait]
pub trait KeyAdmin: KeyService {
    /// Creates a master key at version 1.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when there is one of this name.
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError>;

    /// The names of all master keys held, in order.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`], or what reading the keyring found.
    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError>;

    /// Adds a new version, which `wrap` uses from now on; older versions still unwrap.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] when there is no key of this name.
    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError>;
}

/// Creates the master keys that a dataset lacks: one per column class and one for footers.
///
/// Returns the keys it created, so that running it again returns none.
///
/// # Errors
/// As [`KeyAdmin::create`], and [`KeyError::Name`] for a dataset's name that cannot be part of a key's name.
pub async fn ensure_dataset_keys(keys: &dyn KeyAdmin, dataset: &str) -> Result<Vec<MasterKeyId>, KeyError> {
    let mut created = Vec::new();
    for key_use in KeyUse::all() {
        match keys.create(&dataset_key(dataset, key_use)?).await {
            Ok(id) => created.push(id),
            Err(KeyError::Exists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(created)
}

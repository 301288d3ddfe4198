//! What can go wrong with keys, each with the object concerned and the remedy.
//!
//! No variant carries a secret or a value of a row. [`KeyError::is_passing`] separates what may be tried again from
//! what will not change by waiting; [`KeyError::class`] tells which class of columns stays closed.

use std::path::PathBuf;

use crate::class::ColumnClass;
use crate::name::{KeyUse, MasterKeyName};

/// An error of a key service, a keyring file, or the keys of a data file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key service holds the key and refuses this use of it.
    #[error("{} is denied: {reason}", .key.describe())]
    Denied {
        /// The master key asked for.
        key: MasterKeyName,
        /// The service's reason, with the remedy where there is one.
        reason: String,
    },
    /// The key service holds no such master key, or not this version of it.
    #[error("{} is denied: this process holds no such key{}, grant the key to it or create it", .key.describe(), version_words(.version))]
    Unknown {
        /// The master key asked for.
        key: MasterKeyName,
        /// The version asked for, if one was.
        version: Option<u32>,
    },
    /// The key service cannot answer now; the same request may succeed later.
    #[error("key service is unavailable: {reason}, try again")]
    Unavailable {
        /// What failed.
        reason: String,
    },
    /// The key service refuses this process, whichever key it asks for, or cannot be used as it is configured.
    #[error("key service cannot be used: {reason}")]
    Refused {
        /// What was refused, and the remedy.
        reason: String,
    },
    /// A wrapped key does not authenticate: altered, moved from another file, or wrapped by another master key.
    #[error("{} does not authenticate for {object}: it was altered, moved or swapped, restore the original", .key.describe())]
    Tampered {
        /// The master key that the object names.
        key: MasterKeyName,
        /// What was being opened.
        object: String,
    },
    /// A master key of this name exists already.
    #[error("master key {key} exists already, rotate it for a new version")]
    Exists {
        /// The existing key.
        key: MasterKeyName,
    },
    /// A name, class or key id that is not well formed.
    #[error("{given:?} is refused: {problem}")]
    Name {
        /// The text given.
        given: String,
        /// Why it is refused, and what would be accepted.
        problem: String,
    },
    /// The key material or encryption of a data file is not what this reader expects.
    #[error("{object}: {problem}")]
    Material {
        /// The file or table concerned.
        object: String,
        /// What is wrong, with the remedy where there is one.
        problem: String,
    },
    /// A file's footer was decoded while a column's key was out of reach: read the footer again.
    #[error("{object}: the footer was decoded without the key of column {column}, read the footer again")]
    StaleFooter {
        /// The file concerned.
        object: String,
        /// The column, by its path in the Parquet schema.
        column: String,
    },
    /// The keyring file is damaged: cut short, altered, or not a keyring.
    #[error("keyring {}: {problem}, restore it from a backup", .path.display())]
    KeyringDamaged {
        /// The keyring file.
        path: PathBuf,
        /// What is damaged.
        problem: String,
    },
    /// The keyring does not open with this passphrase or key file.
    #[error("keyring {} does not open: wrong {unlock}, or the file was altered", .path.display())]
    KeyringLocked {
        /// The keyring file.
        path: PathBuf,
        /// `passphrase` or `key file`.
        unlock: &'static str,
    },
    /// A keyring or key file cannot be used as it is: missing, readable by others, already there.
    #[error("{}: {problem}", .path.display())]
    KeyringFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The key service needs time to answer, and this thread cannot wait for it.
    #[error("key service answers later and this thread cannot wait, use a multi-thread tokio runtime")]
    NoRuntime,
    /// The cryptographic library failed; it gives no reason.
    #[error("{operation} failed in the cryptographic library")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
    },
}

impl KeyError {
    /// Whether the same request may succeed later without anyone changing a key or a right.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::StaleFooter { .. })
    }

    /// Whether this process is not allowed the key, or does not hold it.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Unknown { .. })
    }

    /// The master key concerned, if the error is about one.
    pub fn key(&self) -> Option<&MasterKeyName> {
        match self {
            Self::Denied { key, .. } | Self::Unknown { key, .. } => Some(key),
            Self::Tampered { key, .. } | Self::Exists { key } => Some(key),
            _ => None,
        }
    }

    /// The dataset of the master key concerned.
    pub fn dataset(&self) -> Option<&str> {
        self.key().map(MasterKeyName::dataset)
    }

    /// The class of columns that stays closed; `None` for a footer key or an error that is not about one key.
    pub fn class(&self) -> Option<ColumnClass> {
        match self.key()?.key_use()? {
            KeyUse::Class(class) => Some(class),
            KeyUse::Footer => None,
        }
    }
}

fn version_words(version: &Option<u32>) -> String {
    version
        .map(|number| format!(" of version {number}"))
        .unwrap_or_default()
}

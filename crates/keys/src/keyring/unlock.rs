//! What opens a keyring: a passphrase through Argon2id, or a key file of 32 bytes.
//!
//! Parameters stand in the keyring's header and are authenticated with it. Costs below OWASP's recommendation are
//! refused when reading too, so that an altered header cannot make guessing cheap.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::secret::{DataKey, fill_random};

/// Bytes of salt in a keyring's header.
pub(super) const SALT_LEN: usize = 32;
const KEY_FILE_INFO: &[u8] = b"parcours-keyring-1 key file";

/// What opens a keyring.
#[derive(Clone)]
pub enum Unlock {
    /// A passphrase; it goes through Argon2id.
    Passphrase(Zeroizing<String>),
    /// A file of 32 random bytes, readable by its owner only; [`create_key_file`] makes one.
    KeyFile(PathBuf),
}

impl Unlock {
    /// A passphrase.
    pub fn passphrase(text: impl Into<String>) -> Self {
        Self::Passphrase(Zeroizing::new(text.into()))
    }

    /// A key file.
    pub fn key_file(path: impl Into<PathBuf>) -> Self {
        Self::KeyFile(path.into())
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::KeyFile(_) => "key file",
        }
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase"),
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
        }
    }
}

/// Cost of deriving a key from a passphrase by Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    /// The second recommended option of RFC 9106: 64 MiB, 3 passes, 4 lanes; above OWASP's recommendation.
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
        }
    }
}

impl PassphraseCost {
    /// The least that is accepted, OWASP's recommendation: 19 MiB, 2 passes, 1 lane.
    pub const LEAST: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
    };
    /// The most that is accepted: 2 GiB, 64 passes, 64 lanes. An altered header shall not exhaust the machine.
    pub const MOST: Self = Self {
        memory_kib: 2 * 1024 * 1024,
        passes: 64,
        lanes: 64,
    };

    fn is_accepted(&self) -> bool {
        (Self::LEAST.memory_kib..=Self::MOST.memory_kib).contains(&self.memory_kib)
            && (Self::LEAST.passes..=Self::MOST.passes).contains(&self.passes)
            && (Self::LEAST.lanes..=Self::MOST.lanes).contains(&self.lanes)
    }
}

/// How a keyring's sealing key is derived: the readable half of its header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Derivation {
    Argon2id { cost: PassphraseCost, salt: String },
    KeyFile { salt: String },
}

impl Derivation {
    pub(super) fn new(unlock: &Unlock, cost: PassphraseCost, salt: String) -> Self {
        match unlock {
            Unlock::Passphrase(_) => Self::Argon2id { cost, salt },
            Unlock::KeyFile(_) => Self::KeyFile { salt },
        }
    }

    pub(super) fn salt(&self) -> &str {
        match self {
            Self::Argon2id { salt, .. } | Self::KeyFile { salt } => salt,
        }
    }

    /// The sealing key. `salt` is this derivation's salt, decoded.
    pub(super) fn derive(&self, path: &Path, unlock: &Unlock, salt: &[u8]) -> Result<DataKey, KeyError> {
        let refuse = |problem: &str| KeyError::KeyringFile {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        match (self, unlock) {
            (Self::Argon2id { cost, .. }, Unlock::Passphrase(passphrase)) => {
                if !cost.is_accepted() {
                    return Err(refuse(
                        "its passphrase cost is outside the accepted range, at least 19 MiB and 2 passes",
                    ));
                }
                if passphrase.is_empty() {
                    return Err(refuse("an empty passphrase is refused"));
                }
                argon2id(cost, passphrase.as_bytes(), salt)
            }
            (Self::KeyFile { .. }, Unlock::KeyFile(key_file)) => hkdf(&read_key_file(key_file)?, salt),
            (Self::Argon2id { .. }, Unlock::KeyFile(_)) => {
                Err(refuse("it opens with a passphrase, not with a key file"))
            }
            (Self::KeyFile { .. }, Unlock::Passphrase(_)) => {
                Err(refuse("it opens with a key file, not with a passphrase"))
            }
        }
    }
}

/// Writes a new key file of 32 random bytes, mode 0600, for [`Unlock::KeyFile`].
///
/// # Errors
/// [`KeyError::KeyringFile`] when a file is there already, or cannot be written.
pub fn create_key_file(path: impl AsRef<Path>) -> Result<(), KeyError> {
    let path = path.as_ref();
    let refuse = |error: std::io::Error| KeyError::KeyringFile {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    let key = DataKey::random()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(refuse)?;
    file.write_all(key.expose())
        .and_then(|()| file.sync_all())
        .map_err(refuse)
}

/// Refuses a file that anyone but its owner may read or write.
pub(super) fn refuse_open_to_others(path: &Path, file: &File) -> Result<(), KeyError> {
    let refuse = |problem: String| KeyError::KeyringFile {
        path: path.to_owned(),
        problem,
    };
    let mode = file.metadata().map_err(|error| refuse(error.to_string()))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(refuse(format!(
        "others may use it (mode {mode:03o}), run chmod 600 on it"
    )))
}

pub(super) fn random_salt() -> Result<[u8; SALT_LEN], KeyError> {
    let mut salt = [0; SALT_LEN];
    fill_random(&mut salt)?;
    Ok(salt)
}

fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let refuse = |problem: String| KeyError::KeyringFile {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    refuse_open_to_others(path, &file)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(DataKey::LEN + 1));
    let read = file.take(DataKey::LEN as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(error.to_string()))?;
    if bytes.len() != DataKey::LEN {
        return Err(refuse("a key file has exactly 32 bytes".to_owned()));
    }
    Ok(bytes)
}

fn argon2id(cost: &PassphraseCost, passphrase: &[u8], salt: &[u8]) -> Result<DataKey, KeyError> {
    let failed = |_| KeyError::Crypto {
        operation: "deriving a key from a passphrase",
    };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(DataKey::LEN)).map_err(failed)?;
    let mut bytes = Zeroizing::new([0; DataKey::LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, bytes.as_mut_slice())
        .map_err(failed)?;
    DataKey::from_bytes(bytes.as_slice())
}

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        DataKey::LEN
    }
}

fn hkdf(secret: &[u8], salt: &[u8]) -> Result<DataKey, KeyError> {
    let failed = |_| KeyError::Crypto {
        operation: "deriving a key from a key file",
    };
    let mut bytes = Zeroizing::new([0; DataKey::LEN]);
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted
        .expand(&[KEY_FILE_INFO], KeyLength)
        .and_then(|key| key.fill(bytes.as_mut_slice()))
        .map_err(failed)?;
    DataKey::from_bytes(bytes.as_slice())
}

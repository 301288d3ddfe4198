//! The key of a job's or process's scratch files, in memory only.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::error::SealError;

/// Bytes of salt at the head of a sealed file.
pub(crate) const SALT_LEN: usize = 32;
const KEY_LEN: usize = 32;
const INFO: &[u8] = b"parcours-sealed-1 file key";

/// 256 random bits from which each sealed file's own key is derived. Wiped when dropped, never printed.
pub struct ScratchKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl ScratchKey {
    /// A fresh key from the system's random source.
    ///
    /// # Errors
    /// [`SealError::Crypto`] when the random source fails.
    pub fn random() -> Result<Self, SealError> {
        let mut key = Self(Box::new(Zeroizing::new([0; KEY_LEN])));
        fill_random(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// A key that came over an authenticated channel. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; KEY_LEN])));
        key.0.copy_from_slice(bytes);
        key
    }

    /// The bytes, to be sent over an authenticated, encrypted channel and nowhere else.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The key of the one file that carries `salt`.
    pub(crate) fn file_key(&self, salt: &[u8; SALT_LEN]) -> Result<LessSafeKey, SealError> {
        let failed = |_| SealError::Crypto {
            operation: "deriving a file key",
        };
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        let extracted = Salt::new(HKDF_SHA256, salt).extract(self.expose());
        extracted
            .expand(&[INFO], KeyLength)
            .and_then(|key| key.fill(bytes.as_mut_slice()))
            .map_err(failed)?;
        UnboundKey::new(&AES_256_GCM, bytes.as_slice())
            .map(LessSafeKey::new)
            .map_err(failed)
    }
}

impl fmt::Debug for ScratchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScratchKey")
    }
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), SealError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| SealError::Crypto {
        operation: "drawing random bytes",
    })
}

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

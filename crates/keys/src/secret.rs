//! Secret bytes that are wiped when dropped and never printed.
//!
//! The bytes stay where they are, in memory that is not swapped out; moving a key leaves no copy behind on the stack.

use std::fmt;

use crate::error::KeyError;
use crate::locked::LockedBytes;

/// A 256-bit key of one use: encrypts the footer, or the columns of one class, of one data file.
pub struct DataKey(LockedBytes);

impl DataKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A fresh key from the system's random source.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the random source fails.
    pub fn random() -> Result<Self, KeyError> {
        let mut key = Self(LockedBytes::zero());
        key.0.fill(|slot| fill_random(slot))?;
        Ok(key)
    }

    /// A key from its bytes, for a key service that has unwrapped them.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when `bytes` is not 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != Self::LEN {
            return Err(KeyError::Crypto {
                operation: "taking a key of other than 32 bytes",
            });
        }
        let mut key = Self(LockedBytes::zero());
        key.0.fill(|slot| {
            slot.copy_from_slice(bytes);
            Ok::<_, KeyError>(())
        })?;
        Ok(key)
    }

    /// The bytes, for a cipher. Copies of them are the caller's to wipe.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.get()
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// Fills `bytes` from the system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| KeyError::Crypto {
        operation: "drawing random bytes",
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_print_nothing() {
        let (one, two) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(format!("{one:?}"), "DataKey");
        assert!(DataKey::from_bytes(&[1; 16]).is_err());
    }
}

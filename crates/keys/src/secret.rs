//! Secret bytes that are wiped when dropped and never printed.
//!
//! The bytes stay in one heap allocation, so that moving a key leaves no copy behind on the stack.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::KeyError;

/// A 256-bit key of one use: encrypts the footer, or the columns of one class, of one data file.
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A fresh key from the system's random source.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the random source fails.
    pub fn random() -> Result<Self, KeyError> {
        let mut key = Self::zero();
        fill_random(key.0.as_mut_slice())?;
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
        let mut key = Self::zero();
        key.0.copy_from_slice(bytes);
        Ok(key)
    }

    /// The bytes, for a cipher. Copies of them are the caller's to wipe.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; 32])))
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

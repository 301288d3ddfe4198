//! Handles of prepared statements. The server keeps nothing: a handle carries the statement's text and its bound
//! parameters, sealed under a key that lives and dies with the process and bound to its principal, so that no one else
//! can use it and nothing of a statement can be read where a handle is written down.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    rand,
};
use bytes::Bytes;
use parcours_identity::Principal;
use prost::Message;

/// Longest statement, in bytes.
pub(super) const LONGEST_STATEMENT: usize = 1 << 20;

const VERSION: u8 = 1;

/// Why a handle cannot be made or used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum HandleError {
    /// Not sealed by this process for this principal.
    #[error("prepared statement is unknown here or belongs to someone else, prepare it again")]
    Unknown,
    /// The statement is longer than we carry.
    #[error("statement of {bytes} bytes exceeds the limit of {LONGEST_STATEMENT} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The cipher failed.
    #[error("prepared statement could not be sealed")]
    Sealing,
}

/// What a handle carries.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct Prepared {
    /// The statement, its placeholders numbered.
    #[prost(string, tag = "1")]
    pub sql: String,
    /// One row of bound parameters as an IPC stream, once there is one.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub parameters: Option<Bytes>,
}

/// Says that it is there and nothing of what it says: a statement holds literals.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("bound", &self.parameters.is_some())
            .finish_non_exhaustive()
    }
}

/// Seals and opens handles.
pub(super) struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// A sealer with a new random key.
    pub fn new() -> Result<Self, Unspecified> {
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        Ok(Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, &key)?,
        })
    }

    /// Version, nonce, ciphertext and tag.
    pub fn seal(&self, who: &Principal, prepared: &Prepared) -> Result<Bytes, HandleError> {
        if prepared.sql.len() > LONGEST_STATEMENT {
            return Err(HandleError::TooLong {
                bytes: prepared.sql.len(),
            });
        }
        let mut text = prepared.encode_to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(owner(who)), &mut text)
            .map_err(|_| HandleError::Sealing)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), &text].concat().into())
    }

    /// What was sealed for this principal.
    pub fn open(&self, who: &Principal, handle: &[u8]) -> Result<Prepared, HandleError> {
        let (&VERSION, rest) = handle.split_first().ok_or(HandleError::Unknown)? else {
            return Err(HandleError::Unknown);
        };
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(HandleError::Unknown)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| HandleError::Unknown)?;
        let mut text = text.to_vec();
        let text = self
            .key
            .open_in_place(nonce, Aad::from(owner(who)), &mut text)
            .map_err(|_| HandleError::Unknown)?;
        Prepared::decode(&*text).map_err(|_| HandleError::Unknown)
    }
}

fn owner(who: &Principal) -> Vec<u8> {
    format!("prepared statement of {who}").into_bytes()
}

//! The form of a data key wrapped with AES-256-GCM, whoever holds the master key: nonce, sealed key and tag, in base64.
//! What is authenticated with it names the master key's version, so that no wrapped key opens under another.

use aws_lc_rs::aead::NONCE_LEN;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::context::push_part;
use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};

/// Additional data of a wrapping begins with this, then the key id, then the caller's bytes.
const WRAP_DOMAIN: &[u8] = b"parcours-wrap-1";

/// What is authenticated with a data key wrapped under `id`.
pub(crate) fn additional_data(id: &MasterKeyId, aad: &[u8]) -> Vec<u8> {
    let mut bytes = WRAP_DOMAIN.to_vec();
    push_part(&mut bytes, id.to_string().as_bytes());
    bytes.extend_from_slice(aad);
    bytes
}

/// The text of a wrapped key; `sealed` ends with the tag.
pub(crate) fn encode(nonce: &[u8; NONCE_LEN], sealed: &[u8]) -> String {
    STANDARD.encode([nonce.as_slice(), sealed].concat())
}

/// Nonce, and sealed key with its tag; `None` for a text that [`encode`] does not write.
pub(crate) fn decode(text: &str) -> Option<([u8; NONCE_LEN], Vec<u8>)> {
    let bytes = STANDARD.decode(text).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk()?;
    Some((*nonce, sealed.to_vec()))
}

/// The refusal of a wrapped key that does not authenticate under the master key it names.
pub(crate) fn tampered(name: &MasterKeyName) -> KeyError {
    KeyError::Tampered {
        key: name.clone(),
        object: "a wrapped data key".to_owned(),
    }
}

/// The refusal of a master key, or of a version of one, that is not held.
pub(crate) fn unknown(name: &MasterKeyName, version: Option<u32>) -> KeyError {
    KeyError::Unknown {
        key: name.clone(),
        version,
    }
}

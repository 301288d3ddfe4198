//! What is said to a transit engine and what it says, in JSON. Bodies that carry a data key are written into a buffer that
//! is wiped and does not grow.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// The one type of key that is used.
pub(super) const KEY_TYPE: &str = "aes256-gcm96";
/// Longest request, in bytes, for a buffer that does not grow.
const REQUEST: usize = 4096;

/// What the engine tells about a key.
#[derive(Deserialize)]
pub(super) struct About {
    #[serde(rename = "type")]
    pub kind: String,
    pub latest_version: u32,
    pub min_decryption_version: u32,
    pub exportable: bool,
    pub allow_plaintext_backup: bool,
    pub derived: bool,
}

#[derive(Deserialize)]
pub(super) struct Encrypted {
    pub ciphertext: String,
}

#[derive(Deserialize)]
pub(super) struct Listed {
    pub keys: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Create {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub exportable: bool,
    pub allow_plaintext_backup: bool,
    pub derived: bool,
}

#[derive(Serialize)]
pub(super) struct Encrypt<'a> {
    pub plaintext: &'a str,
    pub associated_data: &'a str,
    pub key_version: u32,
}

#[derive(Serialize)]
pub(super) struct Decrypt<'a> {
    pub ciphertext: &'a str,
    pub associated_data: &'a str,
}

#[derive(Serialize)]
pub(super) struct Nothing {}

/// A request's body, in a buffer that is wiped and does not grow.
pub(super) fn json(body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(REQUEST));
    serde_json::to_writer(&mut *bytes, body).map_err(|_| KeyError::Refused {
        reason: "a request cannot be written".to_owned(),
    })?;
    Ok(bytes)
}

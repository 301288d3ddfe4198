//! How a KMIP server protects a data key, one of two ways, chosen by configuration and never by what a server fails to do.
//!
//! `aes-gcm`: the server encrypts with AES-GCM and authenticates the additional data with it (KMIP 1.4). One key a version.
//! Wrapped keys have the form that the keyring writes.
//!
//! `aes-cbc-hmac-sha256`: for servers without authenticated encryption (KMIP 1.2). The server encrypts with AES-CBC under
//! one key and a fresh random IV, then authenticates master key, IV, ciphertext and additional data with HMAC-SHA256 under
//! a second key of the version: one key, one use. Its MAC is compared in constant time before anything is decrypted.

use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::operations::Server;
use crate::context::push_part;
use crate::name::MasterKeyId;
use crate::secret::{DataKey, fill_random};
use crate::wrapping::{additional_data, decode, encode};

/// What is authenticated with a data key in `aes-cbc-hmac-sha256` begins with this.
const MAC_DOMAIN: &[u8] = b"parcours-wrap-cbc-hmac-1";
const IV_LEN: usize = 16;
/// A data key with its padding.
const ENCRYPTED_LEN: usize = DataKey::LEN + 16;
const MAC_LEN: usize = 32;

/// How the server protects data keys. The keys of a server are made for one mode and are not seen in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KmipMode {
    /// AES-256-GCM on the server, with additional data; it must speak KMIP 1.4.
    #[default]
    #[serde(rename = "aes-gcm")]
    AesGcm,
    /// AES-256-CBC, then HMAC-SHA256 under a second key, both on the server; it must speak KMIP 1.2.
    #[serde(rename = "aes-cbc-hmac-sha256")]
    AesCbcHmacSha256,
}

impl KmipMode {
    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::AesCbcHmacSha256 => "aes-cbc-hmac-sha256",
        }
    }

    /// The protocol's version, KMIP 1.x, that the mode needs.
    pub(super) fn minor(self) -> i32 {
        match self {
            Self::AesGcm => 4,
            Self::AesCbcHmacSha256 => 2,
        }
    }
}

/// The identifiers of the keys that make up a version of a master key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holding {
    /// One key that encrypts and authenticates.
    Gcm(String),
    /// A key that encrypts and one that authenticates.
    CbcHmac { encrypts: String, authenticates: String },
}

impl Holding {
    /// The text of `key` wrapped by these keys.
    pub async fn wrap(&self, server: &Server, id: &MasterKeyId, key: &DataKey, aad: &[u8]) -> Result<String, Fault> {
        match self {
            Self::Gcm(uid) => {
                let nonce = random::<NONCE_LEN>()?;
                let sealed = server
                    .seal(uid, &nonce, &additional_data(id, aad), key.expose())
                    .await?;
                Ok(encode(&nonce, &sealed))
            }
            Self::CbcHmac {
                encrypts,
                authenticates,
            } => {
                let iv = random::<IV_LEN>()?;
                let encrypted = server.encrypt(encrypts, &iv, key.expose()).await?;
                let mac = server
                    .mac(authenticates, &authenticated(id, &iv, &encrypted, aad))
                    .await?;
                match (encrypted.len(), mac.len()) {
                    (ENCRYPTED_LEN, MAC_LEN) => Ok(STANDARD.encode([iv.as_slice(), &encrypted, &mac].concat())),
                    _ => Err(Fault::Refused(
                        "the key server pads or authenticates in another way than asked".to_owned(),
                    )),
                }
            }
        }
    }

    /// The data key in `text`.
    pub async fn unwrap(&self, server: &Server, id: &MasterKeyId, text: &str, aad: &[u8]) -> Result<DataKey, Fault> {
        let plain = match self {
            Self::Gcm(uid) => {
                let (nonce, sealed) = decode(text).ok_or(Fault::Undecipherable)?;
                let aad = additional_data(id, aad);
                let opened = server.open(uid, &nonce, &aad, &sealed).await;
                match opened {
                    Err(Fault::Unclear(reason)) => return Err(doubt(server, uid, &aad, reason).await),
                    opened => opened?,
                }
            }
            Self::CbcHmac {
                encrypts,
                authenticates,
            } => {
                let (iv, encrypted, mac) = parts(text).ok_or(Fault::Undecipherable)?;
                let expected = server
                    .mac(authenticates, &authenticated(id, &iv, &encrypted, aad))
                    .await?;
                verify_slices_are_equal(&expected, &mac).map_err(|_| Fault::Undecipherable)?;
                server.decipher(encrypts, &iv, &encrypted).await?
            }
        };
        DataKey::from_bytes(&plain).map_err(|_| Fault::Undecipherable)
    }
}

/// Servers say the same of a wrong tag and of a fault of their own. A key that still encrypts is not at fault.
async fn doubt(server: &Server, uid: &str, aad: &[u8], reason: String) -> Fault {
    let trial = match random::<NONCE_LEN>() {
        Ok(nonce) => server.seal(uid, &nonce, aad, &[0]).await,
        Err(fault) => Err(fault),
    };
    match trial {
        Ok(_) => Fault::Undecipherable,
        Err(Fault::Unclear(_)) => Fault::Lost(reason),
        Err(fault) => fault,
    }
}

/// What the second key authenticates. IV and ciphertext have one length each, so that no two wrappings share their bytes.
fn authenticated(id: &MasterKeyId, iv: &[u8], encrypted: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut bytes = MAC_DOMAIN.to_vec();
    for part in [id.to_string().as_bytes(), iv, encrypted] {
        push_part(&mut bytes, part);
    }
    bytes.extend_from_slice(aad);
    bytes
}

fn parts(text: &str) -> Option<([u8; IV_LEN], Vec<u8>, Vec<u8>)> {
    let bytes = STANDARD.decode(text).ok()?;
    let (iv, rest) = bytes.split_first_chunk::<IV_LEN>()?;
    if rest.len() != ENCRYPTED_LEN + MAC_LEN {
        return None;
    }
    let (encrypted, mac) = rest.split_at(ENCRYPTED_LEN);
    Some((*iv, encrypted.to_vec(), mac.to_vec()))
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Fault> {
    let mut bytes = [0; LENGTH];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

//! Statements of the scheduler that other processes carry: signed under a certificate of its own, which neither serves nor
//! dials, and verified by whoever trusts the same authorities, with the revocation list of the moment.
//!
//! The form is a compact JSON Web Signature (RFC 7515) whose header holds the chain of certificates; what the payload
//! means, and until when, is for others to judge. See `parcours_cluster::grant` for what is signed.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::credential::Credential;
use crate::files::TlsFiles;
use crate::material::Material;
use crate::{IdentityError, Principal, Purpose, Refusal, Role};

/// Longest token looked at, in bytes: a chain of a few certificates and a small payload.
const TOKEN_MAX: usize = 32 << 10;
/// Most certificates of a chain.
const CHAIN_MAX: usize = 8;
/// What the header says of the whole.
const TYPE: &str = "JWT";

/// Why a statement was not signed, or is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// It is not a token of ours.
    #[error("malformed token")]
    Malformed,
    /// The certificate does not let its holder sign.
    #[error("the signer's certificate is refused: {0}")]
    Signer(#[from] Refusal),
    /// The signature is not that of the certificate's key over these bytes.
    #[error("wrong signature: the token was altered, or signed by another key")]
    Signature,
    /// Our own key cannot sign.
    #[error("the signing key cannot be used: issue one of kind P-256 or Ed25519")]
    Key,
}

/// The two kinds of signature that signing certificates have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A header. What it has beyond this makes it somebody else's token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Algorithm,
    typ: String,
    /// The chain, leaf first, each in standard Base64 of DER.
    x5c: Vec<String>,
}

/// Signs in the scheduler's name. The files are watched: a renewed certificate signs the next statement.
pub struct Signer {
    material: Material,
}

impl Signer {
    /// Reads and checks the files: the certificate must be the scheduler's, and for signing alone.
    ///
    /// # Errors
    /// As [`crate::ServerTls::open`].
    pub fn open(files: TlsFiles, trust_domain: &str) -> Result<Self, IdentityError> {
        let material = Material::open(files, trust_domain, Purpose::Signing, is_scheduler)?;
        Ok(Self { material })
    }

    /// Who signs.
    pub fn principal(&self) -> Principal {
        self.material.credential().principal.clone()
    }

    /// The payload with its signature, as text.
    ///
    /// # Errors
    /// [`SigningError::Key`] for a key of another kind than the two that are used.
    pub fn sign(&self, payload: &[u8]) -> Result<String, SigningError> {
        let credential = self.material.credential();
        let key = Key::of(&credential)?;
        let header = Header {
            alg: key.algorithm(),
            typ: TYPE.to_owned(),
            x5c: credential.key.cert.iter().map(|der| STANDARD.encode(der)).collect(),
        };
        let header = serde_json::to_vec(&header).map_err(|_| SigningError::Malformed)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(payload));
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// Believes the scheduler's signatures, and nobody else's.
#[derive(Clone)]
pub struct Signatures {
    material: Arc<Material>,
}

impl Signatures {
    pub(crate) fn new(material: Arc<Material>) -> Self {
        Self { material }
    }

    /// The payload of a token that the scheduler signed, and the name it signed under.
    ///
    /// # Errors
    /// What is wrong with form, certificate or signature.
    pub fn verify(&self, token: &str) -> Result<(Principal, Vec<u8>), SigningError> {
        let (signed, header, payload, signature) = split(token)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| SigningError::Malformed)?;
        if header.typ != TYPE || header.x5c.is_empty() || header.x5c.len() > CHAIN_MAX {
            return Err(SigningError::Malformed);
        }
        let chain = header
            .x5c
            .iter()
            .map(|text| STANDARD.decode(text).map(CertificateDer::from));
        let chain: Vec<CertificateDer<'_>> = chain.collect::<Result<_, _>>().map_err(|_| SigningError::Malformed)?;
        let (leaf, intermediates) = chain.split_first().ok_or(SigningError::Malformed)?;
        let trust = self.material.trust().value;
        let signer = self
            .material
            .examine(&trust, leaf, intermediates, Purpose::Signing, UnixTime::now())?;
        is_scheduler(&signer)?;
        check(header.alg, leaf, signed, &signature)?;
        Ok((signer, payload))
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures").finish_non_exhaustive()
    }
}

fn is_scheduler(principal: &Principal) -> Result<(), Refusal> {
    match principal.role() {
        Role::Scheduler => Ok(()),
        _ => Err(Refusal::Kind {
            found: principal.clone(),
            expected: "the scheduler".into(),
        }),
    }
}

/// What is signed, then header, payload and signature, decoded.
type Parts<'a> = (&'a [u8], Vec<u8>, Vec<u8>, Vec<u8>);

fn split(token: &str) -> Result<Parts<'_>, SigningError> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| SigningError::Malformed);
    let bounded = Some(token).filter(|token| token.len() <= TOKEN_MAX);
    let (signed, signature) = bounded
        .and_then(|token| token.rsplit_once('.'))
        .ok_or(SigningError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(SigningError::Malformed)?;
    Ok((signed.as_bytes(), decode(header)?, decode(payload)?, decode(signature)?))
}

/// Whether the certificate's key, being of the kind that the header names, made this signature.
fn check(alg: Algorithm, leaf: &CertificateDer<'_>, signed: &[u8], signature: &[u8]) -> Result<(), SigningError> {
    const P256: &str = "1.2.840.10045.2.1";
    const ED: &str = "1.3.101.112";
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| SigningError::Malformed)?;
    let key = certificate.public_key();
    let (kind, algorithm): (&str, &'static dyn VerificationAlgorithm) = match alg {
        Algorithm::Es256 => (P256, &ECDSA_P256_SHA256_FIXED),
        Algorithm::EdDsa => (ED, &ED25519),
    };
    if key.algorithm.algorithm.to_id_string() != kind {
        return Err(SigningError::Signature);
    }
    UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
        .verify(signed, signature)
        .map_err(|_| SigningError::Signature)
}

/// Our private key, ready to sign.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn of(credential: &Credential) -> Result<Self, SigningError> {
        let der = PrivateKeyDer::from_pem_slice(&credential.key_pem).map_err(|_| SigningError::Key)?;
        let der = der.secret_der();
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::P256(pair));
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| SigningError::Key)?;
        Ok(Self::Ed25519(pair))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature = match self {
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| SigningError::Key)?,
            Self::Ed25519(pair) => pair.sign(message),
        };
        Ok(signature.as_ref().to_vec())
    }
}

//! Our own certificate and its private key, read together and checked by the rules our peers will apply, so that a
//! process that would be refused everywhere does not start.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use zeroize::Zeroizing;

use crate::certificate::Leaf;
use crate::files::{TlsFiles, parse_all, read, read_key};
use crate::provider::provider;
use crate::trust::Trust;
use crate::{IdentityError, Principal, Purpose, Refusal};

/// A certificate of ours with its key.
pub(crate) struct Credential {
    /// Who we are.
    pub principal: Principal,
    /// Chain and key, for handshakes of our own.
    pub key: Arc<CertifiedKey>,
    /// The same as PEM, for the one library that takes nothing else.
    pub cert_pem: Zeroizing<Vec<u8>>,
    /// The private key as PEM; wiped when dropped.
    pub key_pem: Zeroizing<Vec<u8>>,
}

/// Whether a principal of ours may stand at our end.
type Suits = Box<dyn Fn(&Principal) -> Result<(), Refusal> + Send + Sync>;

/// What our own certificate must be.
pub(crate) struct Own {
    pub trust_domain: String,
    pub purpose: Purpose,
    /// Whether its principal may stand at our end.
    pub suits: Suits,
}

impl Credential {
    /// Reads `cert` and `key` and checks them against `trust` and what `own` asks of them.
    pub fn load(files: &TlsFiles, trust: &Trust, own: &Own) -> Result<Self, IdentityError> {
        let key_pem = read_key(&files.key)?;
        let cert_pem = read(&files.cert)?;
        let chain = parse_all::<CertificateDer<'static>>(&files.cert, &cert_pem, "certificate")?;
        let principal = check(&chain, trust, own).map_err(|refusal| unfit(files, refusal))?;
        let key = Arc::new(certified(files, chain, &key_pem)?);
        Ok(Self {
            principal,
            key,
            cert_pem,
            key_pem,
        })
    }
}

fn unfit(files: &TlsFiles, refusal: Refusal) -> IdentityError {
    match (refusal, &files.crl) {
        (Refusal::RevocationUnknown, Some(list)) => IdentityError::RevocationList {
            path: list.clone(),
            reason: "it is not of our certificate's authority",
        },
        (refusal, _) => IdentityError::Unfit {
            path: files.cert.clone(),
            refusal,
        },
    }
}

fn check(chain: &[CertificateDer<'static>], trust: &Trust, own: &Own) -> Result<Principal, Refusal> {
    let (leaf, intermediates) = chain.split_first().ok_or(Refusal::Malformed)?;
    let principal = Leaf::read(leaf)?.judge(own.purpose, &own.trust_domain)?;
    (own.suits)(&principal)?;
    trust.verify(leaf, intermediates, own.purpose, UnixTime::now())?;
    Ok(principal)
}

fn certified(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key_pem: &[u8],
) -> Result<CertifiedKey, IdentityError> {
    let not_pem = |_| IdentityError::NotPem {
        path: files.key.clone(),
        what: "private key",
    };
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(not_pem)?;
    let kind = |_| IdentityError::KeyKind {
        path: files.key.clone(),
    };
    let signer = provider().key_provider.load_private_key(key).map_err(kind)?;
    let certified = CertifiedKey::new(chain, signer);
    let mismatch = |_| IdentityError::KeyMismatch {
        cert: files.cert.clone(),
        key: files.key.clone(),
    };
    certified.keys_match().map_err(mismatch)?;
    Ok(certified)
}

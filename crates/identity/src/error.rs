//! What can be wrong with our own end of a connection: files, names, addresses. What is wrong with a peer's
//! certificate is a [`Refusal`].

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::{PrincipalError, Refusal};

/// Why an endpoint cannot be opened, bound or connected. Each message names the file or address and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A configured file is missing or unreadable.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no PEM block of the expected kind, or a damaged one.
    #[error("{path} holds no readable {what}: it must be PEM")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        what: &'static str,
    },
    /// A private key can be read by others than its owner.
    #[error("private key {path} has mode {mode:03o}: chmod 600 it, and issue a new one if others may have read it")]
    KeyMode {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Certificate and private key do not belong together.
    #[error("the key {key} is not that of the certificate {cert}: replace both together")]
    KeyMismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The private key is of a kind we do not use.
    #[error("the key {path} is of an unsupported kind: use P-256, P-384, Ed25519 or RSA of at least 3072 bits")]
    KeyKind {
        /// The key file.
        path: PathBuf,
    },
    /// Our own certificate would be refused by any peer.
    #[error("the certificate {path} cannot be used: {refusal}: issue another one")]
    Unfit {
        /// The certificate file.
        path: PathBuf,
        /// What a peer would say of it.
        refusal: Refusal,
    },
    /// An authority's certificate is not fit to be one.
    #[error("{path} holds a certificate that is no authority: {reason}")]
    Authority {
        /// The file of authorities.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A revocation list cannot be used.
    #[error("the revocation list {path} cannot be used: {reason}: publish a current one of our authority")]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The configured trust domain or expected name is not well formed.
    #[error("bad name in the configuration: {0}")]
    Name(#[from] PrincipalError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address to dial is not `host:port`.
    #[error("cannot dial {address}: write it as host:port")]
    Address {
        /// The address as given.
        address: String,
    },
    /// No connection to this address, or one of the two ends refused the other.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The address dialled.
        address: String,
        /// What happened, one line.
        reason: String,
    },
    /// The TLS library rejected a configuration we built.
    #[error("tls configuration rejected: {0}")]
    Tls(#[from] rustls::Error),
}

impl IdentityError {
    /// The error of ours behind another one, such as that of a channel which could not connect or a request on it.
    pub fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut causes = std::iter::successors(Some(error), |cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref::<Self>())
    }

    /// Why a connection could not be made; `None` for other errors.
    pub fn connect_reason(&self) -> Option<&str> {
        match self {
            Self::Connect { reason, .. } => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

//! Why a peer's certificate is refused. One enum serves the log, the alert sent to the peer and the error of our own
//! files, so that the three say the same.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::{LIFETIME_MAX_DAYS, Principal, PrincipalError, Purpose};

/// Why a certificate does not admit its holder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a well-formed X.509 certificate.
    #[error("malformed certificate")]
    Malformed,
    /// Its validity is over.
    #[error("expired certificate")]
    Expired,
    /// Its validity has not begun.
    #[error("certificate not yet valid")]
    NotYetValid,
    /// Its authority has revoked it.
    #[error("revoked certificate")]
    Revoked,
    /// A revocation list is configured, but none of its authority.
    #[error("revocation status unknown: no revocation list of its authority")]
    RevocationUnknown,
    /// The authority's revocation list is past its next update.
    #[error("revocation status unknown: the revocation list has expired")]
    RevocationListExpired,
    /// No configured authority has signed it.
    #[error("unknown ca: not issued by our authority")]
    UnknownAuthority,
    /// Its chain breaks a rule of X.509 (constraints, algorithms, depth).
    #[error("unacceptable chain of certificates")]
    Chain,
    /// It is for the other purpose.
    #[error("wrong usage: not a certificate for {needed}")]
    Usage {
        /// What the peer used it for.
        needed: Purpose,
    },
    /// It may do more than one of serving, dialling and signing; one certificate has one use.
    #[error("wrong usage: certificate for more than one of serving, dialling and signing")]
    BothUsages,
    /// It names neither serving nor dialling nor signing.
    #[error("wrong usage: certificate for neither serving nor dialling nor signing")]
    NoUsage,
    /// It is an authority's certificate, not a principal's.
    #[error("wrong usage: certificate of an authority")]
    Authority,
    /// It has no URI name.
    #[error("no name: the certificate has no uri")]
    NoName,
    /// It has more than one URI name.
    #[error("several names: the certificate has more than one uri")]
    SeveralNames,
    /// Its URI name is no principal.
    #[error("wrong kind of name: {0}")]
    Name(PrincipalError),
    /// Its principal is of another trust domain.
    #[error("wrong trust domain: {0}")]
    TrustDomain(Principal),
    /// Its principal may not be at this end of this connection.
    #[error("wrong kind of name: {found} is not {expected}")]
    Kind {
        /// Who it is.
        found: Principal,
        /// Who would have been admitted.
        expected: String,
    },
    /// It was issued for longer than certificates may be.
    #[error("certificate issued for more than {} days", LIFETIME_MAX_DAYS)]
    Lifetime,
    /// Its key is RSA of fewer than 3072 bits, or of a kind we do not use.
    #[error("weak or unsupported key")]
    WeakKey,
    /// It does not carry the host name or address that was dialled.
    #[error("wrong host: the certificate is not for {0}")]
    Host(String),
}

impl From<webpki::Error> for Refusal {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYetValid,
            E::CertRevoked => Self::Revoked,
            E::UnknownRevocationStatus => Self::RevocationUnknown,
            E::CrlExpired { .. } => Self::RevocationListExpired,
            E::UnknownIssuer | E::InvalidSignatureForPublicKey => Self::UnknownAuthority,
            E::CaUsedAsEndEntity => Self::Authority,
            E::BadDer | E::BadDerTime | E::MalformedExtensions | E::TrailingData(_) => Self::Malformed,
            E::RequiredEkuNotFoundContext(_) => Self::NoUsage,
            E::UnsupportedCertVersion | E::InvalidCertValidity => Self::Malformed,
            _ => Self::Chain,
        }
    }
}

impl Refusal {
    /// The error that makes rustls send the peer the most telling alert.
    pub(crate) fn into_tls(self) -> rustls::Error {
        let error = match self {
            Self::Expired => CertificateError::Expired,
            Self::NotYetValid => CertificateError::NotValidYet,
            Self::Revoked => CertificateError::Revoked,
            Self::UnknownAuthority => CertificateError::UnknownIssuer,
            Self::RevocationUnknown => CertificateError::UnknownRevocationStatus,
            Self::RevocationListExpired => CertificateError::ExpiredRevocationList,
            Self::Malformed => CertificateError::BadEncoding,
            Self::Usage { .. } | Self::BothUsages | Self::NoUsage | Self::Authority => CertificateError::InvalidPurpose,
            other => CertificateError::Other(OtherError(Arc::new(other))),
        };
        error.into()
    }
}

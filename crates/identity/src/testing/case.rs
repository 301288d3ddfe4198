//! The cases of the matrix, what must come of each, and what came of it.

use std::fmt;

/// One certificate (or the lack of one) at one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    /// The certificate of a principal that is admitted; of this kind.
    Right(&'static str),
    /// A right certificate with the private key of another.
    WrongKey,
    /// Its validity ended yesterday.
    Expired,
    /// Its validity begins tomorrow.
    NotYetValid,
    /// It is on the revocation list.
    Revoked,
    /// Another authority has signed it.
    ForeignAuthority,
    /// Another authority that bears our authority's name has signed it.
    LookalikeAuthority,
    /// It has signed itself.
    SelfSigned,
    /// It is for the other purpose.
    WrongUsage,
    /// It is for both purposes.
    BothUsages,
    /// It names no purpose.
    NoUsage,
    /// Its principal is of a kind that is not admitted here.
    WrongKind(&'static str),
    /// Its principal is of another trust domain.
    ForeignTrustDomain,
    /// It has no URI name.
    NoName,
    /// It has a second URI name.
    SeveralNames,
    /// Its URI name goes on after the principal.
    TrailingName,
    /// It was issued for more than 825 days.
    LongLived,
    /// Its key is RSA of 2048 bits.
    WeakKey,
    /// It is right, but not for the host that was dialled.
    WrongHost,
    /// No certificate at all.
    NoCertificate,
    /// A right certificate over TLS 1.2.
    Tls12,
    /// A right certificate over TLS 1.3, but HTTP/2 is not agreed on.
    NoH2,
    /// HTTP/2 without TLS.
    Plaintext,
}

impl Case {
    /// Whether the connection must come about.
    pub fn is_right(&self) -> bool {
        matches!(self, Self::Right(_))
    }

    /// What the log of the refusing end must say; empty for the right ones.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Right(_) => "",
            Self::WrongKey => "wrong key",
            Self::Expired => "expired certificate",
            Self::NotYetValid => "certificate not yet valid",
            Self::Revoked => "revoked certificate",
            Self::ForeignAuthority | Self::LookalikeAuthority | Self::SelfSigned => "unknown ca",
            Self::WrongUsage | Self::BothUsages | Self::NoUsage => "wrong usage",
            Self::WrongKind(_) | Self::TrailingName => "wrong kind of name",
            Self::ForeignTrustDomain => "wrong trust domain",
            Self::NoName => "no name",
            Self::SeveralNames => "several names",
            Self::LongLived => "certificate issued for more than 825 days",
            Self::WeakKey => "weak or unsupported key",
            Self::WrongHost => "wrong host",
            Self::NoCertificate => "no certificate",
            Self::Tls12 => "tls version",
            Self::NoH2 => "application protocol",
            Self::Plaintext => "plaintext",
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection came about.
    Admitted,
    /// It was refused; what the end under our control saw of that.
    Refused(String),
    /// Neither within the time limit.
    Silent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted => f.write_str("admitted"),
            Self::Refused(how) => write!(f, "refused ({how})"),
            Self::Silent => f.write_str("no answer"),
        }
    }
}

/// One line for each outcome that is not what it should be.
pub fn mistakes(outcomes: &[(Case, Outcome)]) -> Vec<String> {
    let wrong = outcomes.iter().filter(|(case, outcome)| match outcome {
        Outcome::Admitted => !case.is_right(),
        Outcome::Refused(_) => case.is_right(),
        Outcome::Silent => true,
    });
    wrong.map(|(case, outcome)| format!("{case:?}: {outcome}")).collect()
}

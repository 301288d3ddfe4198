//! Who is at the other end: the names that certificates carry, parsed once and strictly.
//! Anything that is not exactly one of the four shapes is refused; nothing is normalised. Which certificate may carry
//! which name is decided in `certificate` and `server`/`client`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest trust domain accepted, in bytes (SPIFFE's own bound).
const TRUST_DOMAIN_MAX: usize = 255;
/// The longest user name or executor id accepted, in bytes.
const NAME_MAX: usize = 128;

/// A named person or process: `spiffe://<trust-domain>/user/<name>`, `/scheduler`, `/executor/<id>`
/// or `/keyd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    trust_domain: String,
    role: Role,
}

/// What a principal is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A person (or a program acting for one) with this name.
    User(String),
    /// The scheduler; there is one name for it per trust domain.
    Scheduler,
    /// The executor with this id.
    Executor(String),
    /// The key service in front of the master keys; there is one name for it per trust domain.
    KeyService,
}

/// Why a string is not a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// The URI does not begin with `spiffe://`.
    #[error("a principal begins with spiffe://")]
    Scheme,
    /// The trust domain is empty, too long or holds other characters.
    #[error("a trust domain is 1 to 255 of a-z 0-9 . _ -")]
    TrustDomain,
    /// The path is none of the four shapes.
    #[error("a principal ends in /user/<name>, /scheduler, /executor/<id> or /keyd")]
    Shape,
    /// The user name or executor id is empty, too long, `.`, `..` or holds other characters.
    #[error("a name is 1 to 128 of a-z A-Z 0-9 . _ - and neither . nor ..")]
    Name,
}

impl Principal {
    /// The person `name` of `trust_domain`.
    pub fn user(trust_domain: &str, name: &str) -> Result<Self, PrincipalError> {
        Self::new(trust_domain, Role::User(checked_name(name)?))
    }

    /// The scheduler of `trust_domain`.
    pub fn scheduler(trust_domain: &str) -> Result<Self, PrincipalError> {
        Self::new(trust_domain, Role::Scheduler)
    }

    /// The key service of `trust_domain`.
    pub fn key_service(trust_domain: &str) -> Result<Self, PrincipalError> {
        Self::new(trust_domain, Role::KeyService)
    }

    /// The executor `id` of `trust_domain`.
    pub fn executor(trust_domain: &str, id: &str) -> Result<Self, PrincipalError> {
        Self::new(trust_domain, Role::Executor(checked_name(id)?))
    }

    fn new(trust_domain: &str, role: Role) -> Result<Self, PrincipalError> {
        let trust_domain = checked_trust_domain(trust_domain)?.to_owned();
        Ok(Self { trust_domain, role })
    }

    /// The trust domain, such as `hospital.example`.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// What this principal is.
    pub fn role(&self) -> &Role {
        &self.role
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.trust_domain)?;
        match &self.role {
            Role::User(name) => write!(f, "/user/{name}"),
            Role::Scheduler => f.write_str("/scheduler"),
            Role::Executor(id) => write!(f, "/executor/{id}"),
            Role::KeyService => f.write_str("/keyd"),
        }
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(uri: &str) -> Result<Self, PrincipalError> {
        let rest = uri.strip_prefix("spiffe://").ok_or(PrincipalError::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(PrincipalError::Shape)?;
        match path.split_once('/') {
            None if path == "scheduler" => Self::scheduler(trust_domain),
            None if path == "keyd" => Self::key_service(trust_domain),
            Some(("user", name)) => Self::user(trust_domain, name),
            Some(("executor", id)) => Self::executor(trust_domain, id),
            _ => Err(PrincipalError::Shape),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = PrincipalError;

    fn try_from(uri: String) -> Result<Self, PrincipalError> {
        uri.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

/// The trust domain, if it is well formed.
pub(crate) fn checked_trust_domain(domain: &str) -> Result<&str, PrincipalError> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    let fits = !domain.is_empty() && domain.len() <= TRUST_DOMAIN_MAX && domain.bytes().all(plain);
    if fits {
        Ok(domain)
    } else {
        Err(PrincipalError::TrustDomain)
    }
}

fn checked_name(name: &str) -> Result<String, PrincipalError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    let fits = !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(plain);
    if fits && name != "." && name != ".." {
        Ok(name.to_owned())
    } else {
        Err(PrincipalError::Name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_four_shapes_round_trip() {
        for uri in [
            "spiffe://hospital.example/user/Anne.Martin-2",
            "spiffe://hospital.example/scheduler",
            "spiffe://hospital.example/keyd",
            "spiffe://h_1-2/executor/550e8400-e29b-41d4-a716-446655440000",
        ] {
            let principal: Principal = uri.parse().unwrap();
            assert_eq!(principal.to_string(), uri);
            let json = serde_json::to_string(&principal).unwrap();
            assert_eq!(json, format!("\"{uri}\""));
            assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        use PrincipalError::*;
        let long = format!("spiffe://h/user/{}", "a".repeat(129));
        let long_domain = format!("spiffe://{}/scheduler", "a".repeat(256));
        for (uri, reason) in [
            ("", Scheme),
            ("SPIFFE://h/scheduler", Scheme),
            ("https://h/scheduler", Scheme),
            (" spiffe://h/scheduler", Scheme),
            ("spiffe://h", Shape),
            ("spiffe://h/", Shape),
            ("spiffe://h/scheduler/", Shape),
            ("spiffe://h/scheduler/x", Shape),
            ("spiffe://h/Scheduler", Shape),
            ("spiffe://h/keyd/x", Shape),
            ("spiffe://h/user", Shape),
            ("spiffe://h//user/anne", Shape),
            ("spiffe://h/admin/anne", Shape),
            ("spiffe:///scheduler", TrustDomain),
            ("spiffe://H/scheduler", TrustDomain),
            ("spiffe://h:443/scheduler", TrustDomain),
            ("spiffe://a@h/scheduler", TrustDomain),
            (&long_domain, TrustDomain),
            ("spiffe://h/user/", Name),
            ("spiffe://h/user/anne/", Name),
            ("spiffe://h/user/anne/x", Name),
            ("spiffe://h/user/an ne", Name),
            ("spiffe://h/user/an%20ne", Name),
            ("spiffe://h/user/anne?x", Name),
            ("spiffe://h/user/anne#x", Name),
            ("spiffe://h/user/anne\0", Name),
            ("spiffe://h/user/hélène", Name),
            ("spiffe://h/user/..", Name),
            ("spiffe://h/executor/.", Name),
            (&long, Name),
        ] {
            assert_eq!(uri.parse::<Principal>(), Err(reason), "{uri:?}");
        }
    }

    #[test]
    fn names_of_the_longest_length_are_accepted() {
        let name = "a".repeat(128);
        assert_eq!(Principal::user("h", &name).unwrap().role(), &Role::User(name));
    }
}

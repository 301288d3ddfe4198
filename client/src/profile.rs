//! Where a cluster is and as whom to connect to it. A profile names files and holds no secret itself; it refuses an
//! address without TLS. Named profiles, read from a file, are in `profiles.rs`.

use std::path::{Path, PathBuf};

use parcours_identity::Principal;
use url::Url;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use crate::error::ProfileError;

/// One way to reach one cluster as one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Address of the scheduler's client listener, `grpc+tls://host:port`.
    pub uri: String,
    /// PEM file of the authorities whose schedulers are trusted.
    pub ca: PathBuf,
    /// PEM file of the principal's certificate chain (clientAuth).
    pub cert: PathBuf,
    /// PEM file of the certificate's private key.
    pub key: PathBuf,
    /// Trust domain the scheduler's name must belong to, as in `spiffe://<trust_domain>/scheduler`.
    pub trust_domain: String,
    /// PEM file of revocation lists by which a revoked scheduler is refused.
    pub crl: Option<PathBuf>,
}

impl Profile {
    /// The `host:port` of the address; IPv6 hosts keep their brackets.
    ///
    /// # Errors
    /// [`ProfileError::Plaintext`] for a scheme without TLS, [`ProfileError::Uri`] for anything that is not
    /// `grpc+tls://host:port`.
    pub fn authority(&self) -> Result<String, ProfileError> {
        let refused = || ProfileError::Uri(self.uri.clone());
        let parsed = Url::parse(&self.uri).map_err(|_| refused())?;
        match parsed.scheme() {
            "grpc+tls" => {}
            "grpc" | "grpc+tcp" | "http" => return Err(ProfileError::Plaintext(self.uri.clone())),
            _ => return Err(refused()),
        }
        let extras = !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || !parsed.username().is_empty();
        match (parsed.host_str(), parsed.port()) {
            (Some(host), Some(port)) if !host.is_empty() && !extras => Ok(format!("{host}:{port}")),
            _ => Err(refused()),
        }
    }

    /// The trust domain that a principal's certificate names, for profiles that do not state one: whoever dials with
    /// the certificate expects a scheduler of the same domain.
    ///
    /// # Errors
    /// [`ProfileError::TrustDomain`] when the file cannot be read or its certificate names no principal.
    pub fn trust_domain_of(cert: &Path) -> Result<String, ProfileError> {
        let refused = |reason: String| ProfileError::TrustDomain {
            path: cert.to_owned(),
            reason,
        };
        let pem = std::fs::read(cert).map_err(|error| refused(error.to_string()))?;
        let (_, block) = parse_x509_pem(&pem).map_err(|_| refused("not PEM".to_owned()))?;
        let certificate = block
            .parse_x509()
            .map_err(|_| refused("not a certificate".to_owned()))?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let uri = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .find_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            });
        let principal: Principal = uri
            .ok_or_else(|| refused("no URI name".to_owned()))?
            .parse()
            .map_err(|error: parcours_identity::PrincipalError| refused(error.to_string()))?;
        Ok(principal.trust_domain().to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(uri: &str) -> Profile {
        Profile {
            uri: uri.to_owned(),
            ca: "ca.pem".into(),
            cert: "c.pem".into(),
            key: "c.key".into(),
            trust_domain: "test".to_owned(),
            crl: None,
        }
    }

    #[test]
    fn addresses_with_tls_host_and_port_are_read() {
        assert_eq!(at("grpc+tls://localhost:7443").authority().unwrap(), "localhost:7443");
        assert_eq!(at("grpc+tls://localhost:7443/").authority().unwrap(), "localhost:7443");
        assert_eq!(at("grpc+tls://[::1]:7443").authority().unwrap(), "[::1]:7443");
    }

    #[test]
    fn plaintext_is_refused_by_name() {
        for uri in ["grpc://h:1", "grpc+tcp://h:1", "http://h:1"] {
            assert!(matches!(at(uri).authority(), Err(ProfileError::Plaintext(_))), "{uri}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for uri in [
            "",
            "localhost:7443",
            "grpc+tls://h",
            "grpc+tls://h:1/path",
            "grpc+tls://h:1?a=b",
            "https://h:1",
        ] {
            assert!(matches!(at(uri).authority(), Err(ProfileError::Uri(_))), "{uri}");
        }
    }
}

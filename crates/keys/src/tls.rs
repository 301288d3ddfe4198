//! The TLS of connections to key servers: the authority that is named and no other, our own certificate, aws-lc-rs.
//!
//! TLS 1.3 is preferred. TLS 1.2 is accepted here and nowhere else in Parcours, because key servers that are in use speak
//! nothing newer: only with ephemeral keys, AES-GCM and the extended master secret. Files are read anew for each
//! configuration that is made.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::KeyError;
use crate::private::{read_public, read_secret, unusable};

/// Where a connection's certificates are (PEM).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsFiles<'a> {
    /// The authorities that the server's certificate must lead to.
    pub ca: &'a Path,
    /// Our certificate with its intermediates, and its private key.
    pub own: Option<(&'a Path, &'a Path)>,
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| is_accepted(suite.suite()));
    Arc::new(provider)
});

fn is_accepted(suite: CipherSuite) -> bool {
    use CipherSuite::*;
    matches!(
        suite,
        TLS13_AES_256_GCM_SHA384
            | TLS13_AES_128_GCM_SHA256
            | TLS13_CHACHA20_POLY1305_SHA256
            | TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// The configuration of a connection, as the files say now.
///
/// # Errors
/// [`KeyError::Refused`] for files that cannot be used.
pub(crate) fn client_config(files: TlsFiles<'_>) -> Result<ClientConfig, KeyError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(files.ca, "authority")? {
        let refused = |_| unusable(files.ca, "authority", "holds a certificate that is no authority");
        roots.add(authority).map_err(refused)?;
    }
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| refused(&error))?
        .with_root_certificates(roots);
    let mut config = match files.own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert, "certificate")?;
            let built = builder.with_client_auth_cert(chain, private_key(key)?);
            built.map_err(|_| unusable(key, "private key", "does not belong to the certificate"))?
        }
    };
    config.require_ems = true;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let pem = read_public(path, what)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable(path, what, "holds no certificate in PEM")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, KeyError> {
    let pem = read_secret(path, "private key")?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable(path, "private key", "holds no private key in PEM"))
}

fn refused(error: &rustls::Error) -> KeyError {
    KeyError::Refused {
        reason: format!("TLS cannot be configured: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use rustls::SupportedCipherSuite;

    use super::*;

    /// Of TLS 1.2, what is left has ephemeral keys and AES-GCM.
    #[test]
    fn tls_1_2_is_narrowed() {
        let old: Vec<String> = PROVIDER
            .cipher_suites
            .iter()
            .filter(|suite| matches!(suite, SupportedCipherSuite::Tls12(_)))
            .map(|suite| format!("{:?}", suite.suite()))
            .collect();
        assert_eq!(old.len(), 4);
        assert!(
            old.iter()
                .all(|name| name.starts_with("TLS_ECDHE_") && name.contains("_GCM_")),
            "{old:?}"
        );
    }
}

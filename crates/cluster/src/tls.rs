//! The identity section that the processes of a cluster share: one authority, one trust domain, and two certificates, since a
//! process that serves and dials holds one for each use.

use std::path::{Path, PathBuf};

use parcours_identity::TlsFiles;
use serde::{Deserialize, Serialize};

/// `[tls]` of a node's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeTls {
    /// The trust domain of every principal, `spiffe://<trust-domain>/…`.
    pub trust_domain: String,
    /// PEM file of the authorities that are trusted.
    pub ca: PathBuf,
    /// PEM file of revoked certificates; watched.
    pub crl: Option<PathBuf>,
    /// The certificate shown to those who connect (serverAuth).
    pub server: Certificate,
    /// The certificate shown when dialling (clientAuth).
    pub client: Certificate,
}

/// A certificate chain and its private key, as PEM files; watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key, readable by its owner only.
    pub key: PathBuf,
}

impl NodeTls {
    /// The files for serving.
    pub fn server_files(&self) -> TlsFiles {
        self.files(&self.server)
    }

    /// The files for dialling.
    pub fn client_files(&self) -> TlsFiles {
        self.files(&self.client)
    }

    /// The files for a third certificate of the same authority.
    pub fn files(&self, certificate: &Certificate) -> TlsFiles {
        Self::files_under(&self.ca, self.crl.as_ref(), certificate)
    }

    /// The files for a certificate of this authority.
    pub fn files_under(ca: &Path, crl: Option<&PathBuf>, certificate: &Certificate) -> TlsFiles {
        TlsFiles {
            ca: ca.to_owned(),
            cert: certificate.cert.clone(),
            key: certificate.key.clone(),
            crl: crl.cloned(),
        }
    }
}

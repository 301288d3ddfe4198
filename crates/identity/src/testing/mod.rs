//! The certificate matrix: every wrong certificate against a real listener, and every wrong server against a real
//! dialler. It goes round this crate's own connectors, which would refuse to present such certificates, and is only
//! there under the feature `testing`.
//!
//! A listener is tested with [`dial_wrongly`], a dialler with [`serve_wrongly`], and opening with [`wrong_files`];
//! [`mistakes`] names the outcomes that are
//! not what they should be. Both ends must use files of one [`TestPki`], with its revocation list.

mod case;
mod dial;
mod forge;
mod serve;

use std::path::Path;

use tempfile::TempDir;

use crate::pki::{InitOptions, Pki, Request};
use crate::{Principal, TlsFiles};

pub use case::{Case, Outcome, mistakes};
pub use dial::dial_wrongly;
pub use forge::wrong_files;
pub use serve::serve_wrongly;

/// Whatever went wrong while preparing a test.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// The names every serving certificate of a [`TestPki`] carries.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// An authority in a temporary folder, removed when dropped.
pub struct TestPki {
    pki: Pki,
    folder: TempDir,
}

impl TestPki {
    /// A new authority for `trust_domain`.
    pub fn new(trust_domain: &str) -> Result<Self, Trouble> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::init(&folder.path().join("pki"), trust_domain, InitOptions::default())?;
        Ok(Self { pki, folder })
    }

    /// The authority itself.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The temporary folder around the authority's.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The trust domain of its names.
    pub fn trust_domain(&self) -> &str {
        self.pki.trust_domain()
    }

    /// The scheduler's files for serving, good for `localhost`, `127.0.0.1` and `::1`.
    pub fn scheduler_server(&self) -> Result<TlsFiles, Trouble> {
        self.serving(Principal::scheduler(self.trust_domain())?, "scheduler-server")
    }

    /// The scheduler's files for dialling.
    pub fn scheduler_client(&self) -> Result<TlsFiles, Trouble> {
        self.dialling(Principal::scheduler(self.trust_domain())?, "scheduler-client")
    }

    /// The key service's files for serving, good for the same hosts.
    pub fn key_service_server(&self) -> Result<TlsFiles, Trouble> {
        self.serving(Principal::key_service(self.trust_domain())?, "keyd-server")
    }

    /// An executor's files for serving.
    pub fn executor_server(&self, id: &str) -> Result<TlsFiles, Trouble> {
        self.serving(
            Principal::executor(self.trust_domain(), id)?,
            &format!("executor-{id}-server"),
        )
    }

    /// An executor's files for dialling.
    pub fn executor_client(&self, id: &str) -> Result<TlsFiles, Trouble> {
        self.dialling(
            Principal::executor(self.trust_domain(), id)?,
            &format!("executor-{id}-client"),
        )
    }

    /// A user's files.
    pub fn user(&self, name: &str) -> Result<TlsFiles, Trouble> {
        self.dialling(Principal::user(self.trust_domain(), name)?, &format!("user-{name}"))
    }

    /// Revokes the certificate of these files.
    pub fn revoke(&self, files: &TlsFiles) -> Result<(), Trouble> {
        self.pki.revoke(&files.cert.to_string_lossy())?;
        Ok(())
    }

    fn serving(&self, principal: Principal, stem: &str) -> Result<TlsFiles, Trouble> {
        self.files(stem, Request::server(principal, HOSTS, stem))
    }

    fn dialling(&self, principal: Principal, stem: &str) -> Result<TlsFiles, Trouble> {
        self.files(stem, Request::client(principal, stem))
    }

    /// Issues at the first call and answers the same files afterwards.
    fn files(&self, stem: &str, request: Request) -> Result<TlsFiles, Trouble> {
        let files = self.pki.tls_files(stem);
        if !files.cert.exists() {
            self.pki.issue(request)?;
        }
        Ok(files)
    }
}

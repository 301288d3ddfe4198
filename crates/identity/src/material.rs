//! What both ends of a connection are opened from: trust and credential, each watched on its own, so that a new
//! revocation list is used even while our own certificate is being replaced.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::Leaf;
use crate::credential::{Credential, Own};
use crate::files::TlsFiles;
use crate::principal::checked_trust_domain;
use crate::trust::Trust;
use crate::watched::{Current, Watched};
use crate::{IdentityError, Principal, Purpose, Refusal};

/// The watched files of one endpoint.
pub(crate) struct Material {
    trust_domain: String,
    trust: Arc<Watched<Trust>>,
    credential: Watched<Credential>,
}

impl Material {
    /// Loads everything; `purpose` is what our own certificate is for, `suits` whether its principal may stand there.
    pub fn open(
        files: TlsFiles,
        trust_domain: &str,
        purpose: Purpose,
        suits: impl Fn(&Principal) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Result<Self, IdentityError> {
        let trust_domain = checked_trust_domain(trust_domain)?.to_owned();
        let trust = Arc::new(watch_trust(files.clone())?);
        let own = Own {
            trust_domain: trust_domain.clone(),
            purpose,
            suits: Box::new(suits),
        };
        let credential = watch_credential(files, trust.clone(), own)?;
        Ok(Self {
            trust_domain,
            trust,
            credential,
        })
    }

    /// Whom we believe now.
    pub fn trust(&self) -> Current<Trust> {
        self.trust.current()
    }

    /// Whom we believed at most `age` ago.
    pub fn trust_within(&self, age: Duration) -> Current<Trust> {
        self.trust.current_within(age)
    }

    /// Who we are now.
    pub fn credential(&self) -> Arc<Credential> {
        self.credential.current().value
    }

    /// Who holds this chain, if it is trusted and fit for `purpose`.
    pub fn examine(
        &self,
        trust: &Trust,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let read = Leaf::read(leaf)?;
        trust.verify(leaf, intermediates, purpose, now)?;
        read.judge(purpose, &self.trust_domain)
    }
}

fn watch_trust(files: TlsFiles) -> Result<Watched<Trust>, IdentityError> {
    let watched = [Some(&files.ca), files.crl.as_ref()]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    Watched::open(
        "authorities and revocation lists",
        watched,
        Box::new(move |before| Trust::load(&files, before)),
    )
}

fn watch_credential(
    files: TlsFiles,
    trust: Arc<Watched<Trust>>,
    own: Own,
) -> Result<Watched<Credential>, IdentityError> {
    let watched = vec![files.cert.clone(), files.key.clone()];
    let load = move |_: Option<&Credential>| Credential::load(&files, &trust.current().value, &own);
    Watched::open("certificate and key", watched, Box::new(load))
}

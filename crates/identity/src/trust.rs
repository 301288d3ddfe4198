//! Whom we believe: the authorities and their revocation lists, read together and replaced together. It verifies that a
//! chain leads to an authority, is within its validity and is not revoked; names and purposes are `certificate`'s.

use std::path::Path;

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
};
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer, X509Certificate};

use crate::certificate::{SIGNING_USAGE_DER, is_strong};
use crate::files::{TlsFiles, read_all};
use crate::provider::provider;
use crate::{IdentityError, Purpose, Refusal};

/// Authorities and revocation lists of one moment.
pub(crate) struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    subjects: Vec<DistinguishedName>,
    lists: Vec<CertRevocationList<'static>>,
    /// Issuer (DER) and number of each list, to tell an older one.
    numbers: Vec<(Vec<u8>, BigUint)>,
}

impl Trust {
    /// Reads `ca` and, if configured, `crl`. `before` is what is in force: an older list of the same authority is refused.
    pub fn load(files: &TlsFiles, before: Option<&Self>) -> Result<Self, IdentityError> {
        let authorities = read_all::<CertificateDer<'static>>(&files.ca, "certificate")?;
        let mut trust = Self {
            anchors: vec![],
            subjects: vec![],
            lists: vec![],
            numbers: vec![],
        };
        for authority in &authorities {
            trust.add_authority(&files.ca, authority)?;
        }
        if let Some(path) = &files.crl {
            for list in read_all::<CertificateRevocationListDer<'static>>(path, "revocation list")? {
                trust.add_list(path, &list, &authorities, before)?;
            }
        }
        Ok(trust)
    }

    /// The names of our authorities, for peers that choose among several certificates.
    pub fn subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    /// Whether `leaf` leads to one of our authorities, is valid at `now` and is not revoked.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let builder = RevocationOptionsBuilder::new(&lists).ok();
        let revocation = builder.map(|builder| builder.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let usage = match purpose {
            Purpose::Server => KeyUsage::server_auth(),
            Purpose::Client => KeyUsage::client_auth(),
            Purpose::Signing => KeyUsage::required(SIGNING_USAGE_DER),
        };
        let algorithms = provider().signature_verification_algorithms.all;
        EndEntityCert::try_from(leaf)?
            .verify_for_usage(algorithms, &self.anchors, intermediates, now, usage, revocation, None)
            .map(drop)
            .map_err(|error| match error {
                webpki::Error::RequiredEkuNotFoundContext(_) => Refusal::Usage { needed: purpose },
                other => other.into(),
            })
    }

    fn add_authority(&mut self, path: &Path, der: &CertificateDer<'static>) -> Result<(), IdentityError> {
        let fault = |reason| IdentityError::Authority {
            path: path.to_owned(),
            reason,
        };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| fault("it cannot be read"))?;
        if !parsed.is_ca() {
            return Err(fault("its basic constraints do not say so"));
        }
        if !is_strong(parsed.public_key()) {
            return Err(fault("its key is weak or of an unsupported kind"));
        }
        let anchor = webpki::anchor_from_trusted_cert(der)
            .map_err(|_| fault("it cannot be read"))?
            .to_owned();
        self.subjects
            .push(DistinguishedName::in_sequence(anchor.subject.as_ref()));
        self.anchors.push(anchor);
        Ok(())
    }

    fn add_list(
        &mut self,
        path: &Path,
        der: &CertificateRevocationListDer<'static>,
        authorities: &[CertificateDer<'static>],
        before: Option<&Self>,
    ) -> Result<(), IdentityError> {
        let fault = |reason| IdentityError::RevocationList {
            path: path.to_owned(),
            reason,
        };
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|_| fault("it cannot be read"))?;
        if !authorities.iter().any(|authority| has_signed(authority, &parsed)) {
            return Err(fault("none of our authorities has signed it"));
        }
        if parsed
            .next_update()
            .is_none_or(|next| next.timestamp() < ASN1Time::now().timestamp())
        {
            return Err(fault("it is past its next update"));
        }
        let number = parsed.crl_number().ok_or_else(|| fault("it has no number"))?.clone();
        let issuer = parsed.issuer().as_raw().to_vec();
        if before.is_some_and(|before| before.has_newer(&issuer, &number)) {
            return Err(fault("it is older than the one in force"));
        }
        let list = OwnedCertRevocationList::from_der(der).map_err(|_| fault("it cannot be read"))?;
        self.lists.push(list.into());
        self.numbers.push((issuer, number));
        Ok(())
    }

    fn has_newer(&self, issuer: &[u8], number: &BigUint) -> bool {
        self.numbers
            .iter()
            .any(|(known, newest)| known == issuer && newest > number)
    }
}

fn has_signed(authority: &CertificateDer<'_>, list: &CertificateRevocationList<'_>) -> bool {
    X509Certificate::from_der(authority).is_ok_and(|(_, authority)| {
        authority.subject().as_raw() == list.issuer().as_raw() && list.verify_signature(authority.public_key()).is_ok()
    })
}

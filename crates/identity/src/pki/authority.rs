//! The authority itself: how it is made, and how it is read back for signing.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::issue::{BACKDATED, KeyKind, serial_number};
use super::ledger::{Ledger, publish, random};
use super::{PkiError, disk};
use crate::principal::checked_trust_domain;

/// How an authority is made.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The kind of the authority's key; P-256 by default.
    pub key: KeyKind,
    /// How long the authority lives, in days; 3650 by default.
    pub days: u32,
}

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            key: KeyKind::P256,
            days: 3650,
        }
    }
}

/// An authority ready to sign.
pub(crate) struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub not_after: OffsetDateTime,
}

impl Authority {
    /// Reads `ca.pem` and `ca.key`.
    pub fn read(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join("ca.pem");
        let damaged = |reason: &str| PkiError::Damaged {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let pem = disk::read(&path)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged("it is not PEM"))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| damaged("it is no certificate"))?;
        let key = Zeroizing::new(disk::read(&dir.join("ca.key"))?);
        Ok(Self {
            not_after: parsed.validity().not_after.to_datetime(),
            issuer: Issuer::from_ca_cert_der(&der, KeyPair::from_pem(&key)?)?,
        })
    }
}

/// Makes key, certificate, record and empty list.
pub(super) fn init(dir: &Path, trust_domain: &str, options: &InitOptions) -> Result<(), PkiError> {
    let trust_domain = checked_trust_domain(trust_domain)?;
    if options.days == 0 {
        return Err(PkiError::Validity);
    }
    disk::private_folder(dir)?;
    let key = options.key.generate()?;
    let certificate = params(trust_domain, options.days)?.self_signed(&key)?;
    let secret = Zeroizing::new(key.serialize_pem());
    disk::create(&dir.join("ca.key"), secret.as_bytes(), disk::PRIVATE)?;
    disk::create(&dir.join("ca.pem"), certificate.pem().as_bytes(), disk::PUBLIC)?;
    publish(
        dir,
        &mut Ledger {
            trust_domain: trust_domain.to_owned(),
            crl_number: 0,
            issued: vec![],
        },
    )
}

fn params(trust_domain: &str, days: u32) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::now_utc() - BACKDATED;
    params.not_after = params.not_before + Duration::days(days.into());
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = subject(trust_domain)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Two authorities of one trust domain get different names, so that no one takes one for the other.
fn subject(trust_domain: &str) -> Result<DistinguishedName, PkiError> {
    let mark: String = random::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, trust_domain);
    name.push(DnType::CommonName, format!("parcours development authority {mark}"));
    Ok(name)
}

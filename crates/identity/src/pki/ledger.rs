//! The record of what an authority has issued and revoked, and the revocation list made from it. The record is written
//! before what it records, so that a crash can leave an unused entry but never an unknown certificate.

use std::fs::File;
use std::path::Path;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::authority::Authority;
use super::{Pki, PkiError, disk};
use crate::Purpose;

/// The content of `issued.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    pub trust_domain: String,
    /// The number of the list in force; the next one has the next.
    pub crl_number: u64,
    pub issued: Vec<Entry>,
}

/// One certificate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Lowercase hexadecimal.
    pub serial: String,
    pub principal: String,
    pub purpose: Purpose,
    /// RFC 3339.
    pub not_after: String,
    /// RFC 3339; absent while it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

impl Ledger {
    /// Reads the record of the authority in `dir`.
    pub fn read(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join("issued.json");
        let text = disk::read(&path)?;
        serde_json::from_str(&text).map_err(|error| PkiError::Damaged {
            path,
            reason: error.to_string(),
        })
    }

    /// Writes it over the former one.
    pub fn write(&self, dir: &Path) -> Result<(), PkiError> {
        let path = dir.join("issued.json");
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| PkiError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        disk::replace(&path, text.as_bytes(), disk::PRIVATE)
    }

    fn revoked(&self) -> Result<Vec<RevokedCertParams>, PkiError> {
        let revoked = self
            .issued
            .iter()
            .filter_map(|entry| Some((entry, entry.revoked.as_ref()?)));
        revoked
            .map(|(entry, when)| revoked_entry(&entry.serial, when))
            .collect()
    }
}

/// Keeps other processes from changing the record meanwhile.
pub(super) fn lock(dir: &Path) -> Result<File, PkiError> {
    disk::lock(&dir.join("ca.pem"))
}

/// Records the revocation, then publishes the list.
pub(super) fn revoke(pki: &Pki, serial: &str, target: &str) -> Result<(), PkiError> {
    let _lock = lock(pki.dir())?;
    let mut ledger = Ledger::read(pki.dir())?;
    let entry = ledger.issued.iter_mut().find(|entry| entry.serial == serial);
    let entry = entry.ok_or_else(|| PkiError::NotIssued {
        target: target.to_owned(),
    })?;
    entry.revoked.get_or_insert(rfc3339(OffsetDateTime::now_utc()));
    publish(pki.dir(), &mut ledger)
}

/// Numbers, signs and writes the list of all that is revoked.
pub(super) fn publish(dir: &Path, ledger: &mut Ledger) -> Result<(), PkiError> {
    ledger.crl_number += 1;
    ledger.write(dir)?;
    let authority = Authority::read(dir)?;
    let list = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc() - super::issue::BACKDATED,
        // Nobody renews the list of a development authority: it is good as long as the authority itself.
        next_update: authority.not_after,
        crl_number: SerialNumber::from(ledger.crl_number),
        issuing_distribution_point: None,
        revoked_certs: ledger.revoked()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let pem = list.signed_by(&authority.issuer)?.pem()?;
    disk::replace(&dir.join("crl.pem"), pem.as_bytes(), disk::PUBLIC)
}

/// `N` random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PkiError::Random)?;
    Ok(bytes)
}

/// A moment as the record writes it.
pub(super) fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}

fn revoked_entry(serial: &str, when: &str) -> Result<RevokedCertParams, PkiError> {
    let damaged = |reason: &str| PkiError::Damaged {
        path: "issued.json".into(),
        reason: reason.to_owned(),
    };
    let number = u128::from_str_radix(serial, 16).map_err(|_| damaged("a serial number is not hexadecimal"))?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&number.to_be_bytes()),
        revocation_time: OffsetDateTime::parse(when, &Rfc3339).map_err(|_| damaged("a date cannot be read"))?,
        reason_code: Some(RevocationReason::Unspecified),
        invalidity_date: None,
    })
}

//! What a certificate file says, for people. Whether it is revoked is read from `crl.pem`, as the listeners do.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde::Serialize;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::ledger::rfc3339;
use super::{Pki, PkiError, disk};
use crate::certificate::hex;

/// One certificate. Text is as the certificate says it and may come from anyone: quote it when printing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The file read.
    pub path: PathBuf,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Its URI names; a principal's certificate has exactly one.
    pub uris: Vec<String>,
    /// Its host names and addresses.
    pub hosts: Vec<String>,
    /// What it is for: `serverAuth`, `clientAuth`, `any`, `authority`, or others as object identifiers.
    pub usages: Vec<String>,
    /// Lowercase hexadecimal.
    pub serial: String,
    /// RFC 3339, UTC.
    pub not_before: String,
    /// RFC 3339, UTC.
    pub not_after: String,
    /// Kind and size of its key, such as `P-256` or `RSA 3072`.
    pub key: String,
    /// Whether this authority has signed it.
    pub issued_here: bool,
    /// Whether this authority's list revokes it.
    pub revoked: bool,
}

/// Reads the first certificate of a PEM file.
pub(super) fn describe(pki: &Pki, path: &Path) -> Result<Description, PkiError> {
    let der = certificate(path)?;
    let parsed = parse(path, &der)?;
    let (uris, hosts) = names(&parsed);
    let issued_here = is_ours(pki, &parsed)?;
    Ok(Description {
        path: path.to_owned(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        uris,
        hosts,
        usages: usages(&parsed),
        serial: hex(parsed.raw_serial()),
        not_before: rfc3339(parsed.validity().not_before.to_datetime()),
        not_after: rfc3339(parsed.validity().not_after.to_datetime()),
        key: key(&parsed),
        issued_here,
        revoked: issued_here && is_listed(pki, &parsed)?,
    })
}

fn certificate(path: &Path) -> Result<CertificateDer<'static>, PkiError> {
    let pem = disk::read(path)?;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged(path, "it holds no certificate in PEM"))
}

fn parse<'a>(path: &Path, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    X509Certificate::from_der(der)
        .map(|(_, parsed)| parsed)
        .map_err(|_| damaged(path, "the certificate is malformed"))
}

fn is_ours(pki: &Pki, certificate_: &X509Certificate<'_>) -> Result<bool, PkiError> {
    let path = pki.dir().join("ca.pem");
    let der = certificate(&path)?;
    let authority = parse(&path, &der)?;
    let named = certificate_.issuer().as_raw() == authority.subject().as_raw();
    Ok(named && certificate_.verify_signature(Some(authority.public_key())).is_ok())
}

fn is_listed(pki: &Pki, certificate: &X509Certificate<'_>) -> Result<bool, PkiError> {
    let path = pki.dir().join("crl.pem");
    let pem = disk::read(&path)?;
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged(&path, "not PEM"))?;
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| damaged(&path, "it cannot be read"))?;
    let serial = &certificate.tbs_certificate.serial;
    Ok(list
        .iter_revoked_certificates()
        .any(|revoked| revoked.serial() == serial))
}

fn names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut uris, mut hosts) = (vec![], vec![]);
    let names = certificate.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
            GeneralName::IPAddress(bytes) => hosts.push(address(bytes)),
            _ => {}
        }
    }
    (uris, hosts)
}

fn address(bytes: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6)
        .map_or_else(|_| format!("{bytes:02x?}"), |address| address.to_string())
}

fn usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let authority = certificate.is_ca().then(|| "authority".to_owned());
    let extended = certificate
        .extended_key_usage()
        .ok()
        .flatten()
        .map(|extension| extension.value);
    authority
        .into_iter()
        .chain(extended.into_iter().flat_map(extended_usages))
        .collect()
}

fn extended_usages(usages: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usages.any, "any"),
        (usages.server_auth, "serverAuth"),
        (usages.client_auth, "clientAuth"),
        (usages.code_signing, "codeSigning"),
        (usages.email_protection, "emailProtection"),
        (usages.time_stamping, "timeStamping"),
        (usages.ocsp_signing, "OCSPSigning"),
    ];
    let known = known
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, name)| name.to_owned());
    known.chain(usages.other.iter().map(ToString::to_string)).collect()
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("P-{}", point.key_size()),
        _ if key.algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => key.algorithm.algorithm.to_id_string(),
    }
}

fn damaged(path: &Path, reason: &str) -> PkiError {
    PkiError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

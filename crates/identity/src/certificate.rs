//! What a certificate says: names, purpose, validity, key. Reads one leaf and judges it by the rules that hold for every
//! certificate here, ours and our peers'; whether its authority stands behind it is `trust`'s question.

use std::fmt;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{Principal, Refusal};

/// The longest a certificate may be issued for, in days.
pub const LIFETIME_MAX_DAYS: u32 = 825;
/// The smallest RSA key accepted, in bits.
const RSA_MIN_BITS: usize = 3072;

/// What a certificate is for. One certificate has exactly one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To be shown by the end that listens (serverAuth).
    Server,
    /// To be shown by the end that dials (clientAuth).
    Client,
    /// To sign statements that other processes carry (id-kp-jwt of RFC 9509): the scheduler's grants.
    Signing,
}

/// id-kp-jwt, 1.3.6.1.5.5.7.3.37, as arcs.
pub(crate) const SIGNING_USAGE: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 37];
/// The same, as the content of its DER encoding.
pub(crate) const SIGNING_USAGE_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 37];

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "serving",
            Self::Client => "dialling",
            Self::Signing => "signing",
        })
    }
}

/// A leaf certificate, read but not yet trusted.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Its one principal, or why it has none.
    pub principal: Result<Principal, Refusal>,
    /// Its one purpose, or why it has none.
    purpose: Result<Purpose, Refusal>,
    /// Serial number, lowercase hexadecimal.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    key_is_strong: bool,
    is_authority: bool,
}

impl Leaf {
    /// Reads a certificate in DER.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Refusal> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Refusal::Malformed)?;
        if !rest.is_empty() {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            principal: principal_of(&parsed),
            purpose: purpose_of(&parsed)?,
            serial: hex(parsed.raw_serial()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            key_is_strong: is_strong(parsed.public_key()),
            is_authority: parsed.is_ca(),
        })
    }

    /// Its one purpose, or why it has none.
    pub fn purpose(&self) -> Result<Purpose, Refusal> {
        self.purpose.clone()
    }

    /// The principal, if the certificate keeps every rule for use as `needed` in `trust_domain`.
    pub fn judge(&self, needed: Purpose, trust_domain: &str) -> Result<Principal, Refusal> {
        if self.is_authority {
            return Err(Refusal::Authority);
        }
        if self.purpose()? != needed {
            return Err(Refusal::Usage { needed });
        }
        if self.not_after - self.not_before > i64::from(LIFETIME_MAX_DAYS) * 86_400 {
            return Err(Refusal::Lifetime);
        }
        if !self.key_is_strong {
            return Err(Refusal::WeakKey);
        }
        let principal = self.principal.clone()?;
        if principal.trust_domain() != trust_domain {
            return Err(Refusal::TrustDomain(principal));
        }
        Ok(principal)
    }
}

/// Whether a public key is of a kind and size we use.
pub(crate) fn is_strong(key: &SubjectPublicKeyInfo<'_>) -> bool {
    const ED25519: &str = "1.3.101.112";
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => rsa.key_size() >= RSA_MIN_BITS,
        Ok(PublicKey::EC(point)) => point.key_size() >= 256,
        _ => key.algorithm.algorithm.to_id_string() == ED25519,
    }
}

/// A serial number as it is written here: lowercase hexadecimal without leading zeros.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    normal_serial(&digits)
}

/// A serial number in the same form, from the forms other tools write (colons, capitals, leading zeros).
pub(crate) fn normal_serial(text: &str) -> String {
    text.replace(':', "").trim_start_matches('0').to_ascii_lowercase()
}

fn principal_of(certificate: &X509Certificate<'_>) -> Result<Principal, Refusal> {
    let names = certificate.subject_alternative_name().map_err(|_| Refusal::Malformed)?;
    let names = names
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (None, _) => Err(Refusal::NoName),
        (Some(uri), None) => uri.parse().map_err(Refusal::Name),
        (Some(_), Some(_)) => Err(Refusal::SeveralNames),
    }
}

/// The outer error is a malformed certificate, the inner one a certificate without one purpose.
fn purpose_of(certificate: &X509Certificate<'_>) -> Result<Result<Purpose, Refusal>, Refusal> {
    let usages = certificate.extended_key_usage().map_err(|_| Refusal::Malformed)?;
    let Some(usages) = usages.map(|extension| extension.value) else {
        return Ok(Err(Refusal::BothUsages));
    };
    let signing = usages.other.iter().any(|usage| usage.as_bytes() == SIGNING_USAGE_DER);
    Ok(match (usages.any, usages.server_auth, usages.client_auth, signing) {
        (false, true, false, false) => Ok(Purpose::Server),
        (false, false, true, false) => Ok(Purpose::Client),
        (false, false, false, true) => Ok(Purpose::Signing),
        (false, false, false, false) => Err(Refusal::NoUsage),
        _ => Err(Refusal::BothUsages),
    })
}

#[cfg(test)]
mod tests {
    use super::{hex, normal_serial};

    #[test]
    fn serial_numbers_have_one_form() {
        for written in ["05:D8:0E", "5d80e", "0005d80e", "00:05:d8:0e"] {
            assert_eq!(normal_serial(written), hex(&[0x05, 0xd8, 0x0e]), "{written}");
        }
        assert_eq!(hex(&[0, 0, 0x91, 0x00]), "9100");
    }
}

//! Certificates that the development PKI refuses to make, signed with its key or with that of another authority.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SanType, SerialNumber,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::{Case, HOSTS, TestPki, Trouble};
use crate::certificate::SIGNING_USAGE;
use crate::pki::Request;
use crate::provider::provider;
use crate::{Principal, Purpose, TlsFiles};

/// A chain with a key, right or wrong, ready to be presented.
pub(super) type Presented = Arc<SingleCertAndKey>;

/// The same as text.
struct Forged {
    cert: String,
    key: String,
}

/// Our own files with every flaw that [`crate::ServerTls::open`] and [`crate::ClientTls::open`] must refuse, for
/// `principal` and `purpose`, written into the test's folder.
pub fn wrong_files(pki: &TestPki, principal: &Principal, purpose: Purpose) -> Result<Vec<(Case, TlsFiles)>, Trouble> {
    let write = |case: &Case| {
        let Forged { cert, key } = forged(pki, case, principal, purpose)?;
        let stem = pki.folder().join(format!("{case:?}-{purpose:?}"));
        let files = pki.pki().tls_files(stem);
        fs::write(&files.cert, cert)?;
        fs::write(&files.key, key)?;
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600))?;
        Ok((case.clone(), files))
    };
    FLAWS.iter().map(write).collect()
}

const FLAWS: [Case; 16] = [
    Case::WrongKey,
    Case::Expired,
    Case::NotYetValid,
    Case::Revoked,
    Case::ForeignAuthority,
    Case::LookalikeAuthority,
    Case::SelfSigned,
    Case::WrongUsage,
    Case::BothUsages,
    Case::NoUsage,
    Case::ForeignTrustDomain,
    Case::NoName,
    Case::SeveralNames,
    Case::TrailingName,
    Case::LongLived,
    Case::WeakKey,
];

/// The flawed certificates of one matrix: for `principal`, meant for `purpose`.
pub(super) fn flawed(
    pki: &TestPki,
    principal: &Principal,
    purpose: Purpose,
) -> Result<Vec<(Case, Presented)>, Trouble> {
    FLAWS
        .iter()
        .map(|case| Ok((case.clone(), presented(pki, case, principal, purpose)?)))
        .collect()
}

/// What these files hold, presented as it is.
pub(super) fn from_files(files: &TlsFiles) -> Result<Presented, Trouble> {
    Forged::read(files)?.presented()
}

/// A good certificate for `principal`, or one with the flaw that `case` names, ready to be presented.
pub(super) fn presented(
    pki: &TestPki,
    case: &Case,
    principal: &Principal,
    purpose: Purpose,
) -> Result<Presented, Trouble> {
    forged(pki, case, principal, purpose)?.presented()
}

impl Forged {
    fn read(files: &TlsFiles) -> Result<Self, Trouble> {
        Ok(Self {
            cert: fs::read_to_string(&files.cert)?,
            key: fs::read_to_string(&files.key)?,
        })
    }

    fn presented(&self) -> Result<Presented, Trouble> {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let signer = provider().key_provider.load_private_key(key)?;
        // Not `from_der`: that one checks that key and certificate belong together.
        Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signer))))
    }
}

fn forged(pki: &TestPki, case: &Case, principal: &Principal, purpose: Purpose) -> Result<Forged, Trouble> {
    if *case == Case::Revoked {
        return revoked(pki, principal, purpose);
    }
    let key = match case {
        Case::WeakKey => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
        _ => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
    };
    let params = params(case, principal, purpose)?;
    let certificate = match case {
        Case::SelfSigned => params.self_signed(&key)?,
        Case::ForeignAuthority => params.signed_by(&key, &foreign_authority()?)?,
        Case::LookalikeAuthority => params.signed_by(&key, &authority(pki, KeyPair::generate()?)?)?,
        _ => params.signed_by(&key, &authority(pki, own_key(pki)?)?)?,
    };
    let shown = if *case == Case::WrongKey {
        KeyPair::generate()?
    } else {
        key
    };
    Ok(Forged {
        cert: certificate.pem(),
        key: shown.serialize_pem(),
    })
}

/// Issued by the book, then revoked.
fn revoked(pki: &TestPki, principal: &Principal, purpose: Purpose) -> Result<Forged, Trouble> {
    let stem = format!("revoked-{}", OffsetDateTime::now_utc().unix_timestamp_nanos());
    pki.pki().issue(match purpose {
        Purpose::Server => Request::server(principal.clone(), HOSTS, &stem),
        Purpose::Client => Request::client(principal.clone(), &stem),
        Purpose::Signing => Request::signing(principal.clone(), &stem),
    })?;
    let files = pki.pki().tls_files(&stem);
    pki.revoke(&files)?;
    Forged::read(&files)
}

fn params(case: &Case, principal: &Principal, purpose: Purpose) -> Result<CertificateParams, Trouble> {
    let now = OffsetDateTime::now_utc();
    let day = Duration::DAY;
    let (not_before, not_after) = match case {
        Case::Expired => (now - day * 30, now - day),
        Case::NotYetValid => (now + day, now + day * 30),
        Case::LongLived => (now - day, now + day * 826),
        _ => (now - day, now + day * 30),
    };
    let hosts: &[&str] = match case {
        Case::WrongHost => &["elsewhere.example"],
        _ => &HOSTS,
    };
    let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.not_before = not_before;
    params.not_after = not_after;
    params.serial_number = Some(SerialNumber::from(now.unix_timestamp_nanos() as u64));
    for uri in uris(case, principal) {
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages(case, purpose);
    params.use_authority_key_identifier_extension = *case != Case::SelfSigned;
    Ok(params)
}

fn uris(case: &Case, principal: &Principal) -> Vec<String> {
    let own = principal.to_string();
    match case {
        Case::NoName => vec![],
        Case::SeveralNames => vec![own.clone(), own],
        Case::TrailingName => vec![format!("{own}/more")],
        Case::ForeignTrustDomain => vec![own.replacen(principal.trust_domain(), "elsewhere.example", 1)],
        _ => vec![own],
    }
}

fn usages(case: &Case, purpose: Purpose) -> Vec<ExtendedKeyUsagePurpose> {
    let (own, other) = match purpose {
        Purpose::Server => (ServerAuth, ClientAuth),
        Purpose::Client => (ClientAuth, ServerAuth),
        Purpose::Signing => (ExtendedKeyUsagePurpose::Other(SIGNING_USAGE.to_vec()), ClientAuth),
    };
    match case {
        Case::NoUsage => vec![],
        Case::BothUsages => vec![own, other],
        Case::WrongUsage => vec![other],
        _ => vec![own],
    }
}

fn own_key(pki: &TestPki) -> Result<KeyPair, Trouble> {
    Ok(KeyPair::from_pem(&fs::read_to_string(pki.pki().dir().join("ca.key"))?)?)
}

/// An authority with our authority's name, and `key`.
fn authority(pki: &TestPki, key: KeyPair) -> Result<Issuer<'static, KeyPair>, Trouble> {
    let der = CertificateDer::from_pem_file(pki.pki().dir().join("ca.pem"))?;
    Ok(Issuer::from_ca_cert_der(&der, key)?)
}

fn foreign_authority() -> Result<Issuer<'static, KeyPair>, Trouble> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(Issuer::new(params, KeyPair::generate()?))
}

//! Making a certificate: the request, the rules it must keep, and the files it becomes.

use std::net::IpAddr;
use std::path::PathBuf;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SerialNumber,
};
use rustls_pki_types::ServerName;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::authority::Authority;
use super::ledger::{self, Entry, Ledger, random, rfc3339};
use super::{Pki, PkiError, disk};
use crate::certificate::{SIGNING_USAGE, hex};
use crate::{LIFETIME_MAX_DAYS, Principal, Purpose, Role};

/// Certificates begin this much before they are made, for machines whose clocks are behind.
pub(super) const BACKDATED: Duration = Duration::minutes(5);
/// Validity unless asked otherwise, in days.
const DAYS: u32 = 90;

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// To listen. `names` are the host names and addresses that clients dial; executors may have none.
    Server {
        /// Host names and IP addresses.
        names: Vec<String>,
    },
    /// To dial.
    Client,
    /// To sign grants: the scheduler's third certificate.
    Signing,
}

/// The kind of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: understood by every client.
    #[default]
    P256,
    /// Ed25519.
    Ed25519,
}

/// A certificate to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose it is.
    pub principal: Principal,
    /// What it is for.
    pub usage: Usage,
    /// How long it is good, in days: 1 to [`LIFETIME_MAX_DAYS`].
    pub days: u32,
    /// The kind of its key.
    pub key: KeyKind,
    /// Where it is written, without suffix; a relative path is taken inside the authority's folder.
    pub out: PathBuf,
    /// Its beginning, if not now.
    pub not_before: Option<OffsetDateTime>,
    /// Its end, if not `days` after its beginning.
    pub not_after: Option<OffsetDateTime>,
}

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
    /// The serial number, lowercase hexadecimal.
    pub serial: String,
}

impl Request {
    /// A certificate for dialling, P-256, 90 days.
    pub fn client(principal: Principal, out: impl Into<PathBuf>) -> Self {
        Self::new(principal, Usage::Client, out.into())
    }

    /// A certificate for serving under these host names and addresses, P-256, 90 days.
    pub fn server<N: Into<String>>(
        principal: Principal,
        names: impl IntoIterator<Item = N>,
        out: impl Into<PathBuf>,
    ) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self::new(principal, Usage::Server { names }, out.into())
    }

    /// A certificate for signing, P-256, 90 days.
    pub fn signing(principal: Principal, out: impl Into<PathBuf>) -> Self {
        Self::new(principal, Usage::Signing, out.into())
    }

    fn new(principal: Principal, usage: Usage, out: PathBuf) -> Self {
        Self {
            principal,
            usage,
            days: DAYS,
            key: KeyKind::P256,
            out,
            not_before: None,
            not_after: None,
        }
    }

    fn purpose(&self) -> Purpose {
        match self.usage {
            Usage::Server { .. } => Purpose::Server,
            Usage::Client => Purpose::Client,
            Usage::Signing => Purpose::Signing,
        }
    }

    fn validity(&self) -> Result<(OffsetDateTime, OffsetDateTime), PkiError> {
        let begin = self.not_before.unwrap_or_else(|| OffsetDateTime::now_utc() - BACKDATED);
        let end = self.not_after.unwrap_or(begin + Duration::days(self.days.into()));
        let allowed = Duration::SECOND..=Duration::days(LIFETIME_MAX_DAYS.into());
        if self.days == 0 || !allowed.contains(&(end - begin)) {
            return Err(PkiError::Validity);
        }
        Ok((begin, end))
    }
}

impl KeyKind {
    pub(super) fn generate(self) -> Result<KeyPair, PkiError> {
        let algorithm = match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &PKCS_ED25519,
        };
        Ok(KeyPair::generate_for(algorithm)?)
    }
}

/// Checks, records, signs and writes.
pub(super) fn issue(pki: &Pki, request: Request) -> Result<Issued, PkiError> {
    let params = params(pki, &request)?;
    let stem = pki.dir().join(&request.out);
    let (cert, key) = (disk::with_suffix(&stem, ".pem"), disk::with_suffix(&stem, ".key"));
    if let Some(path) = [&cert, &key].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(PkiError::Exists { path: path.clone() });
    }
    let _lock = ledger::lock(pki.dir())?;
    let authority = Authority::read(pki.dir())?;
    if params.not_after > authority.not_after {
        return Err(PkiError::Validity);
    }
    let serial = record(pki, &request, &params)?;
    let pair = request.key.generate()?;
    let certificate = params.signed_by(&pair, &authority.issuer)?;
    let secret = Zeroizing::new(pair.serialize_pem());
    disk::create(&key, secret.as_bytes(), disk::PRIVATE)?;
    disk::create(&cert, certificate.pem().as_bytes(), disk::PUBLIC)?;
    Ok(Issued { cert, key, serial })
}

/// A random serial number of 128 bits.
pub(super) fn serial_number() -> Result<SerialNumber, PkiError> {
    Ok(SerialNumber::from_slice(&random::<16>()?))
}

fn record(pki: &Pki, request: &Request, params: &CertificateParams) -> Result<String, PkiError> {
    let serial = params
        .serial_number
        .as_ref()
        .map(|serial| hex(serial.as_ref()))
        .unwrap_or_default();
    let mut ledger = Ledger::read(pki.dir())?;
    ledger.issued.push(Entry {
        serial: serial.clone(),
        principal: request.principal.to_string(),
        purpose: request.purpose(),
        not_after: rfc3339(params.not_after),
        revoked: None,
    });
    ledger.write(pki.dir())?;
    Ok(serial)
}

fn params(pki: &Pki, request: &Request) -> Result<CertificateParams, PkiError> {
    check_name(pki, request)?;
    let (not_before, not_after) = request.validity()?;
    let mut params = CertificateParams::default();
    params.not_before = not_before;
    params.not_after = not_after;
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = subject(&request.principal);
    params.subject_alt_names = alternative_names(request)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match request.purpose() {
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::Signing => ExtendedKeyUsagePurpose::Other(SIGNING_USAGE.to_vec()),
    }];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn check_name(pki: &Pki, request: &Request) -> Result<(), PkiError> {
    let principal = &request.principal;
    if principal.trust_domain() != pki.trust_domain() {
        let trust_domain = pki.trust_domain().to_owned();
        return Err(PkiError::ForeignPrincipal {
            principal: principal.to_string(),
            trust_domain,
        });
    }
    match (&request.usage, principal.role()) {
        (Usage::Server { .. }, Role::User(_)) => Err(PkiError::UserServes {
            principal: principal.to_string(),
        }),
        (Usage::Server { names }, Role::Scheduler | Role::KeyService) if names.is_empty() => Err(PkiError::NoHost),
        (Usage::Signing, role) if *role != Role::Scheduler => Err(PkiError::OnlySchedulerSigns {
            principal: principal.to_string(),
        }),
        _ => Ok(()),
    }
}

fn subject(principal: &Principal) -> DistinguishedName {
    let common = match principal.role() {
        Role::User(name) => name.as_str(),
        Role::Scheduler => "scheduler",
        Role::Executor(id) => id.as_str(),
        Role::KeyService => "keyd",
    };
    let mut name = DistinguishedName::new();
    // X.520 bounds both at 64 characters; the URI carries the name in full.
    name.push(DnType::OrganizationName, clipped(principal.trust_domain()));
    name.push(DnType::CommonName, clipped(common));
    name
}

/// Principals are ASCII, so that any index is a character boundary.
fn clipped(text: &str) -> &str {
    text.get(..64).unwrap_or(text)
}

fn alternative_names(request: &Request) -> Result<Vec<SanType>, PkiError> {
    let uri = SanType::URI(request.principal.to_string().try_into()?);
    let hosts = match &request.usage {
        Usage::Server { names } => names.as_slice(),
        Usage::Client | Usage::Signing => &[],
    };
    std::iter::once(Ok(uri))
        .chain(hosts.iter().map(|host| host_name(host)))
        .collect()
}

fn host_name(name: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    ServerName::try_from(name).map_err(|_| PkiError::BadHost { name: name.to_owned() })?;
    Ok(SanType::DnsName(name.try_into()?))
}

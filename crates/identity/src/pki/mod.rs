//! A public key infrastructure for development and small installations: one authority in one folder, made by
//! `parcours pki`. It refuses to overwrite anything and issues nothing that this crate's own listeners would refuse.
//!
//! The folder (mode 0700) holds `ca.pem`, `ca.key` (0600), `crl.pem` (there from the start, empty) and `issued.json`, the
//! record of what was issued. `issue` makes certificates, `ledger` keeps the record and the list, `describe` shows one.

mod authority;
mod describe;
mod disk;
mod issue;
mod ledger;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::certificate::normal_serial;
use crate::{LIFETIME_MAX_DAYS, PrincipalError, TlsFiles};

pub use authority::InitOptions;
pub use describe::Description;
pub use issue::{Issued, KeyKind, Request, Usage};

/// An authority's folder.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
    trust_domain: String,
}

/// Why something could not be made, revoked or shown.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file that would be written is there already.
    #[error("{path} exists already: choose another name or remove it yourself")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was being done: `read`, `write`, `lock`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the folder is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The trust domain is not well formed.
    #[error("bad trust domain: {0}")]
    TrustDomain(#[from] PrincipalError),
    /// The principal is of another trust domain than the authority.
    #[error("{principal} is not of the trust domain {trust_domain}")]
    ForeignPrincipal {
        /// The principal asked for.
        principal: String,
        /// The authority's trust domain.
        trust_domain: String,
    },
    /// Users do not serve.
    #[error("{principal} is a user: users have certificates for dialling only")]
    UserServes {
        /// The principal asked for.
        principal: String,
    },
    /// Nobody but the scheduler signs.
    #[error("{principal} is not the scheduler: grants are signed by the scheduler only")]
    OnlySchedulerSigns {
        /// The principal asked for.
        principal: String,
    },
    /// Standard clients find the scheduler by its host name.
    #[error("the serving certificate of a scheduler or key service needs at least one host name or address")]
    NoHost,
    /// A host name or address is not well formed.
    #[error("{name} is neither a host name nor an address")]
    BadHost {
        /// The name.
        name: String,
    },
    /// The validity is empty, too long or outlives the authority.
    #[error(
        "validity must be 1 to {} days and end before the authority's own",
        LIFETIME_MAX_DAYS
    )]
    Validity,
    /// This authority has not issued the certificate.
    #[error("{target} was not issued by this authority")]
    NotIssued {
        /// The serial number or file asked for.
        target: String,
    },
    /// The cryptographic library refused.
    #[error("cannot make a certificate: {0}")]
    Crypto(#[from] rcgen::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl Pki {
    /// Makes a new authority for `trust_domain` in `dir`, which must not exist or be empty.
    pub fn init(dir: &Path, trust_domain: &str, options: InitOptions) -> Result<Self, PkiError> {
        authority::init(dir, trust_domain, &options)?;
        Self::open(dir)
    }

    /// Opens an authority made by [`Pki::init`].
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let trust_domain = ledger::Ledger::read(dir)?.trust_domain;
        Ok(Self {
            dir: dir.to_owned(),
            trust_domain,
        })
    }

    /// The authority's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trust domain it issues names of.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Issues a certificate and its key as `<out>.pem` and `<out>.key` (0600).
    pub fn issue(&self, request: Request) -> Result<Issued, PkiError> {
        issue::issue(self, request)
    }

    /// Revokes a certificate, given its file or its serial number in hexadecimal, and rewrites `crl.pem`. Doing so again
    /// only rewrites the list.
    pub fn revoke(&self, target: &str) -> Result<Revocation, PkiError> {
        let serial = self.serial_of(target)?;
        ledger::revoke(self, &serial, target)?;
        Ok(Revocation {
            serial,
            list: self.dir.join("crl.pem"),
        })
    }

    /// What a certificate file says, and whether it is revoked. `path` may be relative to the folder.
    pub fn show(&self, path: &Path) -> Result<Description, PkiError> {
        describe::describe(self, &self.find(path))
    }

    /// The four files with which an endpoint uses the certificate issued as `out`.
    pub fn tls_files(&self, out: impl AsRef<Path>) -> TlsFiles {
        let stem = self.dir.join(out);
        TlsFiles {
            ca: self.dir.join("ca.pem"),
            cert: disk::with_suffix(&stem, ".pem"),
            key: disk::with_suffix(&stem, ".key"),
            crl: Some(self.dir.join("crl.pem")),
        }
    }

    fn serial_of(&self, target: &str) -> Result<String, PkiError> {
        let path = self.find(Path::new(target));
        if !path.is_file() {
            return Ok(normal_serial(target));
        }
        let described = describe::describe(self, &path)?;
        if described.issued_here {
            Ok(described.serial)
        } else {
            Err(PkiError::NotIssued {
                target: target.to_owned(),
            })
        }
    }

    /// A path as given, or inside the folder if it is not there.
    fn find(&self, path: &Path) -> PathBuf {
        if fs::exists(path).unwrap_or(false) {
            path.to_owned()
        } else {
            self.dir.join(path)
        }
    }
}

/// A revocation that is in the list now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate's serial number, lowercase hexadecimal.
    pub serial: String,
    /// The list that says so.
    pub list: PathBuf,
}

//! The four files a TLS endpoint is made of, and how they are read. Private keys that others could read are refused.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::IdentityError;

/// A file larger than this is not a certificate, key or revocation list of ours.
const FILE_MAX: u64 = 16 << 20;

/// Where a TLS endpoint finds its certificates. The files are watched: a changed one is used by the next handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The authorities that peers' certificates must lead to (PEM, one or more).
    pub ca: PathBuf,
    /// Our own certificate, followed by its intermediates if it has any (PEM).
    pub cert: PathBuf,
    /// The private key of `cert` (PEM, readable by its owner only).
    pub key: PathBuf,
    /// The authorities' revocation lists (PEM, one per authority). Without it nothing counts as revoked; with it,
    /// a certificate of an authority that has no list there is refused.
    #[serde(default)]
    pub crl: Option<PathBuf>,
}

/// All of a PEM file's blocks of one kind; at least one.
pub(crate) fn read_all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, IdentityError> {
    parse_all(path, &read(path)?, what)
}

/// The same for text read before.
pub(crate) fn parse_all<T: PemObject>(path: &Path, pem: &[u8], what: &'static str) -> Result<Vec<T>, IdentityError> {
    match T::pem_slice_iter(pem).collect::<Result<Vec<T>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(IdentityError::NotPem {
            path: path.to_owned(),
            what,
        }),
    }
}

/// A file's bytes, wiped when dropped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read_if(path, |_| Ok(()))
}

/// The text of a private key file, if only its owner may read it.
pub(crate) fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read_if(path, |meta| match meta.mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(IdentityError::KeyMode {
            path: path.to_owned(),
            mode,
        }),
        _ => Ok(()),
    })
}

fn read_if(
    path: &Path,
    fit: impl Fn(&Metadata) -> Result<(), IdentityError>,
) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::read(path, source);
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    fit(&meta)?;
    // Reserved at once, so that no copy of a key is left behind by a growing buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(meta.len().min(FILE_MAX) as usize + 1));
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

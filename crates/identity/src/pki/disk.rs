//! How the folder's files are written: whole or not at all, with the right mode from the first byte on, and never over
//! a file that must not be lost.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::PkiError;
use super::ledger::random;

/// Mode of private keys and of the record.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of certificates and revocation lists.
pub(super) const PUBLIC: u32 = 0o644;

/// Writes a new file; one that is there already is an error.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let temporary = write_beside(path, bytes, mode)?;
    // A link, unlike a rename, fails if the name is taken.
    let linked = fs::hard_link(&temporary, path).map_err(|source| taken_or(path, source));
    let removed = fs::remove_file(&temporary).map_err(|source| failed("write", path, source));
    linked.and(removed).and_then(|()| sync_folder(path))
}

/// Writes a file over its former version.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let temporary = write_beside(path, bytes, mode)?;
    fs::rename(&temporary, path).map_err(|source| failed("write", path, source))?;
    sync_folder(path)
}

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| failed("read", path, source))
}

/// Makes `dir` with mode 0700, or takes an empty one and gives it that mode.
pub(super) fn private_folder(dir: &Path) -> Result<(), PkiError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_folder(dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => adopt(dir),
        Err(source) => Err(failed("write", dir, source)),
    }
}

/// Holds others off for as long as the returned file lives.
pub(super) fn lock(path: &Path) -> Result<File, PkiError> {
    let file = File::open(path).map_err(|source| failed("read", path, source))?;
    file.lock().map_err(|source| failed("lock", path, source))?;
    Ok(file)
}

/// `stem` with `suffix` after its last character, dots in the stem kept.
pub(super) fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn adopt(dir: &Path) -> Result<(), PkiError> {
    let mut entries = fs::read_dir(dir).map_err(|source| failed("read", dir, source))?;
    if entries.next().is_some() {
        return Err(PkiError::Exists { path: dir.to_owned() });
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|source| failed("write", dir, source))
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, PkiError> {
    let suffix: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = with_suffix(path, &format!(".{suffix}.tmp"));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed("write", path, source)
    })?;
    Ok(temporary)
}

fn sync_folder(path: &Path) -> Result<(), PkiError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| failed("write", parent, source))
}

fn taken_or(path: &Path, source: io::Error) -> PkiError {
    match source.kind() {
        io::ErrorKind::AlreadyExists => PkiError::Exists { path: path.to_owned() },
        _ => failed("write", path, source),
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> PkiError {
    PkiError::File {
        doing,
        path: path.to_owned(),
        source,
    }
}

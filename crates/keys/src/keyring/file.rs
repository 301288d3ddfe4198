//! The keyring file, format 1: four lines of ASCII, mode 0600, written whole to a new file that then takes the name.
//!
//! ```text
//! parcours-keyring 1
//! {"derivation":{"argon2id":{"cost":{"memory_kib":65536,"passes":3,"lanes":4},"salt":"<base64>"}},"nonce":"<base64>"}
//! <base64 of ciphertext and tag>
//! sha256 <hex of the SHA-256 of the three lines before, with their line ends>
//! ```
//!
//! `derivation` is `argon2id` (Argon2id 1.3 of the passphrase) or `key-file` (HKDF-SHA256 of the key file's 32 bytes,
//! info `parcours-keyring-1 key file`), each with a 32-byte salt, to a 256-bit AES-GCM key. The additional data are
//! lines 1 and 2 with their line ends, so that parameters cannot be changed. The plaintext is one line per version of
//! a master key: `<name>#<version> <seconds since 1970> <base64 of 32 bytes>`, sorted. The checksum tells damage from
//! a wrong passphrase; it protects nothing. A whole older keyring put back in place is not detected here.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::unlock::{self, Derivation, PassphraseCost, Unlock};
use super::{MasterKey, MasterKeys, cipher};
use crate::error::KeyError;
use crate::name::MasterKeyId;
use crate::secret::{DataKey, fill_random};

const MAGIC: &str = "parcours-keyring 1";
/// Largest keyring read: far above any real one, it bounds what a wrong path can make us read.
const MAX_FILE: u64 = 64 << 20;

/// Tells one state of the file from another: a new file by its inode, a changed one by time and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// The key that seals a keyring file, and how it is derived.
pub(super) struct Sealed {
    derivation: Derivation,
    key: DataKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    derivation: Derivation,
    nonce: String,
}

impl Sealed {
    /// A sealing key of its own salt for a new keyring at `path`.
    pub(super) fn new(path: &Path, unlock: &Unlock, cost: PassphraseCost) -> Result<Self, KeyError> {
        let salt = unlock::random_salt()?;
        let derivation = Derivation::new(unlock, cost, STANDARD.encode(salt));
        let key = derivation.derive(path, unlock, &salt)?;
        Ok(Self { derivation, key })
    }
}

/// Reads and opens the keyring at `path`. `known` spares a derivation when the file was sealed by the same key.
pub(super) fn read(
    path: &Path,
    unlock: &Unlock,
    known: Option<&Sealed>,
) -> Result<(Sealed, MasterKeys, Stamp), KeyError> {
    let (text, stamp) = read_text(path)?;
    let lines = split(path, &text)?;
    let header: Header = serde_json::from_str(lines.header).map_err(|_| damaged(path, "its header is not readable"))?;
    let key = match known.filter(|known| known.derivation == header.derivation) {
        Some(known) => DataKey::from_bytes(known.key.expose())?,
        None => derive(path, unlock, &header.derivation)?,
    };
    let plain = open(path, unlock, &key, &header.nonce, &lines)?;
    let keys = parse_keys(&plain).ok_or_else(|| damaged(path, "its keys are not readable"))?;
    Ok((
        Sealed {
            derivation: header.derivation,
            key,
        },
        keys,
        stamp,
    ))
}

/// Writes a new keyring; refuses to take a name that is taken.
pub(super) fn create(path: &Path, sealed: &Sealed, keys: &MasterKeys) -> Result<Stamp, KeyError> {
    let file = write_beside(path, seal(sealed, keys)?.as_bytes())?;
    stamp_of(path, &take_name(file, path)?)
}

/// Writes the sealed text of the keyring at `from` into a new file; refuses to take a name that is taken.
pub(super) fn create_copy(from: &Path, to: &Path) -> Result<(), KeyError> {
    let (text, _) = read_text(from)?;
    take_name(write_beside(to, text.as_bytes())?, to).map(drop)
}

fn take_name(file: NamedTempFile, path: &Path) -> Result<File, KeyError> {
    let file = file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => refused(path, "it exists already, choose another name or remove it"),
        _ => refused(path, error.error),
    })?;
    sync_folder(path)?;
    Ok(file)
}

/// Replaces the keyring by a new state of it, in one step.
pub(super) fn replace(path: &Path, sealed: &Sealed, keys: &MasterKeys) -> Result<Stamp, KeyError> {
    let file = write_beside(path, seal(sealed, keys)?.as_bytes())?;
    let file = file.persist(path).map_err(|error| refused(path, error.error))?;
    sync_folder(path)?;
    // Of this very file: the one that has the name by now may be another's, whose keys we have not read.
    stamp_of(path, &file)
}

/// Takes the exclusive lock of the file that has the name, and not of one that has just lost it.
pub(super) fn lock(path: &Path) -> Result<File, KeyError> {
    loop {
        let file = File::open(path).map_err(|error| refused(path, error))?;
        file.lock().map_err(|error| refused(path, error))?;
        if stamp_of(path, &file)?.inode == stamp(path)?.inode {
            return Ok(file);
        }
    }
}

/// The stamp of the file that has the name now.
pub(super) fn stamp(path: &Path) -> Result<Stamp, KeyError> {
    let metadata = std::fs::metadata(path).map_err(|error| refused(path, error))?;
    Ok(Stamp::of(&metadata))
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

struct Lines<'a> {
    /// Lines 1 and 2 with their line ends: the additional data.
    head: &'a str,
    header: &'a str,
    body: &'a str,
}

fn read_text(path: &Path) -> Result<(String, Stamp), KeyError> {
    let file = File::open(path).map_err(|error| refused(path, error))?;
    unlock::refuse_open_to_others(path, &file)?;
    let stamp = stamp_of(path, &file)?;
    let mut text = String::new();
    match file.take(MAX_FILE).read_to_string(&mut text) {
        Ok(_) => Ok((text, stamp)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(damaged(path, "it is not text")),
        Err(error) => Err(refused(path, error)),
    }
}

/// Splits the lines and compares the checksum.
fn split<'a>(path: &Path, text: &'a str) -> Result<Lines<'a>, KeyError> {
    if !text.starts_with(MAGIC) {
        return Err(damaged(path, "it is not a keyring of format 1"));
    }
    let cut_short = || damaged(path, "it is cut short or altered");
    let covered = text
        .strip_suffix('\n')
        .and_then(|text| text.rfind('\n'))
        .ok_or_else(cut_short)?
        + 1;
    if text[covered..] != checksum_line(&text[..covered]) {
        return Err(cut_short());
    }
    let mut lines = text[..covered].split_inclusive('\n');
    let (first, second, body) = (lines.next(), lines.next(), lines.next());
    let (Some(first), Some(second), Some(body), None) = (first, second, body, lines.next()) else {
        return Err(cut_short());
    };
    Ok(Lines {
        head: &text[..first.len() + second.len()],
        header: second.trim_end(),
        body: body.trim_end(),
    })
}

fn derive(path: &Path, unlock: &Unlock, derivation: &Derivation) -> Result<DataKey, KeyError> {
    let salt = STANDARD
        .decode(derivation.salt())
        .map_err(|_| damaged(path, "its salt is not readable"))?;
    if salt.len() != unlock::SALT_LEN {
        return Err(damaged(path, "its salt has not 32 bytes"));
    }
    derivation.derive(path, unlock, &salt)
}

fn open(
    path: &Path,
    unlock: &Unlock,
    key: &DataKey,
    nonce: &str,
    lines: &Lines<'_>,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let nonce = STANDARD
        .decode(nonce)
        .ok()
        .and_then(|nonce| Nonce::try_assume_unique_for_key(&nonce).ok());
    let nonce = nonce.ok_or_else(|| damaged(path, "its nonce is not readable"))?;
    let body = STANDARD
        .decode(lines.body)
        .map_err(|_| damaged(path, "its body is not readable"))?;
    let mut body = Zeroizing::new(body);
    let opened = cipher(key)?.open_in_place(nonce, Aad::from(lines.head.as_bytes()), &mut body);
    let length = match opened {
        Ok(plain) => plain.len(),
        Err(_) => {
            return Err(KeyError::KeyringLocked {
                path: path.to_owned(),
                unlock: unlock.kind(),
            });
        }
    };
    body.truncate(length);
    Ok(body)
}

fn write_beside(path: &Path, text: &[u8]) -> Result<NamedTempFile, KeyError> {
    let write = || {
        // Mode 0600 from its first moment on, in the same folder, so that taking the name is one step.
        let mut file = tempfile::Builder::new().prefix(".keyring-").tempfile_in(folder(path))?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| refused(path, error))
}

fn seal(sealed: &Sealed, keys: &MasterKeys) -> Result<String, KeyError> {
    let mut nonce = [0; NONCE_LEN];
    fill_random(&mut nonce)?;
    let header = Header {
        derivation: sealed.derivation.clone(),
        nonce: STANDARD.encode(nonce),
    };
    let header = serde_json::to_string(&header).map_err(|_| KeyError::Crypto {
        operation: "encoding a keyring",
    })?;
    let head = format!("{MAGIC}\n{header}\n");
    let mut body = format_keys(keys);
    let tag = cipher(&sealed.key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(head.as_bytes()),
            &mut body,
        )
        .map_err(|_| KeyError::Crypto {
            operation: "sealing a keyring",
        })?;
    let text = format!("{head}{}\n", STANDARD.encode([body.as_slice(), tag.as_ref()].concat()));
    let checksum = checksum_line(&text);
    Ok(text + &checksum)
}

fn checksum_line(covered: &str) -> String {
    let sum: String = digest(&SHA256, covered.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256 {sum}\n")
}

/// One line per version. The buffer is sized first: growing it would leave keys behind in freed memory.
fn format_keys(keys: &MasterKeys) -> Zeroizing<Vec<u8>> {
    let line = |name: &str| name.len() + 96;
    let size = keys
        .iter()
        .map(|(name, versions)| versions.len() * line(name.as_str()))
        .sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(size));
    for (name, versions) in keys {
        for key in versions {
            plain.extend_from_slice(format!("{name}#{} {} ", key.version, key.created).as_bytes());
            let mut encoded = Zeroizing::new([0; 44]);
            if let Ok(length) = STANDARD.encode_slice(key.secret.expose(), encoded.as_mut_slice()) {
                plain.extend_from_slice(&encoded[..length]);
            }
            plain.push(b'\n');
        }
    }
    plain
}

fn parse_keys(plain: &[u8]) -> Option<MasterKeys> {
    let mut keys = MasterKeys::new();
    for line in std::str::from_utf8(plain).ok()?.lines() {
        let (id, key) = parse_line(line)?;
        let versions = keys.entry(id.name).or_default();
        if versions.last().is_some_and(|newest| newest.version >= key.version) {
            return None;
        }
        versions.push(key);
    }
    Some(keys)
}

fn parse_line(line: &str) -> Option<(MasterKeyId, MasterKey)> {
    let mut words = line.split(' ');
    let id: MasterKeyId = words.next()?.parse().ok()?;
    let created = words.next()?.parse().ok()?;
    // 33 bytes of room: the decoder asks for its estimate of three bytes per four characters.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = STANDARD.decode_slice(words.next()?, bytes.as_mut_slice()).ok()?;
    let secret = DataKey::from_bytes(&bytes[..length]).ok()?;
    let key = MasterKey {
        version: id.version,
        created,
        secret,
    };
    words.next().is_none().then_some((id, key))
}

fn stamp_of(path: &Path, file: &File) -> Result<Stamp, KeyError> {
    file.metadata()
        .map(|metadata| Stamp::of(&metadata))
        .map_err(|error| refused(path, error))
}

fn sync_folder(path: &Path) -> Result<(), KeyError> {
    let folder = OpenOptions::new().read(true).open(folder(path));
    folder
        .and_then(|folder| folder.sync_all())
        .map_err(|error| refused(path, error))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn refused(path: &Path, problem: impl ToString) -> KeyError {
    KeyError::KeyringFile {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn damaged(path: &Path, problem: &str) -> KeyError {
    KeyError::KeyringDamaged {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

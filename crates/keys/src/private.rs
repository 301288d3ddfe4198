//! Small files of a key service's client: secrets, which only their owner may read, and certificates. They are read when
//! they are needed and never kept, so that a replaced one is used without a restart.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::KeyError;

/// Longest file read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The bytes of a secret's file, wiped when dropped. `what` names it in errors: `token`, `private key`.
///
/// # Errors
/// [`KeyError::Refused`] for a file that is missing, open to others, empty, or too long to be what it should be.
pub(crate) fn read_secret(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    read_file(path, what, true)
}

/// The bytes of a file that anyone may read.
///
/// # Errors
/// As [`read_secret`], whatever the file's mode.
pub(crate) fn read_public(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    read_file(path, what, false)
}

/// The first line of a secret's file.
///
/// # Errors
/// As [`read_secret`], and for a line that is empty or no text.
pub(crate) fn read_secret_line(path: &Path, what: &str) -> Result<Zeroizing<String>, KeyError> {
    let bytes = read_secret(path, what)?;
    let line = bytes
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(unusable(path, what, "does not begin with a line of text")),
    }
}

fn read_file(path: &Path, what: &str, secret: bool) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error: std::io::Error| unusable(path, what, &format!("cannot be read: {}", error.kind()));
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if secret && about.mode() & 0o077 != 0 {
        return Err(unusable(path, what, "is open to others, make its mode 0600"));
    }
    // Reserved at once, so that no copy is left behind by a growing buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(about.len().min(LONGEST) as usize + 1));
    file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err(unusable(path, what, "is empty")),
        LONGEST => Err(unusable(path, what, "is too long")),
        _ => Ok(bytes),
    }
}

/// The refusal of a file.
pub(crate) fn unusable(path: &Path, what: &str, problem: &str) -> KeyError {
    KeyError::Refused {
        reason: format!("the {what} file {} {problem}", path.display()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_its_first_line_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(
            read_secret_line(&path, "token")
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        write(&path, "hvs.abc\nignored\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let open = read_secret_line(&path, "token").unwrap_err();
        assert!(open.to_string().contains("make its mode 0600"), "{open}");
        assert!(matches!(open, KeyError::Refused { .. }));
        assert!(read_public(&path, "certificate").is_ok());
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret_line(&path, "token").unwrap().as_str(), "hvs.abc");
        write(&path, "une phrase de passe").unwrap();
        assert_eq!(
            read_secret_line(&path, "passphrase").unwrap().as_str(),
            "une phrase de passe"
        );
        for text in [b"".as_slice(), b"\n", b"\0\n", b"\xff\n"] {
            write(&path, text).unwrap();
            assert!(read_secret_line(&path, "token").is_err(), "{text:?} was taken");
        }
    }
}

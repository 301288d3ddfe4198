//! What an operator does to a keyring file beside making keys: retire old versions, and copy the sealed file as a backup
//! or back from one. A copy is taken as it is, sealed, and counts only once it was opened and found to hold the same keys;
//! nothing that is there is ever overwritten.

use std::path::Path;

use super::{Keyring, MasterKeys, Unlock, file};
use crate::error::KeyError;
use crate::name::MasterKeyId;
use crate::wrapping::unknown;

impl Keyring {
    /// Every version of every master key held, in order.
    ///
    /// # Errors
    /// What reading the keyring found.
    pub fn ids(&self) -> Result<Vec<MasterKeyId>, KeyError> {
        self.refresh()?;
        Ok(ids(&self.state.read().keys).collect())
    }

    /// Removes an old version of a master key: what it wrapped does not open any more, here or in any backup made later.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] when this version is not held, [`KeyError::Denied`] for the version that wraps now.
    pub fn retire(&self, id: &MasterKeyId) -> Result<(), KeyError> {
        self.change(|keys| {
            let versions = keys.get_mut(&id.name).ok_or_else(|| unknown(&id.name, None))?;
            let at = versions.iter().position(|key| key.version == id.version);
            let at = at.ok_or_else(|| unknown(&id.name, Some(id.version)))?;
            if at + 1 == versions.len() {
                return Err(KeyError::Denied {
                    key: id.name.clone(),
                    reason: format!("version {} is the one that wraps now, rotate the key first", id.version),
                });
            }
            versions.remove(at);
            Ok(())
        })
    }

    /// Copies the sealed keyring at `from` to the new file `to`, mode 0600, for a backup or back from one. Both open with
    /// the same `unlock`. Returns the versions of master keys that the copy was seen to hold.
    ///
    /// # Errors
    /// As [`Keyring::open`] for `from`; [`KeyError::KeyringFile`] when `to` exists or cannot be written;
    /// [`KeyError::KeyringDamaged`] should the copy not hold the same keys, which is then removed.
    pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>, unlock: &Unlock) -> Result<Vec<MasterKeyId>, KeyError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        // Nobody replaces the file between its two readings.
        let _lock = file::lock(from)?;
        let (_, keys, _) = file::read(from, unlock, None)?;
        file::create_copy(from, to)?;
        let same = file::read(to, unlock, None).is_ok_and(|(_, copied, _)| are_equal(&keys, &copied));
        if !same {
            let removed = std::fs::remove_file(to);
            return Err(KeyError::KeyringDamaged {
                path: to.to_owned(),
                problem: match removed {
                    Ok(()) => "the copy does not hold the same keys and was removed".to_owned(),
                    Err(error) => format!("the copy does not hold the same keys and could not be removed ({error})"),
                },
            });
        }
        Ok(ids(&keys).collect())
    }
}

fn ids(keys: &MasterKeys) -> impl Iterator<Item = MasterKeyId> {
    keys.iter().flat_map(|(name, versions)| {
        versions.iter().map(|key| MasterKeyId {
            name: name.clone(),
            version: key.version,
        })
    })
}

/// Whether both hold the same versions with the same secrets.
fn are_equal(one: &MasterKeys, other: &MasterKeys) -> bool {
    let mut secrets = one.values().flatten().zip(other.values().flatten());
    ids(one).eq(ids(other)) && secrets.all(|(one, other)| one.secret.expose() == other.secret.expose())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use futures::FutureExt;
    use tempfile::TempDir;

    use super::*;
    use crate::keyring::create_key_file;
    use crate::name::MasterKeyName;
    use crate::secret::DataKey;
    use crate::service::{KeyAdmin, KeyService, WrappedKey};

    fn now<T>(future: impl Future<Output = Result<T, KeyError>>) -> Result<T, KeyError> {
        future.now_or_never().expect("the keyring answers at once")
    }

    fn health() -> MasterKeyName {
        MasterKeyName::new("claims/health").unwrap()
    }

    fn id(version: u32) -> MasterKeyId {
        format!("claims/health#{version}").parse().unwrap()
    }

    /// A keyring with three versions of one key, and a data key wrapped under each.
    fn three_versions(dir: &TempDir) -> (PathBuf, Unlock, Keyring, Vec<(DataKey, WrappedKey)>) {
        let (path, key_file) = (dir.path().join("keyring"), dir.path().join("key"));
        create_key_file(&key_file).unwrap();
        let unlock = Unlock::key_file(key_file);
        let keyring = Keyring::create(&path, unlock.clone()).unwrap();
        now(keyring.create(&health())).unwrap();
        let mut wrapped = Vec::new();
        for version in 1..=3 {
            if version > 1 {
                now(keyring.rotate(&health())).unwrap();
            }
            let key = DataKey::random().unwrap();
            let text = now(keyring.wrap(&health(), &key, b"place")).unwrap();
            wrapped.push((key, text));
        }
        (path, unlock, keyring, wrapped)
    }

    #[test]
    fn a_retired_version_opens_nothing_and_others_do() {
        let dir = TempDir::new().unwrap();
        let (path, unlock, keyring, wrapped) = three_versions(&dir);
        keyring.retire(&id(2)).unwrap();
        for keyring in [keyring, Keyring::open(path, unlock).unwrap()] {
            assert_eq!(keyring.ids().unwrap(), [id(1), id(3)]);
            for (number, (key, text)) in (1..).zip(&wrapped) {
                match now(keyring.unwrap(text, b"place")) {
                    Ok(opened) => assert!(number != 2 && opened.expose() == key.expose(), "version {number}"),
                    Err(error) => assert!(number == 2 && error.is_denial(), "version {number}: {error}"),
                }
            }
        }
    }

    #[test]
    fn the_version_in_use_and_absent_ones_are_not_retired() {
        let dir = TempDir::new().unwrap();
        let (_, _, keyring, _) = three_versions(&dir);
        let error = keyring.retire(&id(3)).unwrap_err().to_string();
        assert!(error.contains("wraps now") && error.contains("rotate"), "{error}");
        assert!(matches!(
            keyring.retire(&id(4)),
            Err(KeyError::Unknown { version: Some(4), .. })
        ));
        let foreign = "claims/plain#1".parse().unwrap();
        assert!(matches!(keyring.retire(&foreign), Err(KeyError::Unknown { .. })));
        assert_eq!(keyring.ids().unwrap(), [id(1), id(2), id(3)]);
        keyring.retire(&id(1)).unwrap();
        // A number that was retired is never given again.
        assert_eq!(now(keyring.rotate(&health())).unwrap(), id(4));
    }

    #[test]
    fn a_copy_is_sealed_alike_and_opens_what_the_original_does() {
        let dir = TempDir::new().unwrap();
        let (path, unlock, keyring, wrapped) = three_versions(&dir);
        let backup = dir.path().join("backup");
        assert_eq!(Keyring::copy(&path, &backup, &unlock).unwrap(), keyring.ids().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&backup).unwrap());
        assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        Keyring::copy(&backup, &path, &unlock).unwrap();
        let restored = Keyring::open(&path, unlock).unwrap();
        for (key, text) in &wrapped {
            assert_eq!(now(restored.unwrap(text, b"place")).unwrap().expose(), key.expose());
        }
    }

    #[test]
    fn nothing_is_overwritten_and_a_damaged_or_locked_keyring_is_not_copied() {
        let dir = TempDir::new().unwrap();
        let (path, unlock, _, _) = three_versions(&dir);
        let (there, other) = (dir.path().join("there"), dir.path().join("other"));
        std::fs::write(&there, "somebody's").unwrap();
        let error = Keyring::copy(&path, &there, &unlock).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(std::fs::read(&there).unwrap(), b"somebody's");

        let wrong = dir.path().join("wrong");
        create_key_file(&wrong).unwrap();
        let error = Keyring::copy(&path, &other, &Unlock::key_file(wrong)).unwrap_err();
        assert!(matches!(error, KeyError::KeyringLocked { .. }), "{error}");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[200] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = Keyring::copy(&path, &other, &unlock).unwrap_err();
        assert!(matches!(error, KeyError::KeyringDamaged { .. }), "{error}");
        assert!(!other.exists(), "nothing is left of a copy that failed");
    }
}

//! Tests of the keyring file: making, opening, exporting, and every way in which a file is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt;

use futures::FutureExt;
use tempfile::TempDir;

use super::*;
use crate::class::ColumnClass;
use crate::name::{class_key, footer_key};
use crate::service::ensure_dataset_keys;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn key_file(dir: &TempDir, name: &str) -> Unlock {
    let path = dir.path().join(name);
    create_key_file(&path).unwrap();
    Unlock::KeyFile(path)
}

fn cheap(path: &Path, passphrase: &str) -> Keyring {
    Keyring::create_with_cost(path, Unlock::passphrase(passphrase), PassphraseCost::LEAST).unwrap()
}

/// The keyring answers at once: that is a promise to the synchronous key retriever.
fn now<T>(future: impl Future<Output = Result<T, KeyError>>) -> Result<T, KeyError> {
    future.now_or_never().expect("the keyring answers at once")
}

fn health() -> MasterKeyName {
    class_key("claims", ColumnClass::Health).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn conforms_under_a_key_file() {
    let dir = TempDir::new().unwrap();
    let keyring = Keyring::create(dir.path().join("keyring"), key_file(&dir, "key")).unwrap();
    crate::conformance::run(&keyring).await.unwrap();
}

#[tokio::test]
async fn conforms_under_a_passphrase() {
    let dir = TempDir::new().unwrap();
    crate::conformance::run(&cheap(&dir.path().join("keyring"), "correct horse"))
        .await
        .unwrap();
}

#[test]
fn keys_survive_closing_and_only_the_passphrase_opens() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let keyring = cheap(&path, "correct horse");
    now(ensure_dataset_keys(&keyring, "claims")).unwrap();
    let key = DataKey::random().unwrap();
    let wrapped = now(keyring.wrap(&health(), &key, b"aad")).unwrap();
    drop(keyring);

    let again = Keyring::open(&path, Unlock::passphrase("correct horse")).unwrap();
    assert_eq!(now(again.unwrap(&wrapped, b"aad")).unwrap().expose(), key.expose());
    let wrong = Keyring::open(&path, Unlock::passphrase("correct house")).unwrap_err();
    assert!(
        matches!(
            &wrong,
            KeyError::KeyringLocked {
                unlock: "passphrase",
                ..
            }
        ),
        "{wrong}"
    );
    let other = Keyring::open(&path, key_file(&dir, "key")).unwrap_err().to_string();
    assert!(other.contains("opens with a passphrase"), "{other}");
}

#[test]
fn another_key_file_does_not_open() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    Keyring::create(&path, key_file(&dir, "one")).unwrap();
    let error = Keyring::open(&path, key_file(&dir, "two")).unwrap_err();
    assert!(
        matches!(error, KeyError::KeyringLocked { unlock: "key file", .. }),
        "{error}"
    );
}

#[test]
fn files_are_for_their_owner_only() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    let keyring = Keyring::create(&path, unlock.clone()).unwrap();
    now(keyring.create(&health())).unwrap();
    assert_eq!((mode(&path), mode(&dir.path().join("key"))), (0o600, 0o600));

    for open_to_others in [dir.path().join("key"), path.clone()] {
        std::fs::set_permissions(&open_to_others, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keyring::open(&path, unlock.clone()).unwrap_err().to_string();
        assert!(
            error.contains("chmod 600") && error.contains(&*open_to_others.to_string_lossy()),
            "{error}"
        );
        std::fs::set_permissions(&open_to_others, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    Keyring::open(&path, unlock).unwrap();
}

#[test]
fn nothing_is_overwritten() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    let keyring = Keyring::create(&path, unlock.clone()).unwrap();
    now(keyring.create(&health())).unwrap();
    let before = std::fs::read(&path).unwrap();
    for outcome in [
        Keyring::create(&path, unlock.clone()),
        keyring.export(&path, unlock, &[health()]),
    ] {
        assert!(outcome.unwrap_err().to_string().contains("exists already"));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(create_key_file(dir.path().join("key")).is_err());
}

#[test]
fn any_damage_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    let keyring = Keyring::create(&path, unlock.clone()).unwrap();
    now(ensure_dataset_keys(&keyring, "claims")).unwrap();
    let good = std::fs::read(&path).unwrap();
    for position in 0..good.len() {
        let mut flipped = good.clone();
        flipped[position] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let error = Keyring::open(&path, unlock.clone()).unwrap_err();
        assert!(
            matches!(error, KeyError::KeyringDamaged { .. }),
            "byte {position}: {error}"
        );
        std::fs::write(&path, &good[..position]).unwrap();
        let error = Keyring::open(&path, unlock.clone()).unwrap_err();
        assert!(
            matches!(error, KeyError::KeyringDamaged { .. }),
            "cut at {position}: {error}"
        );
    }
    std::fs::write(&path, &good).unwrap();
    Keyring::open(&path, unlock).unwrap();
}

/// One who changes a byte and mends the checksum is found by the seal.
#[test]
fn tampering_with_a_mended_checksum_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    let keyring = Keyring::create(&path, unlock.clone()).unwrap();
    now(keyring.create(&health())).unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    let covered = good[..good.len() - 1].rfind('\n').unwrap() + 1;
    for position in 0..covered {
        let mut bytes = good.as_bytes()[..covered].to_vec();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.extend_from_slice(format!("sha256 {sum}\n").as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(
            Keyring::open(&path, unlock.clone()).is_err(),
            "byte {position} went unseen"
        );
    }
}

#[test]
fn a_cheapened_passphrase_is_refused() {
    let dir = TempDir::new().unwrap();
    let weak = PassphraseCost {
        memory_kib: 1024,
        ..PassphraseCost::LEAST
    };
    let path = dir.path().join("keyring");
    assert!(Keyring::create_with_cost(&path, Unlock::passphrase("x"), weak).is_err());
    assert!(
        Keyring::create(&path, Unlock::passphrase("")).is_err(),
        "an empty passphrase protects nothing"
    );
    assert!(!path.exists());
}

#[test]
fn secrets_are_not_in_the_file_nor_in_debug() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let keyring = cheap(&path, "correct horse");
    now(keyring.create(&health())).unwrap();
    let secret = STANDARD.encode(keyring.state.read().keys[&health()][0].secret.expose());
    let file = std::fs::read(&path).unwrap();
    assert!(
        !file
            .windows(12)
            .any(|window| secret.as_bytes().windows(12).any(|part| part == window))
    );
    assert!(
        !String::from_utf8(file).unwrap().contains("claims/health"),
        "names are sealed too"
    );
    let debug = format!("{keyring:?} {:?}", keyring.unlock);
    assert!(!debug.contains("horse") && !debug.contains(&secret), "{debug}");
}

#[test]
fn an_export_holds_only_what_is_named() {
    let dir = TempDir::new().unwrap();
    let keyring = Keyring::create(dir.path().join("keyring"), key_file(&dir, "key")).unwrap();
    now(ensure_dataset_keys(&keyring, "claims")).unwrap();
    now(keyring.rotate(&footer_key("claims").unwrap())).unwrap();
    let only = [
        footer_key("claims").unwrap(),
        class_key("claims", ColumnClass::Plain).unwrap(),
    ];
    let unlock = key_file(&dir, "executor");
    keyring
        .export(dir.path().join("executor-keyring"), unlock.clone(), &only)
        .unwrap();
    let narrow = Keyring::open(dir.path().join("executor-keyring"), unlock).unwrap();
    assert_eq!(now(narrow.names()).unwrap(), only);

    let key = DataKey::random().unwrap();
    let wrapped = now(keyring.wrap(&only[0], &key, b"")).unwrap();
    assert_eq!(
        (
            wrapped.master.version,
            now(narrow.unwrap(&wrapped, b"")).unwrap().expose()
        ),
        (2, key.expose())
    );
    let denied = now(keyring.wrap(&health(), &key, b"")).and_then(|wrapped| now(narrow.unwrap(&wrapped, b"")));
    let error = denied.unwrap_err();
    assert!(
        error.is_denial() && error.class() == Some(ColumnClass::Health),
        "{error}"
    );
    assert!(error.to_string().contains("class health of dataset claims"), "{error}");
}

#[test]
fn a_changed_file_is_read_again_and_a_broken_one_closes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    let reader = Keyring::create(&path, unlock.clone()).unwrap();
    assert!(now(reader.current(&health())).unwrap_err().is_denial());
    let writer = Keyring::open(&path, unlock.clone()).unwrap();
    now(writer.create(&health())).unwrap();
    assert_eq!(now(reader.current(&health())).unwrap().version, 1);
    // Both change it: neither loses the other's change.
    now(reader.rotate(&health())).unwrap();
    now(writer.rotate(&health())).unwrap();
    assert_eq!(now(reader.current(&health())).unwrap().version, 3);

    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"nonsense").unwrap();
    assert!(
        now(reader.current(&health())).is_err(),
        "a broken file must not be passed over"
    );
    std::fs::remove_file(&path).unwrap();
    assert!(
        now(reader.current(&health())).is_err(),
        "a removed file withdraws its keys"
    );
    std::fs::write(&path, &good).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(now(reader.current(&health())).unwrap().version, 3);
}

#[test]
fn concurrent_changes_are_all_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let unlock = key_file(&dir, "key");
    Keyring::create(&path, unlock.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (path, unlock) = (&path, unlock.clone());
            scope.spawn(move || {
                let keyring = Keyring::open(path, unlock).unwrap();
                for number in 0..25 {
                    now(keyring.create(&MasterKeyName::new(format!("d{thread}/k{number}")).unwrap())).unwrap();
                }
            });
        }
    });
    assert_eq!(now(Keyring::open(&path, unlock).unwrap().names()).unwrap().len(), 100);
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "keyring and key file, no temporary file");
}

//! pyarrow, with a key service written from our documented formats, reads our files, with their key material inside or
//! beside them, and refuses damaged ones. What it wraps anew we read, and the other way round.
//!
//! `PARCOURS_PYTHON` names a Python with pyarrow and cryptography; without it `python3` is tried. Where neither has
//! them the test says SKIPPED, and fails when `CI` is `true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sample;

use std::path::{Path, PathBuf};
use std::process::Command;

use parcours_keys::{
    ExternalMaterial, FileKeys, KeyAdmin, KeyService, Keyring, PassphraseCost, Unlock, external, material_file_name,
};
use parquet::file::properties::WriterProperties;

use sample::{Keys, batch, cache, context, read_all, write_externally};

fn python() -> Option<String> {
    let python = std::env::var("PARCOURS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let modules = "import pyarrow.parquet.encryption, cryptography.hazmat.primitives.kdf.argon2";
    let probe = Command::new(&python).args(["-c", modules]).output();
    probe.is_ok_and(|output| output.status.success()).then_some(python)
}

/// The interpreter, or the loud absence of one.
fn python_or_skip() -> Option<String> {
    let found = python();
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI needs PARCOURS_PYTHON with pyarrow and cryptography"
        );
        eprintln!("SKIPPED: no Python with pyarrow and cryptography, set PARCOURS_PYTHON");
    }
    found
}

/// Runs a script of this folder on the folder of `keys` and returns what it printed.
fn run(python: &str, script: &str, keys: &Keys, more: &[&str]) -> String {
    let folder = keys.dir.path();
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script))
        .arg(folder)
        .arg(keys.keyring.path())
        .arg(folder.join("key"))
        .args(more);
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// A data file on disk, and its key material.
fn places(keys: &Keys, file: &str) -> (PathBuf, PathBuf) {
    let data = keys.dir.path().join(file);
    let name = data.file_name().unwrap().to_str().unwrap().to_owned();
    let material = data.with_file_name(material_file_name(&name));
    (data, material)
}

async fn put_externally(keys: &Keys, file: &str) {
    let (data, material) = places(keys, file);
    let (bytes, beside) = write_externally(&*keys.keyring, &context(file)).await;
    std::fs::create_dir_all(data.parent().unwrap()).unwrap();
    std::fs::write(data, bytes).unwrap();
    std::fs::write(material, beside.to_bytes().unwrap()).unwrap();
}

/// The material as it lies there now.
fn beside(keys: &Keys, file: &str) -> ExternalMaterial {
    let bytes = std::fs::read(places(keys, file).1).unwrap();
    ExternalMaterial::from_bytes(&bytes, &context(file)).unwrap()
}

#[tokio::test]
async fn pyarrow_reads_material_beside_a_file_and_both_wrap_anew() {
    let Some(python) = python_or_skip() else { return };
    let keys = Keys::new().await;
    let (a, b) = ("shard=0/a.parquet", "shard=1/b.parquet");
    let plain = sample::write(WriterProperties::builder().build());
    std::fs::write(keys.dir.path().join("plain.parquet"), plain).unwrap();
    for file in [a, b] {
        put_externally(&keys, file).await;
    }
    let script = "read_beside_with_pyarrow.py";
    let before = beside(&keys, b);
    let said = run(&python, script, &keys, &["first"]);
    assert!(said.contains("400 rows of 7 columns are equal"), "{said}");

    // pyarrow has wrapped the keys of b anew, under the same version: we read them.
    let after = beside(&keys, b);
    assert!(
        before
            .iter()
            .zip(after.iter())
            .all(|(old, new)| old.0 == new.0 && old.1.text != new.1.text)
    );
    let opened = FileKeys::new(cache(keys.keyring.clone()), context(b));
    opened.supply(after);
    let bytes = std::fs::read(places(&keys, b).0).unwrap();
    assert_eq!(read_all(&bytes.into(), &opened).unwrap(), batch());

    // We wrap those of a under a new version and remove the old one: pyarrow reads them, and b no longer.
    for name in keys.keyring.names().await.unwrap() {
        keys.keyring.rotate(&name).await.unwrap();
    }
    let mut anew = beside(&keys, a);
    for (key_use, wrapped) in beside(&keys, a).iter() {
        let current = keys.keyring.current(&wrapped.master.name).await.unwrap();
        let key = external::rewrap(&*keys.keyring, &context(a), key_use, wrapped, &current).await;
        anew.replace(key_use, key.unwrap().unwrap());
        keys.keyring.retire(&wrapped.master).unwrap();
    }
    std::fs::write(places(&keys, a).1, anew.to_bytes().unwrap()).unwrap();
    let said = run(&python, script, &keys, &["rewrapped"]);
    assert!(said.contains("400 rows of 7 columns are equal"), "{said}");
}

#[tokio::test]
async fn pyarrow_reads_our_files_and_refuses_damaged_ones() {
    let Some(python) = python_or_skip() else { return };
    let keys = Keys::new().await;
    let folder = keys.dir.path();
    for file in ["shard=0/a.parquet", "shard=1/b.parquet"] {
        let bytes = sample::write_encrypted(&*keys.keyring, &context(file)).await;
        std::fs::write(folder.join(Path::new(file).file_name().unwrap()), bytes).unwrap();
    }
    std::fs::write(
        folder.join("plain.parquet"),
        sample::write(WriterProperties::builder().build()),
    )
    .unwrap();
    export_under_a_passphrase(&keys);

    let said = run(&python, "read_with_pyarrow.py", &keys, &[]);
    assert!(said.contains("400 rows of 7 columns are equal"));
}

/// The same keys in a keyring that opens with a passphrase.
fn export_under_a_passphrase(keys: &Keys) {
    use futures::FutureExt;

    let names = keys.keyring.names().now_or_never().unwrap().unwrap();
    let path = keys.dir.path().join("passphrase-keyring");
    let unlock = Unlock::passphrase("correct horse");
    keys.keyring
        .export_with_cost(&path, unlock.clone(), &names, PassphraseCost::LEAST)
        .unwrap();
    Keyring::open(&path, unlock).unwrap();
}

//! pyarrow, with a key service written from our documented formats, reads our files and refuses damaged ones.
//!
//! `PARCOURS_PYTHON` names a Python with pyarrow and cryptography; without it `python3` is tried. Where neither has
//! them the test says SKIPPED, and fails when `CI` is `true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sample;

use std::path::Path;
use std::process::Command;

use parcours_keys::{Keyring, PassphraseCost, Unlock};
use parquet::file::properties::WriterProperties;

use sample::{Keys, context};

fn python() -> Option<String> {
    let python = std::env::var("PARCOURS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let modules = "import pyarrow.parquet.encryption, cryptography.hazmat.primitives.kdf.argon2";
    let probe = Command::new(&python).args(["-c", modules]).output();
    probe.is_ok_and(|output| output.status.success()).then_some(python)
}

#[tokio::test]
async fn pyarrow_reads_our_files_and_refuses_damaged_ones() {
    let Some(python) = python() else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI needs PARCOURS_PYTHON with pyarrow and cryptography"
        );
        eprintln!("SKIPPED: no Python with pyarrow and cryptography, set PARCOURS_PYTHON");
        return;
    };
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

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_with_pyarrow.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(folder)
        .arg(keys.keyring.path())
        .arg(folder.join("key"));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("400 rows of 7 columns are equal"));
}

/// The same keys in a keyring that opens with a passphrase.
fn export_under_a_passphrase(keys: &Keys) {
    use futures::FutureExt;
    use parcours_keys::KeyAdmin;

    let names = keys.keyring.names().now_or_never().unwrap().unwrap();
    let path = keys.dir.path().join("passphrase-keyring");
    let unlock = Unlock::passphrase("correct horse");
    keys.keyring
        .export_with_cost(&path, unlock.clone(), &names, PassphraseCost::LEAST)
        .unwrap();
    Keyring::open(&path, unlock).unwrap();
}

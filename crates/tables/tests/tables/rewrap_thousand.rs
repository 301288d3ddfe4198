//! A dataset of a thousand files put under new master keys, with the figures of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::sandbox::service::Counted;
use crate::sandbox::{Sandbox, dispensings, patients, shown_sorted};
use parcours_keys::KeyService;
use parcours_tables::rewrap::{RewrapOptions, rewrap};
use sha2::{Digest, Sha256};

/// Loads two files a shard and one more, rewraps them all and removes the old master keys.
async fn rewrap_files(shards: usize) {
    let (people, events) = (20 * shards as u64, 60 * shards as u64);
    let sandbox = Sandbox::local(shards).await;
    let rows = dispensings(people, events, 1);
    sandbox.write_patients(&patients(people));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    let begin = Instant::now();
    sandbox.load().await.unwrap();
    let loaded = begin.elapsed();
    let before = digests(&sandbox);
    assert_eq!(before.len(), 2 * shards + 2);

    sandbox.rotate_all().await;
    let counted = Counted::new(&sandbox.keys);
    let keys: Arc<dyn KeyService> = counted.clone();
    let begin = Instant::now();
    let report = rewrap(
        &sandbox.into,
        "claims",
        &sandbox.stores,
        &keys,
        &RewrapOptions::default(),
    )
    .await;
    let (report, rewrapped) = (report.unwrap(), begin.elapsed());
    assert_eq!((report.files, report.rewrapped), (before.len(), before.len()));
    assert!(report.is_complete(), "{report:?}");
    assert!(digests(&sandbox) == before, "a data file changed");

    sandbox.retire_old().await;
    assert!(sandbox.dispensings().await == shown_sorted(&rows), "rows differ");
    let (wraps, unwraps) = (
        counted.wraps.load(Ordering::SeqCst),
        counted.unwraps.load(Ordering::SeqCst),
    );
    assert_eq!((wraps, unwraps), (report.keys, 2 * report.keys));
    println!(
        "{} files (loaded in {:.1} s) rewrapped in {:.2} s: {} keys, {unwraps} unwraps, {wraps} wraps; all data files \
         as they were; read with the old versions gone",
        report.files,
        loaded.as_secs_f64(),
        rewrapped.as_secs_f64(),
        report.keys
    );
}

/// SHA-256 of every data file.
fn digests(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["patient", "dispensing", "label", "_loads"].map(|table| sandbox.data_files(table));
    let digest = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, Sha256::digest(bytes).to_vec())
    };
    files.into_iter().flatten().map(digest).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_are_rewrapped_and_none_is_touched() {
    rewrap_files(500).await;
}

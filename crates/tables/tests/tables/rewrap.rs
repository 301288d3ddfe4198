//! Rewrapping a dataset: every file under the new versions of its master keys, no data file touched, queries undisturbed;
//! what is in use, and what is lost, is reported for exactly the files concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sandbox::service::{Counted, Held};
use crate::sandbox::{Dispensing, Sandbox, all_granted, dispensings, lines, patients, query, shown_sorted};
use parcours_keys::{KeyAdmin, KeyService, MasterKeyName};
use parcours_tables::rewrap::{RewrapError, RewrapOptions, RewrapReport, rewrap};
use parcours_tables::snapshot::DataFile;

/// Two versions: the second has the files of the first and more.
async fn two_versions() -> (Sandbox, Vec<Dispensing>) {
    let sandbox = Sandbox::local(3).await;
    let mut rows = dispensings(100, 1_000, 1);
    sandbox.write_patients(&patients(100));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    let more = dispensings(100, 300, 2);
    sandbox.write_dispensings("2", &more);
    sandbox.load().await.unwrap();
    rows.extend(more);
    (sandbox, rows)
}

fn parquet_bytes(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = ["patient", "dispensing", "label", "_loads"].map(|table| sandbox.data_files(table));
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    all.into_iter()
        .flatten()
        .filter(|path| !path.to_string_lossy().contains("_delta_log"))
        .map(read)
        .collect()
}

async fn rewrap_with(sandbox: &Sandbox, keys: Arc<dyn KeyService>) -> Result<RewrapReport, RewrapError> {
    // In a task of its own, as the command line does it.
    let (into, stores) = (sandbox.into.clone(), Arc::clone(&sandbox.stores));
    let task = async move { rewrap(&into, "claims", &stores, &keys, &RewrapOptions::default()).await };
    tokio::spawn(task).await.unwrap()
}

async fn rotate(sandbox: &Sandbox, name: &str) {
    sandbox
        .keyring()
        .rotate(&MasterKeyName::new(name).unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_of_all_versions_are_rewrapped_once_and_no_data_is_touched() {
    let (sandbox, rows) = two_versions().await;
    let before = parquet_bytes(&sandbox);
    assert_eq!(before.len(), 3 + 6 + 1 + 2);
    let idle = sandbox.rewrap().await.unwrap();
    assert_eq!(
        (idle.rewrapped, idle.current, idle.keys),
        (0, 12, 0),
        "nothing was rotated"
    );

    sandbox.rotate_all().await;
    let counted = Counted::new(&sandbox.keys);
    let done = rewrap_with(&sandbox, counted.clone()).await.unwrap();
    assert_eq!(
        (done.versions.as_slice(), done.files, done.rewrapped),
        ([1, 2].as_slice(), 12, 12)
    );
    // Keys: patient has identity, quasi and footer; dispensing all five; label plain and footer; reports identity, too.
    assert_eq!(done.keys, 3 * 3 + 6 * 5 + 2 + 2 * 3);
    assert_eq!(counted.wraps.load(Ordering::SeqCst), done.keys);
    assert_eq!(
        counted.unwraps.load(Ordering::SeqCst),
        2 * done.keys,
        "once to rewrap and once to check"
    );
    assert!(done.is_complete());
    assert_eq!(parquet_bytes(&sandbox), before);

    let again = Counted::new(&sandbox.keys);
    let done = rewrap_with(&sandbox, again.clone()).await.unwrap();
    assert_eq!((done.rewrapped, done.current, done.keys), (0, 12, 0));
    let asked = again.wraps.load(Ordering::SeqCst) + again.unwraps.load(Ordering::SeqCst);
    assert_eq!(asked, 0, "what is current is not asked for");

    sandbox.retire_old().await;
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let first = parcours_tables::Snapshot::open(&sandbox.into, "claims", Some(1), &sandbox.stores)
        .await
        .unwrap();
    let keys = sandbox.reading().keys(all_granted());
    let old = query(&sandbox.session_at(&first), &keys, "SELECT count(code) FROM dispensing")
        .await
        .unwrap();
    assert_eq!(lines(&old), ["1000"], "older versions are read, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rotated_key_is_rewrapped_alone() {
    let (sandbox, _) = two_versions().await;
    rotate(&sandbox, "claims/health").await;
    let done = sandbox.rewrap().await.unwrap();
    // Only dispensings have health columns.
    assert_eq!((done.rewrapped, done.current, done.keys), (6, 6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_tells_which_versions_may_go() {
    let (sandbox, _) = two_versions().await;
    let in_use = |usage: &parcours_tables::rewrap::KeyUsage| -> BTreeMap<String, (usize, usize, bool)> {
        let entry = |version: &parcours_tables::rewrap::VersionUse| {
            let current = version.current.unwrap();
            (version.master_key.clone(), (version.files, version.unnamed, current))
        };
        usage.in_use.iter().map(entry).collect()
    };
    let expected = |version: u32, current: bool| -> BTreeMap<String, (usize, usize, bool)> {
        let files = [
            ("footer", 12),
            ("health", 6),
            ("identity", 11),
            ("plain", 9),
            ("quasi", 9),
        ];
        let entry = |(name, files)| (format!("claims/{name}#{version}"), (files, 0, current));
        files.map(entry).into()
    };
    assert_eq!(in_use(&sandbox.key_usage().await), expected(1, true));
    sandbox.rotate_all().await;
    assert_eq!(in_use(&sandbox.key_usage().await), expected(1, false));
    sandbox.rewrap().await.unwrap();
    let usage = sandbox.key_usage().await;
    assert_eq!(in_use(&usage), expected(2, true));
    assert!(usage.of(&"claims/health#1".parse().unwrap()).is_none() && usage.unknown.is_empty());

    // Key material that no version names counts: a load may be about to publish it. What cannot be read may need any.
    let file = sandbox.data_files("dispensing").pop().unwrap();
    let unnamed = file.with_file_name("part-00000000-0000-4000-8000-000000000000.parquet");
    let text = std::fs::read_to_string(sandbox.beside(&file)).unwrap();
    std::fs::write(
        sandbox.beside(&unnamed),
        text.replace("claims/health#2", "claims/health#1"),
    )
    .unwrap();
    let usage = sandbox.key_usage().await;
    let old = usage.of(&"claims/health#1".parse().unwrap()).unwrap();
    assert_eq!((old.files, old.unnamed, old.current), (0, 1, Some(false)));
    std::fs::write(sandbox.beside(&unnamed), "nonsense").unwrap();
    let usage = sandbox.key_usage().await;
    assert_eq!((usage.unknown.len(), usage.files), (1, 12));
    assert!(
        usage.unknown[0].reason.contains("no version names it"),
        "{:?}",
        usage.unknown
    );
}

fn names(files: impl IntoIterator<Item = DataFile>) -> BTreeSet<String> {
    let name = |file: DataFile| file.path().as_ref().split_once("claims/").unwrap().1.to_string();
    files.into_iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_reported_for_exactly_the_files_that_it_locks() {
    let (sandbox, _) = two_versions().await;
    let whole = sandbox.verify_keys().await;
    assert_eq!(
        (whole.files, whole.opened, whole.closed_files()),
        (12, 3 * 3 + 6 * 5 + 2 + 2 * 3, 0)
    );

    // Files of the first version are lost to a health key that nobody has any more; those of the second are not.
    let first = parcours_tables::Snapshot::open(&sandbox.into, "claims", Some(1), &sandbox.stores)
        .await
        .unwrap();
    let locked = names(first.table("dispensing").unwrap().files().to_vec());
    rotate(&sandbox, "claims/health").await;
    let all = names(sandbox.snapshot().await.table("dispensing").unwrap().files().to_vec());
    for file in sandbox.data_files("dispensing") {
        let name = file.to_string_lossy().split_once("claims/").unwrap().1.to_string();
        if locked.contains(&name) {
            hide(&sandbox.beside(&file));
        }
    }
    let done = sandbox.rewrap().await.unwrap();
    assert_eq!(
        (done.rewrapped, done.closed.len()),
        (all.len() - locked.len(), locked.len()),
        "{done:?}"
    );
    assert!(
        done.closed.iter().all(|closed| closed.closes.is_none()),
        "the material is missing"
    );
    for file in sandbox.data_files("dispensing") {
        unhide(&sandbox.beside(&file));
    }
    let old = "claims/health#1";
    sandbox.keyring().retire(&old.parse().unwrap()).unwrap();
    let report = sandbox.verify_keys().await;
    let closed: BTreeSet<String> = report.closed.iter().map(|closed| closed.file.clone()).collect();
    assert_eq!((closed, report.closed_files()), (locked.clone(), locked.len()));
    for closed in &report.closed {
        assert_eq!(
            (closed.closes.as_deref(), closed.master_key.as_deref()),
            (Some("health"), Some(old))
        );
        assert!(closed.reason.contains("version 1"), "{}", closed.reason);
    }
    assert_eq!(report.opened, whole.opened - locked.len() as u64);

    // Rewrapping goes on with what opens, and says what does not.
    rotate(&sandbox, "claims/plain").await;
    let done = sandbox.rewrap().await.unwrap();
    assert_eq!(
        (done.rewrapped, done.keys, done.closed.len()),
        (9, 9, locked.len()),
        "{done:?}"
    );
    assert!(!done.is_complete());
}

fn hide(path: &Path) {
    std::fs::rename(path, path.with_extension("hidden")).unwrap();
}

fn unhide(path: &Path) {
    let hidden = path.with_extension("hidden");
    if hidden.exists() {
        std::fs::rename(hidden, path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn material_inside_is_counted_reported_and_not_touched() {
    let sandbox = Sandbox::local(2).await;
    let rows = dispensings(50, 400, 1);
    sandbox.write_patients(&patients(50));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    sandbox.move_material_inside(&["dispensing"]).await;
    let before = parquet_bytes(&sandbox);
    sandbox.rotate_all().await;
    let done = sandbox.rewrap().await.unwrap();
    assert_eq!(
        (done.rewrapped, done.inside.len(), done.closed.len()),
        (4, 2, 0),
        "{done:?}"
    );
    assert!(!done.is_complete() && done.inside.iter().all(|file| file.starts_with("dispensing/shard=")));
    assert_eq!(parquet_bytes(&sandbox), before);
    let usage = sandbox.key_usage().await;
    let old = usage.of(&"claims/health#1".parse().unwrap()).unwrap();
    assert_eq!((usage.inside, usage.unknown.len(), old.files), (2, 0, 2));
    assert_eq!(sandbox.verify_keys().await.closed_files(), 0);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));

    // Without the footer's key nobody can tell what such a file needs.
    sandbox.keyring().retire(&"claims/footer#1".parse().unwrap()).unwrap();
    let usage = sandbox.key_usage().await;
    assert_eq!((usage.inside, usage.unknown.len()), (2, 2), "{usage:?}");
    let report = sandbox.verify_keys().await;
    assert_eq!((report.closed_files(), report.closed.len()), (2, 2 * 5), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_is_not_there_is_an_error() {
    let (sandbox, _) = two_versions().await;
    let (options, elsewhere) = (RewrapOptions::default(), sandbox.into.join("elsewhere").unwrap());
    let usage =
        parcours_tables::rewrap::key_usage(&elsewhere, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    let error = usage.unwrap_err().to_string();
    assert!(
        error.contains("has no version"),
        "a mistyped place must not look like one without files: {error}"
    );
}

/// Queries with cold and with warm caches while keys are rotated, rewrapped and retired under them.
#[tokio::test(flavor = "multi_thread")]
async fn queries_go_on_while_keys_are_rewrapped() {
    let (sandbox, rows) = two_versions().await;
    let (expected, stop) = (shown_sorted(&rows), AtomicBool::new(false));
    let session = sandbox.session().await;
    let warm = sandbox.reading();
    let ask = async || {
        let mut asked = 0;
        while !stop.load(Ordering::SeqCst) {
            let cold = sandbox.reading();
            for reading in [&cold, &warm] {
                let answer = query(&session, &reading.keys(all_granted()), "SELECT * FROM dispensing").await;
                let mut rows = lines(&answer.unwrap());
                rows.sort();
                assert_eq!(rows, expected);
                asked += 1;
            }
        }
        asked
    };
    let rewrap = async {
        for _ in 0..5 {
            sandbox.rotate_all().await;
            let done = sandbox.rewrap().await.unwrap();
            assert_eq!((done.rewrapped, done.closed.len()), (12, 0));
        }
        stop.store(true, Ordering::SeqCst);
    };
    let (asked, ()) = tokio::join!(ask(), rewrap);
    println!("{asked} queries during 5 rotations");
    assert!(asked >= 4, "{asked}");
    sandbox.retire_old().await;
    assert_eq!(sandbox.dispensings().await, expected);
}

/// The old master keys go between the reading of a file's key material and the unwrapping of its keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_overtaken_by_a_rewrapping_reads_the_material_again() {
    let (sandbox, rows) = two_versions().await;
    let held = Held::new(&sandbox.keys);
    let reading = sandbox.reading_with(held.clone());
    let session = sandbox.session().await;
    let keys = reading.keys(all_granted());
    let rewrap = async {
        held.asked().await;
        sandbox.rotate_all().await;
        sandbox.rewrap().await.unwrap();
        sandbox.retire_old().await;
        held.let_go();
    };
    let (answer, ()) = tokio::join!(query(&session, &keys, "SELECT * FROM dispensing"), rewrap);
    let mut answered = lines(&answer.unwrap());
    answered.sort();
    assert_eq!(answered, shown_sorted(&rows));
}

/// What a load wrote and a rewrapping renewed, read by pyarrow with the keys; the rows are those of the sources.
#[tokio::test(flavor = "multi_thread")]
async fn pyarrow_reads_what_was_loaded_and_rewrapped() {
    let modules = "pyarrow.parquet.encryption, cryptography.hazmat.primitives.kdf.argon2";
    let Some(python) = crate::sandbox::python(modules) else {
        return;
    };
    let (sandbox, rows) = two_versions().await;
    sandbox.rotate_all().await;
    sandbox.rewrap().await.unwrap();
    sandbox.retire_old().await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(&python)
        .arg(here.join("tests/tables/read_rewrapped.py"))
        .arg(sandbox.dir.path())
        .env("PYTHONPATH", here.join("../keys/tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_string)
        .collect();
    found.sort();
    assert_eq!(found, shown_sorted(&rows));
}

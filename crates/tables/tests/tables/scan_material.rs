//! Scans of files whose key material lies beside them: when it is fetched, what a missing, swapped or edited one does, that
//! files of the time before are read, and that footers decoded before a rewrapping stay good after it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, all_granted, dispensings, lines, patients, query, shown_sorted};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use parcours_keys::{CacheOptions, ColumnClass};
use parcours_tables::Stores;
use parcours_tables::scan::{Grants, Reading};

const ALL: &str = "SELECT * FROM dispensing";

async fn loaded() -> Sandbox {
    let sandbox = Sandbox::local(3).await;
    sandbox.write_patients(&patients(200));
    sandbox.write_dispensings("1", &dispensings(200, 3_000, 1));
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    sandbox
}

/// Data file and key material of one shard.
fn shard(sandbox: &Sandbox, number: usize) -> (PathBuf, PathBuf) {
    let inside = format!("shard={number:04}");
    let files = sandbox.data_files("dispensing");
    let data = files
        .into_iter()
        .find(|path| path.to_string_lossy().contains(&inside))
        .unwrap();
    let beside = sandbox.beside(&data);
    (data, beside)
}

async fn refusal(sandbox: &Sandbox, sql: &str) -> String {
    let session = sandbox.session().await;
    match query(&session, &sandbox.reading().keys(all_granted()), sql).await {
        Ok(_) => panic!("{sql} was answered"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_has_its_material_and_it_is_fetched_with_cold_footers_only() {
    let sandbox = loaded().await;
    for table in ["patient", "dispensing", "label"] {
        for file in sandbox.data_files(table) {
            assert!(sandbox.beside(&file).exists(), "{}", file.display());
        }
    }
    let (session, reading) = (sandbox.session().await, sandbox.reading());
    let keys = reading.keys(all_granted());
    query(&session, &keys, ALL).await.unwrap();
    assert_eq!(reading.footer_counters().materials, 3);
    for _ in 0..3 {
        query(&session, &keys, ALL).await.unwrap();
    }
    assert_eq!(reading.footer_counters().materials, 3, "warm footers need none");
    reading.forget("claims", ColumnClass::Health).unwrap();
    query(&session, &keys, ALL).await.unwrap();
    assert_eq!(reading.footer_counters().materials, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_material_names_file_and_remedy() {
    let sandbox = loaded().await;
    let (data, beside) = shard(&sandbox, 1);
    std::fs::remove_file(&beside).unwrap();
    let error = refusal(&sandbox, ALL).await;
    let name = data.file_name().unwrap().to_str().unwrap();
    for word in [name, "_KEY_MATERIAL_FOR_", "missing", "restore"] {
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_cut_edited_and_oversized_material_is_refused_by_name() {
    let sandbox = loaded().await;
    let ((data, beside), (_, other)) = (shard(&sandbox, 0), shard(&sandbox, 1));
    let name = data.file_name().unwrap().to_str().unwrap();
    let (good, of_other) = (std::fs::read(&beside).unwrap(), std::fs::read(other).unwrap());
    let text = String::from_utf8(good.clone()).unwrap();
    let mut oversized = good.clone();
    oversized.resize((1 << 20) + 1, b' ');
    let cases = [
        (of_other, "does not authenticate"),
        (good[..good.len() / 2].to_vec(), "cut short or altered"),
        (
            text.replace("claims/health#1", "claims/plain#1").into_bytes(),
            "another use",
        ),
        (
            text.replace("claims/health#1", "claims/health#7").into_bytes(),
            "class health of dataset claims",
        ),
        (Vec::new(), "cut short or altered"),
        (oversized, "larger"),
    ];
    for (bytes, word) in cases {
        std::fs::write(&beside, bytes).unwrap();
        let error = refusal(&sandbox, ALL).await;
        assert!(error.contains(word), "{word}: {error}");
        assert!(
            error.contains(name) || error.contains("dataset claims"),
            "{word}: {error}"
        );
    }
    std::fs::write(&beside, good).unwrap();
    let session = sandbox.session().await;
    query(&session, &sandbox.reading().keys(all_granted()), ALL)
        .await
        .unwrap();
}

/// A class whose entry is lost closes queries that read it, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_entry_closes_its_class_only() {
    let sandbox = loaded().await;
    for number in 0..3 {
        let (_, beside) = shard(&sandbox, number);
        let mut entries: serde_json::Value = serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
        entries.as_object_mut().unwrap().remove("columnKey2").unwrap();
        std::fs::write(&beside, entries.to_string()).unwrap();
    }
    let error = refusal(&sandbox, "SELECT code FROM dispensing").await;
    assert!(error.contains("no key for health"), "{error}");
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let counted = "SELECT count(day) FROM dispensing WHERE place > ''";
    assert_eq!(lines(&query(&session, &keys, counted).await.unwrap()), ["3000"]);
}

/// Files that loads wrote before key material lay outside are read beside new ones.
#[tokio::test(flavor = "multi_thread")]
async fn files_with_their_material_inside_are_read() {
    let sandbox = loaded().await;
    sandbox.move_material_inside(&["dispensing"]).await;
    assert!(
        sandbox
            .data_files("dispensing")
            .iter()
            .all(|file| !sandbox.beside(file).exists())
    );
    let expected = shown_sorted(&dispensings(200, 3_000, 1));
    assert_eq!(sandbox.dispensings().await, expected);
    let session = sandbox.session().await;
    let joined = "SELECT count(*) FROM dispensing d JOIN patient p ON d.patient = p.patient";
    let counted = query(&session, &sandbox.reading().keys(all_granted()), joined)
        .await
        .unwrap();
    assert_eq!(lines(&counted), ["3000"]);
    // Material that somebody put there is nobody's business while the file does not refer to it.
    let (_, beside) = shard(&sandbox, 0);
    std::fs::write(beside, "nonsense").unwrap();
    assert_eq!(sandbox.dispensings().await, expected);
}

/// Keys are forgotten at once here, so that every query asks for them as they are wrapped now.
fn forgetful(sandbox: &Sandbox) -> Reading {
    let options = CacheOptions {
        ttl: Duration::ZERO,
        denial_ttl: Duration::ZERO,
        ..CacheOptions::default()
    };
    Reading::new(
        Arc::clone(&sandbox.keys),
        Arc::clone(&sandbox.stores),
        options,
        64 << 20,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn footers_decoded_before_a_rewrapping_are_good_after_it() {
    let sandbox = loaded().await;
    let expected = shown_sorted(&dispensings(200, 3_000, 1));
    let (session, reading) = (sandbox.session().await, forgetful(&sandbox));
    let keys = reading.keys(all_granted());
    let narrow = reading.keys(Grants::none().with("claims", [ColumnClass::Plain]));
    query(&session, &keys, ALL).await.unwrap();
    query(&session, &narrow, "SELECT place FROM dispensing").await.unwrap();
    sandbox.rotate_all().await;
    sandbox.rewrap().await.unwrap();
    query(&session, &keys, ALL).await.unwrap();
    assert_eq!(
        reading.footer_counters().materials,
        6,
        "the old material is good while the old version is there"
    );
    sandbox.retire_old().await;
    for _ in 0..2 {
        let mut rows = lines(&query(&session, &keys, ALL).await.unwrap());
        rows.sort();
        assert_eq!(rows, expected);
        query(&session, &narrow, "SELECT place FROM dispensing").await.unwrap();
    }
    let counters = reading.footer_counters();
    assert_eq!(counters.misses, 6, "no footer was decoded again");
    assert_eq!(counters.materials, 12, "each footer's material was read once more");
}

/// What the additional read costs where it costs most: many small files, all cold, from a disk and from a store whose
/// every answer takes 10 ms. The figures are printed.
#[tokio::test(flavor = "multi_thread")]
async fn cold_files_with_their_material_outside_and_inside() {
    let sandbox = Sandbox::local(100).await;
    sandbox.write_patients(&patients(1_000));
    sandbox.write_dispensings("1", &dispensings(1_000, 5_000, 1));
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    let outside = cold_medians(&sandbox).await;
    sandbox.move_material_inside(&["dispensing"]).await;
    let inside = cold_medians(&sandbox).await;
    println!("100 cold files, median of 9, key material outside / inside:");
    for (place, (outside, inside)) in ["disk", "store of 10 ms"].iter().zip(outside.iter().zip(&inside)) {
        println!(
            "  {place}: {:.1} ms / {:.1} ms",
            milliseconds(*outside),
            milliseconds(*inside)
        );
    }
}

/// From the disk, and from a copy far away.
async fn cold_medians(sandbox: &Sandbox) -> [Duration; 2] {
    let copy = InMemory::new();
    for file in sandbox.files() {
        let path = object_store::path::Path::from_absolute_path(&file).unwrap();
        copy.put(&path, std::fs::read(file).unwrap().into()).await.unwrap();
    }
    let slow = ThrottleConfig {
        wait_get_per_call: Duration::from_millis(10),
        ..ThrottleConfig::default()
    };
    let far = Arc::new(ThrottledStore::new(copy, slow));
    let far = Arc::new(Stores::default().with_store(&sandbox.into, far));
    [
        cold_median(sandbox, &sandbox.stores).await,
        cold_median(sandbox, &far).await,
    ]
}

async fn cold_median(sandbox: &Sandbox, stores: &Arc<Stores>) -> Duration {
    let session = sandbox.session().await;
    let mut taken = Vec::new();
    for _ in 0..9 {
        let (keys, stores) = (Arc::clone(&sandbox.keys), Arc::clone(stores));
        let reading = Reading::new(keys, stores, CacheOptions::default(), 64 << 20);
        let begin = Instant::now();
        let answer = query(
            &session,
            &reading.keys(all_granted()),
            "SELECT count(code) FROM dispensing",
        )
        .await;
        assert_eq!(lines(&answer.unwrap()), ["5000"]);
        taken.push(begin.elapsed());
        let counters = reading.footer_counters();
        assert_eq!((counters.misses, counters.materials), (100, 100));
    }
    taken.sort();
    taken[taken.len() / 2]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

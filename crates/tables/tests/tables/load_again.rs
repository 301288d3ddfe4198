//! Loading again: nothing twice, new sources beside old ones, changed sources refused or replaced, bad rows.

use crate::sandbox::{Dispensing, Sandbox, all_granted, dispensings, lines, patients, query, shown_sorted};
use parcours_sealed::SpillFiles;
use parcours_tables::Snapshot;
use parcours_tables::compact::{CompactOptions, compact};
use parcours_tables::load::{LoadError, LoadOptions};
use parcours_tables::source::RejectLimit;
use parcours_tables::verify::{VerifyOptions, verify};

async fn prepared() -> (Sandbox, Vec<Dispensing>) {
    let sandbox = Sandbox::local(3).await;
    let rows = dispensings(100, 1_000, 1);
    sandbox.write_patients(&patients(100));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    (sandbox, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sources_add_nothing() {
    let (sandbox, rows) = prepared().await;
    assert_eq!(sandbox.load().await.unwrap().created, Some(1));
    let files = sandbox.files();
    let again = sandbox.load().await.unwrap();
    assert_eq!((again.created, again.version), (None, Some(1)));
    assert!(again.tables.iter().all(|t| t.loaded == 0 && t.skipped == 1));
    assert_eq!(sandbox.files(), files);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_another_name_adds_nothing() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    sandbox.write_dispensings("copy", &rows);
    assert_eq!(sandbox.load().await.unwrap().created, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_source_adds_its_rows_and_old_versions_stay() {
    let (sandbox, mut rows) = prepared().await;
    sandbox.load().await.unwrap();
    let first = sandbox.snapshot().await;
    let more = dispensings(120, 700, 9);
    sandbox.write_dispensings("2", &more);
    let report = sandbox.load().await.unwrap();
    assert_eq!(report.created, Some(2));
    assert!(!first.is_current().await.unwrap());
    let before = shown_sorted(&rows);
    rows.extend(more);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));

    let old = Snapshot::open(&sandbox.into, "claims", Some(1), &sandbox.stores)
        .await
        .unwrap();
    let keys = sandbox.reading().keys(all_granted());
    let session = sandbox.session_at(&old);
    let mut found = lines(&query(&session, &keys, "SELECT * FROM dispensing").await.unwrap());
    found.sort();
    assert_eq!(found, before);
    assert_eq!(
        old.splits(),
        sandbox.snapshot().await.splits(),
        "split points are fixed"
    );

    // Several files a shard: right answers for what relies on order and placement.
    let session = sandbox.session().await;
    let sql = "SELECT count(*) FROM (SELECT patient, day, lag(day) OVER (PARTITION BY patient ORDER BY day) p FROM dispensing) WHERE p > day";
    assert_eq!(lines(&query(&session, &keys, sql).await.unwrap()), ["0"]);
    let distinct: std::collections::BTreeSet<&str> = rows.iter().map(|r| r.patient.as_str()).collect();
    let sql = "SELECT count(*) FROM (SELECT DISTINCT patient FROM dispensing)";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        [distinct.len().to_string()]
    );
    let history = Snapshot::history(&sandbox.into, "claims", &sandbox.stores)
        .await
        .unwrap();
    assert_eq!(history.iter().map(|h| h.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(history[0].added_sources.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_source_is_refused_by_name_or_replaces() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let corrected = dispensings(100, 800, 5);
    sandbox.write_dispensings("1", &corrected);
    let error = sandbox.load().await.unwrap_err();
    assert!(matches!(error, LoadError::SourceChanged { .. }), "{error}");
    assert!(
        error.to_string().contains("dispensing-1.csv") && error.to_string().contains("--replace"),
        "{error}"
    );
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let report = sandbox.load_with(&options).await.unwrap();
    assert!(report.tables.iter().any(|t| t.name == "dispensing" && t.replaced));
    assert_eq!(sandbox.dispensings().await, shown_sorted(&corrected));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_description_is_refused() {
    let (sandbox, _) = prepared().await;
    sandbox.load().await.unwrap();
    for (from, to, word) in [
        ("shards = 3", "shards = 4", "3 shards"),
        (
            "{ name = \"place\", class = \"plain\"",
            "{ name = \"place\", class = \"quasi\"",
            "place",
        ),
        ("order = [\"day\"]", "order = [\"day\", \"code\"]", "ordered by"),
    ] {
        let text = sandbox.description().replace(from, to);
        let dataset = parcours_tables::spec::Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap();
        let options = sandbox.options();
        let loaded =
            parcours_tables::load::load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options).await;
        let error = loaded.unwrap_err();
        assert!(error.to_string().contains(word), "{to}: {error}");
    }
}

/// Where the rows of a table lie stays, whatever a load is told to replace.
#[tokio::test(flavor = "multi_thread")]
async fn another_sharding_is_refused_by_name() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let text = sandbox.description();
    let sharded = text.replace("sharded = false\nsources", "sources").replace(
        "{ name = \"code\", class = \"plain\"",
        "{ name = \"patient\", from = \"code\", class = \"identity\"",
    );
    let unsharded = text
        .replacen("name = \"patient\"\n", "name = \"patient\"\nsharded = false\n", 1)
        .replacen(
            "{ name = \"patient\", from = \"id\", class",
            "{ name = \"id\", class",
            1,
        );
    for (text, table, before) in [(sharded, "label", "false"), (unsharded, "patient", "true")] {
        let dataset = parcours_tables::spec::Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap();
        for replace in [false, true] {
            let options = LoadOptions {
                replace,
                ..sandbox.options()
            };
            let (into, stores, keys) = (&sandbox.into, &sandbox.stores, &sandbox.keys);
            let error = parcours_tables::load::load(&dataset, into, stores, keys, &options)
                .await
                .unwrap_err();
            assert!(matches!(error, LoadError::OtherSharding { .. }), "{error}");
            let said = error.to_string();
            assert!(said.contains(&format!("table {table} is described")), "{said}");
            assert!(said.contains(&format!("say sharded = {before}")), "{said}");
            let diff = parcours_tables::load::diff(&dataset, into, stores, &options)
                .await
                .unwrap_err();
            assert_eq!(diff.to_string(), said);
        }
    }
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_stops_the_load_or_is_set_aside() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let more = dispensings(100, 50, 6);
    sandbox.write_dispensings("2", &more);
    let path = sandbox.sources().join("dispensing-2.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        format!("{text},2020-01-01,HEALTHMARK001,1,PLAINMARK01\nX,2020-13-45,HEALTHMARK001,1,P\n"),
    )
    .unwrap();
    let files = sandbox.files();
    let error = sandbox.load().await.unwrap_err();
    assert!(
        error.to_string().contains("dispensing-2.csv") && error.to_string().contains("52"),
        "{error}"
    );
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    assert_eq!(sandbox.files(), files, "nothing half-loaded stays");

    let options = LoadOptions {
        reject_to: Some(sandbox.dir.path().join("rejects.csv")),
        reject_limit: RejectLimit::Share(0.05),
        ..sandbox.options()
    };
    let report = sandbox.load_with(&options).await.unwrap();
    assert_eq!(report.rejected, 2);
    let all: Vec<Dispensing> = rows.into_iter().chain(more).collect();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_loads_at_once_one_wins_and_nothing_is_mixed() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let more = dispensings(100, 300, 8);
    sandbox.write_dispensings("2", &more);
    let one = LoadOptions {
        spill_dir: sandbox.dir.path().join("spill-1"),
        ..sandbox.options()
    };
    let two = LoadOptions {
        spill_dir: sandbox.dir.path().join("spill-2"),
        ..sandbox.options()
    };
    let (one, two) = tokio::join!(sandbox.load_with(&one), sandbox.load_with(&two));
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    for error in [one, two].into_iter().filter_map(Result::err) {
        assert!(error.to_string().contains("another load"), "{error}");
    }
    let all: Vec<Dispensing> = rows.into_iter().chain(more).collect();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&all));
}

/// What a description says of values is part of what was loaded.
#[tokio::test(flavor = "multi_thread")]
async fn another_way_to_read_is_refused_by_name_or_replaces() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let otherwise = sandbox.description().replacen(
        "{ name = \"place\", class = \"plain\"",
        "{ name = \"place\", missing = [\"nowhere\"], class = \"plain\"",
        1,
    );
    assert_ne!(otherwise, sandbox.description());
    let dataset = parcours_tables::spec::Dataset::parse(&otherwise, sandbox.dir.path(), &|_| None).unwrap();
    let load = async |options: LoadOptions| {
        parcours_tables::load::load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options).await
    };
    let error = load(sandbox.options()).await.unwrap_err();
    assert!(matches!(error, LoadError::ReadingChanged { .. }), "{error}");
    assert!(error.to_string().contains("columns.place.missing"), "{error}");
    let replace = || LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let report = load(replace()).await.unwrap();
    assert!(
        report
            .tables
            .iter()
            .any(|table| table.name == "dispensing" && table.replaced)
    );
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    assert_eq!(load(sandbox.options()).await.unwrap().created, None);
}

/// A table is not built anew without the rows of files that were archived.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_missing_sources_are_kept_unless_told_otherwise() {
    let (sandbox, rows) = prepared().await;
    sandbox.write_dispensings("2", &dispensings(100, 50, 2));
    sandbox.load().await.unwrap();
    std::fs::remove_file(sandbox.sources().join("dispensing-2.csv")).unwrap();
    assert_eq!(
        sandbox.load().await.unwrap().created,
        None,
        "an archived source stays loaded"
    );
    let corrected = dispensings(100, 800, 5);
    sandbox.write_dispensings("1", &corrected);
    let mut options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let before = sandbox.dispensings().await;
    let error = sandbox.load_with(&options).await.unwrap_err();
    assert!(matches!(error, LoadError::SourcesMissing { count: 1, .. }), "{error}");
    assert!(error.to_string().contains("dispensing-2.csv"), "{error}");
    assert_eq!(sandbox.dispensings().await, before);
    assert!(before.len() > rows.len());
    options.forget_missing = true;
    sandbox.load_with(&options).await.unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&corrected));
}

/// What was loaded in other months stays, also where its files were archived; rows that share a file go together.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_load_of_a_changed_source_is_built_anew() {
    let (sandbox, first) = prepared().await;
    sandbox.load().await.unwrap();
    sandbox.write_dispensings("2", &dispensings(100, 300, 2));
    sandbox.load().await.unwrap();
    let third = dispensings(100, 200, 3);
    sandbox.write_dispensings("3", &third);
    sandbox.load().await.unwrap();
    std::fs::remove_file(sandbox.sources().join("dispensing-1.csv")).unwrap();
    let corrected = dispensings(100, 310, 9);
    sandbox.write_dispensings("2", &corrected);

    let mut options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let report = sandbox.load_with(&options).await.unwrap();
    let dispensing = report.tables.iter().find(|table| table.name == "dispensing").unwrap();
    assert_eq!((dispensing.loaded, dispensing.skipped, dispensing.rows), (1, 1, 310));
    assert!(dispensing.replaced && dispensing.archived[0].ends_with("dispensing-1.csv"));
    let all: Vec<Dispensing> = [&first[..], &corrected, &third].concat();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&all));
    let again = sandbox.load_with(&options).await.unwrap();
    assert_eq!(again.created, None, "nothing has changed since");

    // Compaction puts the rows of all loads into one file a shard.
    let compacted = CompactOptions {
        writing: sandbox.options(),
        ..CompactOptions::default()
    };
    let (into, stores, keys) = (&sandbox.into, &sandbox.stores, &sandbox.keys);
    compact(into, "claims", stores, keys, &compacted).await.unwrap();
    sandbox.write_dispensings("3", &dispensings(100, 210, 4));
    let error = sandbox.load_with(&options).await.unwrap_err();
    assert!(matches!(error, LoadError::SourcesMissing { count: 1, .. }), "{error}");
    assert_eq!(sandbox.dispensings().await, shown_sorted(&all));
    options.forget_missing = true;
    sandbox.load_with(&options).await.unwrap();
    let left: Vec<Dispensing> = corrected.into_iter().chain(dispensings(100, 210, 4)).collect();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&left));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_missing_sources_are_forgotten_when_that_is_said() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    sandbox.write_dispensings("2", &dispensings(100, 50, 2));
    sandbox.load().await.unwrap();
    std::fs::remove_file(sandbox.sources().join("dispensing-2.csv")).unwrap();
    let options = LoadOptions {
        replace: true,
        forget_missing: true,
        ..sandbox.options()
    };
    sandbox.load_with(&options).await.unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

/// A copy that added nothing adds nothing either when its source is read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_adds_nothing_when_rows_are_built_anew() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    sandbox.write_dispensings("copy", &rows);
    assert_eq!(sandbox.load().await.unwrap().created, None);
    let read_otherwise = sandbox.description().replacen(
        "{ name = \"place\", class = \"plain\"",
        "{ name = \"place\", missing = [\"PLAINMARK01\"], class = \"plain\"",
        1,
    );
    let dataset = parcours_tables::spec::Dataset::parse(&read_otherwise, sandbox.dir.path(), &|_| None).unwrap();
    let options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let load = parcours_tables::load::load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options);
    load.await.unwrap();
    let without = |row: &String| row.strip_suffix("PLAINMARK01").map_or(row.clone(), str::to_owned);
    let mut expected: Vec<String> = shown_sorted(&rows).iter().map(without).collect();
    expected.sort();
    assert_eq!(sandbox.dispensings().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_equal_files_can_be_missing() {
    let (sandbox, rows) = prepared().await;
    sandbox.write_dispensings("2", &rows);
    sandbox.write_dispensings("3", &dispensings(100, 20, 3));
    sandbox.load().await.unwrap();
    std::fs::remove_file(sandbox.sources().join("dispensing-2.csv")).unwrap();
    sandbox.write_dispensings("3", &dispensings(100, 30, 3));
    let options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let error = sandbox.load_with(&options).await.unwrap_err();
    assert!(matches!(error, LoadError::SourcesMissing { count: 1, .. }), "{error}");
}

/// Its old rows would stay, although no file has them any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_became_a_copy_of_another_one_has_changed() {
    let (sandbox, _) = prepared().await;
    let others = dispensings(100, 50, 2);
    sandbox.write_dispensings("2", &others);
    sandbox.load().await.unwrap();
    sandbox.write_dispensings("1", &others);
    let error = sandbox.load().await.unwrap_err();
    assert!(matches!(error, LoadError::SourceChanged { .. }), "{error}");
}

/// Split points are chosen from the first patients that there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_without_patients_does_not_make_one_shard() {
    let sandbox = Sandbox::local(3).await;
    sandbox.write_patients(&[]);
    sandbox.write_dispensings("1", &[]);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    let rows = dispensings(100, 1_000, 2);
    sandbox.write_dispensings("2", &rows);
    sandbox.load().await.unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let snapshot = sandbox.snapshot().await;
    let by_shard = snapshot.table("dispensing").unwrap().files_by_shard();
    assert!(by_shard.iter().all(|files| !files.is_empty()), "a shard is empty");
    let points = snapshot.splits().points().to_vec();
    sandbox.write_dispensings("3", &dispensings(100, 10, 4));
    sandbox.load().await.unwrap();
    assert_eq!(sandbox.snapshot().await.splits().points(), points);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_rows_takes_the_sources() {
    let (sandbox, rows) = prepared().await;
    sandbox.load().await.unwrap();
    let text = sandbox
        .description()
        .replace("order = [\"day\"]", "order = [\"code\", \"day\"]");
    let dataset = parcours_tables::spec::Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap();
    let options = LoadOptions {
        replace: true,
        ..sandbox.options()
    };
    let load = parcours_tables::load::load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options);
    load.await.unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let snapshot = sandbox.snapshot().await;
    assert_eq!(snapshot.table("dispensing").unwrap().order(), ["code", "day"]);
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    assert_eq!(verified.unwrap().faults, []);
}

/// A process that was killed leaves sealed files behind; the next load with a folder like it removes them.
#[tokio::test(flavor = "multi_thread")]
async fn spill_folders_of_dead_loads_are_removed() {
    let (sandbox, _) = prepared().await;
    let folder = |name: &str| sandbox.dir.path().join(name);
    for name in ["parcours-load-4294967", "parcours-load-notes", "other"] {
        std::fs::create_dir(folder(name)).unwrap();
        std::fs::write(folder(name).join("file"), "x").unwrap();
    }
    let held = SpillFiles::open(&folder("parcours-load-4294968"), 1 << 20).unwrap();
    let options = LoadOptions {
        spill_dir: folder("parcours-load-1"),
        ..sandbox.options()
    };
    sandbox.load_with(&options).await.unwrap();
    assert!(!folder("parcours-load-4294967").exists() && !folder("parcours-load-1").exists());
    for name in ["parcours-load-4294968", "parcours-load-notes", "other"] {
        assert!(folder(name).exists(), "{name}");
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_files_of_one_load_are_two() {
    let (sandbox, rows) = prepared().await;
    sandbox.write_dispensings("copy", &rows);
    sandbox.load().await.unwrap();
    let twice: Vec<Dispensing> = rows.iter().chain(&rows).cloned().collect();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&twice));
    assert_eq!(sandbox.load().await.unwrap().created, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_bad_rows_is_no_source() {
    let (sandbox, _) = prepared().await;
    for name in ["dispensing-rejects.csv", "dispensing-1.csv"] {
        let options = LoadOptions {
            reject_to: Some(sandbox.sources().join(name)),
            ..sandbox.options()
        };
        let before = std::fs::read(sandbox.sources().join("dispensing-1.csv")).unwrap();
        let error = sandbox.load_with(&options).await.unwrap_err().to_string();
        assert!(
            error.contains("would be read as a source of table dispensing"),
            "{error}"
        );
        assert_eq!(
            std::fs::read(sandbox.sources().join("dispensing-1.csv")).unwrap(),
            before
        );
    }
    assert!(!sandbox.sources().join("dispensing-rejects.csv").exists());
}

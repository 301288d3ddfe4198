//! Compaction: what several loads left in many files becomes one file a shard, in order, with the same rows under new data
//! keys; older versions stay; nothing half done is seen.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use parcours_tables::Snapshot;
use parcours_tables::compact::{CompactOptions, CompactReport, compact};
use parcours_tables::load::LoadError;
use parcours_tables::vacuum::{VacuumOptions, vacuum};

use crate::sandbox::{
    Dispensing, Sandbox, all_granted, count_nodes, dispensings, lines, patients, plan, query, shown_sorted,
};

/// Four loads of dispensings, the last of a few patients, so that some shards have fewer files.
async fn loaded_in_parts() -> (Sandbox, Vec<Dispensing>) {
    let sandbox = Sandbox::local(4).await;
    sandbox.write_patients(&patients(300));
    sandbox.write_labels();
    let mut all = Vec::new();
    for part in 1..=4 {
        let rows = dispensings(if part == 4 { 3 } else { 300 }, 700, part);
        sandbox.write_dispensings(&part.to_string(), &rows);
        sandbox.load().await.unwrap();
        all.extend(rows);
    }
    (sandbox, all)
}

async fn compact_with(sandbox: &Sandbox, options: CompactOptions) -> Result<CompactReport, LoadError> {
    let (into, stores, keys) = (sandbox.into.clone(), sandbox.stores.clone(), sandbox.keys.clone());
    tokio::spawn(async move { compact(&into, "claims", &stores, &keys, &options).await })
        .await
        .unwrap()
}

fn paths(snapshot: &Snapshot, table: &str) -> BTreeSet<String> {
    let files = snapshot.table(table).unwrap().files().iter();
    files.map(|file| file.path().to_string()).collect()
}

/// Every row of the dispensings of a version, in the order in which its shards have them, or merge them from several
/// files: nothing is sorted.
async fn in_order(sandbox: &Sandbox, snapshot: &Snapshot) -> Vec<String> {
    let keys = sandbox.reading().keys(all_granted());
    let session = sandbox.session_at(snapshot);
    let ordered = "SELECT * FROM dispensing ORDER BY patient, day";
    assert_eq!(count_nodes(&plan(&session, ordered).await, "SortExec"), 0);
    lines(&query(&session, &keys, ordered).await.unwrap())
}

fn patient_and_day(line: &str) -> (Option<String>, Option<String>) {
    let mut cells = line.split('|').map(str::to_owned);
    (cells.next(), cells.next())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_of_a_shard_are_read_as_one() {
    let (sandbox, rows) = loaded_in_parts().await;
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let ask = async |sql: &str| lines(&query(&session, &keys, sql).await.unwrap());
    // No column of the order is read, one of the two, a filter, and limits with and without an order.
    assert_eq!(
        ask("SELECT count(code) FROM dispensing").await,
        [rows.len().to_string()]
    );
    let mut days: Vec<i32> = rows.iter().map(|row| row.day).collect();
    days.sort_unstable();
    days.dedup();
    assert_eq!(
        ask("SELECT count(DISTINCT day) FROM dispensing").await,
        [days.len().to_string()]
    );
    let first = rows.iter().map(|row| row.patient.clone()).min().unwrap();
    let of_first = rows.iter().filter(|row| row.patient == first).count();
    let sql = format!("SELECT count(*) FROM dispensing WHERE patient = '{first}'");
    assert_eq!(ask(&sql).await, [of_first.to_string()]);
    assert_eq!(
        ask("SELECT patient FROM dispensing ORDER BY patient LIMIT 1").await,
        [first]
    );
    assert_eq!(ask("SELECT code FROM dispensing LIMIT 5").await.len(), 5);
    assert_eq!(ask("SELECT patient, day FROM dispensing LIMIT 900").await.len(), 900);
    // By patient: no exchange and no sort, and right.
    let by_patient = "SELECT patient, count(*) AS n FROM dispensing GROUP BY patient";
    let planned = plan(&session, by_patient).await;
    assert_eq!(
        (
            count_nodes(&planned, "RepartitionExec"),
            count_nodes(&planned, "SortExec")
        ),
        (0, 0)
    );
    let mut expected = std::collections::BTreeMap::<&str, usize>::new();
    for row in &rows {
        *expected.entry(&row.patient).or_default() += 1;
    }
    let mut counted = ask(by_patient).await;
    counted.sort();
    let expected: Vec<String> = expected.iter().map(|(patient, n)| format!("{patient}|{n}")).collect();
    assert_eq!(counted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_becomes_one_file_with_the_same_rows() {
    let (sandbox, rows) = loaded_in_parts().await;
    let before = sandbox.snapshot().await;
    assert!(before.table("dispensing").unwrap().files().len() > 12);
    assert!(
        in_order(&sandbox, &before)
            .await
            .is_sorted_by_key(|line| patient_and_day(line))
    );
    let report = compact_with(&sandbox, CompactOptions::default()).await.unwrap();
    assert_eq!((report.created, report.version), (Some(5), 5));
    let of = |name: &str| report.tables.iter().find(|table| table.name == name).unwrap();
    assert_eq!((of("dispensing").after, of("dispensing").written), (4, 4));
    assert_eq!(of("dispensing").rows, rows.len() as u64);
    assert_eq!(
        (of("patient").written, of("label").written),
        (0, 0),
        "they were one file a shard"
    );

    let after = sandbox.snapshot().await;
    assert_eq!(after.table("dispensing").unwrap().files().len(), 4);
    assert_eq!(paths(&after, "patient"), paths(&before, "patient"));
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    assert!(
        in_order(&sandbox, &after)
            .await
            .is_sorted_by_key(|line| patient_and_day(line))
    );
    // The version before is what it was.
    let old = Snapshot::open(&sandbox.into, "claims", Some(4), &sandbox.stores)
        .await
        .unwrap();
    let mut shown = in_order(&sandbox, &old).await;
    shown.sort();
    assert_eq!(shown, shown_sorted(&rows));
    // And there is nothing more to do.
    let report = compact_with(&sandbox, CompactOptions::default()).await.unwrap();
    assert_eq!((report.created, report.version), (None, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_written_anew_has_other_data_keys() {
    let (sandbox, rows) = loaded_in_parts().await;
    let before = sandbox.snapshot().await;
    let all = CompactOptions {
        all_files: true,
        ..CompactOptions::default()
    };
    let report = compact_with(&sandbox, all).await.unwrap();
    assert_eq!(
        report.tables.iter().map(|table| table.written).sum::<usize>(),
        4 + 4 + 1 + 1
    );
    let after = sandbox.snapshot().await;
    for table in ["patient", "dispensing", "label"] {
        assert!(paths(&before, table).is_disjoint(&paths(&after, table)), "{table}");
    }
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    // Once the old versions have gone, so have the files under the old data keys.
    let options = VacuumOptions {
        older_than: chrono::TimeDelta::zero(),
        delete: true,
        keep_versions: NonZeroUsize::new(1),
    };
    let gone = vacuum(&sandbox.into, "claims", &sandbox.stores, &options)
        .await
        .unwrap();
    assert_eq!(gone.versions, [1, 2, 3, 4]);
    let left: BTreeSet<_> = sandbox.data_files("dispensing").into_iter().collect();
    assert_eq!(
        left.iter()
            .filter(|path| !path.to_string_lossy().contains("_delta_log"))
            .count(),
        4
    );
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_chosen_by_name_and_loads_go_on() {
    let (sandbox, mut rows) = loaded_in_parts().await;
    let named = |name: &str| CompactOptions {
        tables: vec![name.to_owned()],
        ..CompactOptions::default()
    };
    let refused = compact_with(&sandbox, named("stays")).await.unwrap_err();
    assert!(refused.to_string().contains("no table stays"), "{refused}");
    assert_eq!(compact_with(&sandbox, named("patient")).await.unwrap().created, None);
    assert_eq!(
        compact_with(&sandbox, named("dispensing")).await.unwrap().created,
        Some(5)
    );
    // What was loaded before is known to be, and what is new is added.
    assert_eq!(sandbox.load().await.unwrap().created, None);
    let more = dispensings(300, 100, 9);
    sandbox.write_dispensings("9", &more);
    assert_eq!(sandbox.load().await.unwrap().created, Some(6));
    rows.extend(more);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_comes_first_leaves_nothing_of_the_compaction() {
    let (sandbox, mut rows) = loaded_in_parts().await;
    let sandbox = Arc::new(sandbox);
    let more = dispensings(300, 100, 9);
    sandbox.write_dispensings("9", &more);
    rows.extend(more);
    let (loaded, compacted) = tokio::join!(sandbox.load(), compact_with(&sandbox, CompactOptions::default()));
    // Whichever was second was told so, or both came one after the other.
    match (&loaded, &compacted) {
        (Ok(_), Ok(_)) => {}
        (Ok(_), Err(second)) | (Err(second), Ok(_)) => {
            assert!(second.to_string().contains("again"), "{second}");
            assert!(second.published_nothing());
        }
        (Err(one), Err(other)) => panic!("neither was done: {one}; {other}"),
    }
    if loaded.is_err() {
        sandbox.load().await.unwrap();
    }
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_stay_as_long_as_somebody_may_read_them() {
    let (sandbox, rows) = loaded_in_parts().await;
    let with = |hours, keep| VacuumOptions {
        older_than: chrono::TimeDelta::hours(hours),
        delete: true,
        keep_versions: NonZeroUsize::new(keep),
    };
    let run = async |options| {
        vacuum(&sandbox.into, "claims", &sandbox.stores, &options)
            .await
            .unwrap()
    };
    // All of them were followed just now; and without a number every version stays.
    for options in [with(1, 1), with(0, 0), with(0, 9)] {
        let report = run(options).await;
        assert_eq!((report.versions, report.litter.len()), (vec![], 0));
    }
    let report = run(with(0, 2)).await;
    assert_eq!(report.versions, [1, 2]);
    assert_eq!(report.litter.len(), 0, "the newer versions name all of their files");
    assert!(
        Snapshot::open(&sandbox.into, "claims", Some(2), &sandbox.stores)
            .await
            .is_err()
    );
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

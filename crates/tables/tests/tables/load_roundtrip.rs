//! Rows that went in come out, through plans made without a key and opened with keys; and what was declared of the
//! layout is used.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sandbox::{
    self, Sandbox, all_granted, count_nodes, dispensings, lines, loaded, patients, plan, query, shown_sorted,
};
use datafusion::physical_plan::Partitioning;
use parcours_tables::Catalog;
use parcours_tables::spec::Dataset;
use parcours_tables::verify::{VerifyOptions, verify};

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were() {
    let (sandbox, rows) = loaded(5).await;
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let snapshot = sandbox.snapshot().await;
    assert_eq!((snapshot.version(), snapshot.shards()), (1, 5));
    let table = snapshot.table("dispensing").unwrap();
    assert_eq!(table.rows(), 5_000);
    assert_eq!(table.files().len(), 5, "one file a shard");
    assert!(!table.schema().fields().iter().any(|f| f.name() == "shard"));
    assert!(snapshot.is_current().await.unwrap());
    let catalog = Catalog::discover(&sandbox.into, &sandbox.stores).await.unwrap();
    assert_eq!(catalog.datasets().collect::<Vec<_>>(), [("claims", 1)]);
}

/// A dataset without patients: vocabularies, prices, places.
#[tokio::test(flavor = "multi_thread")]
async fn reference_tables_alone_are_a_dataset() {
    let sandbox = Sandbox::local(3).await;
    sandbox.write_labels();
    let text = sandbox.description();
    let reference = text[text.find("[[tables]]\nname = \"label\"").unwrap()..].to_owned();
    let alone = format!("name = \"claims\"\n{reference}");
    let described = |text: &str| Dataset::parse(text, sandbox.dir.path(), &|_| None).unwrap();
    let report = sandbox.load_dataset(&described(&alone)).await.unwrap();
    assert_eq!((report.created, report.tables[0].rows), (Some(1), 200));
    assert_eq!(report.patients.new + report.patients.known, 0);
    assert_eq!(sandbox.load_dataset(&described(&alone)).await.unwrap().created, None);
    let snapshot = sandbox.snapshot().await;
    assert_eq!((snapshot.patient_id(), snapshot.shards()), ("", 1));

    let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
    let sql = "SELECT count(*), count(DISTINCT code), min(label), max(label) FROM label";
    let answer = query(&session, &keys, sql).await.unwrap();
    assert_eq!(lines(&answer), ["200|200|label 0|label 99"]);
    let options = VerifyOptions::default();
    let verified = verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await;
    assert!(verified.unwrap().faults.is_empty());

    // Patients that come later are sharded as they are described then.
    let rows = dispensings(300, 5_000, 1);
    sandbox.write_patients(&patients(300));
    sandbox.write_dispensings("1", &rows);
    assert_eq!(sandbox.load_dataset(&described(&text)).await.unwrap().created, Some(2));
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let snapshot = sandbox.snapshot().await;
    assert_eq!((snapshot.patient_id(), snapshot.shards()), ("patient", 3));
    assert_eq!(snapshot.table("dispensing").unwrap().files().len(), 3);
    let refused = sandbox.load_dataset(&described(&alone)).await.unwrap_err();
    assert!(refused.to_string().contains("its patient id was patient"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_has_classes_shards_and_sizes() {
    let (sandbox, _) = loaded(3).await;
    let described = sandbox.snapshot().await.describe();
    let table = described.tables.iter().find(|t| t.name == "dispensing").unwrap();
    let classes: Vec<&str> = table.columns.iter().map(|c| c.class.as_str()).collect();
    assert_eq!(classes, ["identity", "quasi", "health", "health", "plain"]);
    assert_eq!(table.rows_by_shard.iter().sum::<u64>(), 5_000);
    assert_eq!(table.rows_by_shard.len(), 3);
    assert!(
        table.rows_by_shard.iter().all(|rows| *rows > 1_000),
        "{:?}",
        table.rows_by_shard
    );
    assert_eq!(table.sorted_by, ["patient", "day"]);
    let label = described.tables.iter().find(|t| t.name == "label").unwrap();
    assert_eq!((label.rows, label.files, label.sharded), (200, 1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_joins_and_windows_by_patient_agree_with_plain_rows() {
    let (sandbox, rows) = loaded(4).await;
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let mut by_patient: BTreeMap<&str, (usize, i32)> = BTreeMap::new();
    for row in &rows {
        let entry = by_patient.entry(&row.patient).or_default();
        *entry = (entry.0 + 1, entry.1.max(row.day));
    }
    let sql = "SELECT patient, count(*), max(day) - date '2015-01-01' FROM dispensing GROUP BY patient";
    let answer = query(&session, &keys, sql).await.unwrap();
    let counted: usize = answer.iter().map(|b| b.num_rows()).sum();
    assert_eq!(counted, by_patient.len());
    let sql = "SELECT patient, count(*) FROM dispensing GROUP BY patient";
    let mut found = lines(&query(&session, &keys, sql).await.unwrap());
    found.sort();
    let expected: Vec<String> = by_patient
        .iter()
        .map(|(patient, (n, _))| format!("{patient}|{n}"))
        .collect();
    assert_eq!(found, expected);

    let women: BTreeMap<String, bool> = patients(300)
        .into_iter()
        .map(|p| (p.id, p.sex == "QUASIMARK2"))
        .collect();
    let expected = rows.iter().filter(|r| women[&r.patient]).count();
    let sql = "SELECT count(*) FROM dispensing d JOIN patient p ON d.patient = p.patient WHERE p.sex = 'QUASIMARK2'";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        [expected.to_string()]
    );

    let sql = "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY patient ORDER BY day) n FROM dispensing) WHERE n = 1";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        [by_patient.len().to_string()]
    );

    let expected = rows.iter().filter(|r| r.code == "HEALTHMARK007").count();
    let sql = "SELECT count(code) FROM dispensing WHERE code = 'HEALTHMARK007'";
    assert_eq!(
        lines(&query(&session, &keys, sql).await.unwrap()),
        [expected.to_string()]
    );
    let sql = "SELECT count(*) FROM dispensing d JOIN label l ON d.code = l.code";
    assert_eq!(lines(&query(&session, &keys, sql).await.unwrap()), ["5000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patient_level_plans_neither_shuffle_nor_sort() {
    let (sandbox, _) = loaded(4).await;
    let session = sandbox.session().await;
    let window = plan(
        &session,
        "SELECT patient, day, lag(day) OVER (PARTITION BY patient ORDER BY day) FROM dispensing",
    )
    .await;
    assert_eq!(
        (
            count_nodes(&window, "RepartitionExec"),
            count_nodes(&window, "SortExec")
        ),
        (0, 0),
        "{window:?}"
    );
    let grouped = plan(&session, "SELECT patient, count(*) FROM dispensing GROUP BY patient").await;
    assert_eq!(count_nodes(&grouped, "RepartitionExec"), 0);
    let scan = plan(&session, "SELECT * FROM dispensing").await;
    assert!(matches!(
        scan.properties().output_partitioning(),
        Partitioning::Range(_)
    ));
    let without_id = plan(&session, "SELECT code FROM dispensing").await;
    assert!(!matches!(
        without_id.properties().output_partitioning(),
        Partitioning::Range(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_shards_than_patients_leaves_empty_shards() {
    let sandbox = Sandbox::local(16).await;
    let rows = dispensings(3, 40, 2);
    sandbox.write_patients(&patients(3));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
    let snapshot = sandbox.snapshot().await;
    let groups = snapshot.table("dispensing").unwrap().files_by_shard();
    assert_eq!(groups.len(), 16);
    assert!(groups.iter().filter(|files| !files.is_empty()).count() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_equal_to_a_split_point_goes_to_the_right() {
    let sandbox = Sandbox::local(2).await;
    let mut rows = dispensings(50, 500, 3);
    rows.sort();
    let point = rows[250].patient.clone();
    sandbox.write_patients(&patients(50));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    let text = sandbox
        .description()
        .replace("shards = 2", &format!("shards = 2\nsplits = [\"{point}\"]"));
    let dataset = parcours_tables::spec::Dataset::parse(&text, sandbox.dir.path(), &|_| None).unwrap();
    let options = sandbox.options();
    parcours_tables::load::load(&dataset, &sandbox.into, &sandbox.stores, &sandbox.keys, &options)
        .await
        .unwrap();
    let by_shard = sandbox
        .snapshot()
        .await
        .describe()
        .tables
        .into_iter()
        .find(|t| t.name == "dispensing")
        .unwrap();
    let right = rows.iter().filter(|row| row.patient >= point).count() as u64;
    assert_eq!(by_shard.rows_by_shard, [500 - right, right]);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_its_memory_spills_sealed() {
    let sandbox = Sandbox::local(4).await;
    // About 200 bytes a row in memory: some 5 times the least memory of a load.
    let rows = dispensings(20_000, 900_000, 4);
    sandbox.write_patients(&patients(20_000));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    let options = parcours_tables::load::LoadOptions {
        memory_bytes: 64 << 20,
        ..sandbox.options()
    };
    let watch = SpillWatch::start(options.spill_dir.clone());
    sandbox.load_with(&options).await.unwrap();
    let (seen, in_clear) = watch.stop();
    assert!(seen > 0, "nothing spilled: the test proves nothing");
    assert_eq!(in_clear, 0, "a spill file holds a value");
    assert_eq!(sandbox.dispensings().await, shown_sorted(&rows));
}

/// Looks at spill files while they exist.
pub struct SpillWatch {
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<(usize, usize)>,
}

impl SpillWatch {
    pub fn start(dir: std::path::PathBuf) -> Self {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut in_clear) = (0, 0);
            while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
                for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                    let Ok(bytes) = std::fs::read(entry.path()) else {
                        continue;
                    };
                    seen += usize::from(bytes.len() > 1_000);
                    in_clear += usize::from(sandbox::MARKS.iter().any(|mark| holds(&bytes, mark)));
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            (seen, in_clear)
        });
        Self { stop, thread }
    }

    /// How many looks met a spill file, and how many of them one that holds a value.
    pub fn stop(self) -> (usize, usize) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    memchr::memmem::find(bytes, mark.as_bytes()).is_some()
}

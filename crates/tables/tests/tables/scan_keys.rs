//! What a scan opens and what it refuses: classes, places, altered files, sources of other kinds; and that nothing on disk
//! can be read without keys.

use std::path::PathBuf;
use std::sync::Arc;

use crate::sandbox::{MARKS, Sandbox, all_granted, dispensings, lines, patients, plan, query, shown_sorted};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use parcours_keys::{ColumnClass, KeyService, KeyUse, Keyring, MasterKeyName, Unlock, class_key, create_key_file};
use parcours_tables::scan::{Grants, ScanKeys, open_for_reading};

async fn loaded() -> Sandbox {
    let sandbox = Sandbox::local(3).await;
    sandbox.write_patients(&patients(200));
    sandbox.write_dispensings("1", &dispensings(200, 3_000, 1));
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    sandbox
}

async fn refusal(session: &SessionContext, keys: &ScanKeys, sql: &str) -> String {
    match query(session, keys, sql).await {
        Ok(batches) => panic!(
            "{sql} answered {} rows",
            batches.iter().map(|b| b.num_rows()).sum::<usize>()
        ),
        Err(error) => error.to_string(),
    }
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    memchr::memmem::find(bytes, mark.as_bytes()).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_holds_a_value_and_a_plain_copy_would() {
    let sandbox = loaded().await;
    let files = sandbox.files();
    assert!(files.len() > 10);
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        for mark in MARKS {
            let bounds_of_plain = mark == "PLAINMARK" && path.to_string_lossy().contains("_delta_log");
            assert!(
                bounds_of_plain || !holds(&bytes, mark),
                "{} holds {mark}",
                path.display()
            );
        }
    }
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let rows = query(
        &session,
        &keys,
        "SELECT d.*, p.sex FROM dispensing d JOIN patient p ON d.patient = p.patient",
    )
    .await
    .unwrap();
    let mut plain = Vec::new();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(&mut plain, rows[0].schema(), None).unwrap();
    rows.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    assert!(
        MARKS.iter().all(|mark| holds(&plain, mark)),
        "the same search finds them in a plain copy"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_is_read() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let planned = plan(&session, "SELECT code FROM dispensing").await;
    assert!(
        datafusion::physical_plan::collect(planned, session.task_ctx())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_not_granted_is_denied_by_name_and_others_are_read() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let grants = Grants::none().with(
        "claims",
        [ColumnClass::Identity, ColumnClass::Quasi, ColumnClass::Plain],
    );
    let reading = sandbox.reading();
    let keys = reading.keys(grants);
    for sql in [
        "SELECT code FROM dispensing",
        "SELECT count(*) FROM dispensing WHERE quantity > 3",
        "SELECT patient, sum(quantity) FROM dispensing GROUP BY patient",
    ] {
        let error = refusal(&session, &keys, sql).await;
        assert!(
            error.contains("health") && error.contains("claims") && error.contains("denied"),
            "{sql}: {error}"
        );
    }
    // Columns that stay closed are in the way of no condition.
    let all = reading.keys(all_granted());
    for open in [
        "SELECT count(day) FROM dispensing WHERE place < 'PLAINMARK50' AND day > date '2016-01-01'",
        "SELECT patient, day, place FROM dispensing WHERE day > date '2016-01-01' ORDER BY patient, day, place",
    ] {
        let found = query(&session, &keys, open).await.unwrap();
        assert_eq!(
            lines(&found),
            lines(&query(&session, &all, open).await.unwrap()),
            "{open}"
        );
        assert_eq!(
            pages_looked_at(&session, &keys, open).await,
            pages_looked_at(&session, &all, open).await,
            "{open}"
        );
    }
    let error = refusal(&session, &reading.keys(Grants::none()), "SELECT place FROM dispensing").await;
    assert!(error.contains("plain") && error.contains("denied"), "{error}");
    let other = reading.keys(Grants::none().with("other", ColumnClass::ALL));
    assert!(
        refusal(&session, &other, "SELECT place FROM dispensing")
            .await
            .contains("denied")
    );
}

/// What the scans of a query found out by the index of pages, as they say it themselves.
async fn pages_looked_at(session: &SessionContext, keys: &ScanKeys, sql: &str) -> Vec<String> {
    let opened = open_for_reading(plan(session, sql).await, keys).unwrap();
    datafusion::physical_plan::collect(Arc::clone(&opened), session.task_ctx())
        .await
        .unwrap();
    let shown = DisplayableExecutionPlan::with_metrics(opened.as_ref())
        .indent(false)
        .to_string();
    let of_pages = shown
        .split(", ")
        .filter(|part| part.starts_with("page_index_rows_pruned"));
    of_pages.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_granted_is_denied_beside_one_that_is() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let reading = sandbox.reading();
    let keys = reading.keys(Grants::none().with_table("claims", "dispensing", ColumnClass::ALL));
    assert_eq!(
        query(&session, &keys, "SELECT max(day) FROM dispensing")
            .await
            .unwrap()
            .len(),
        1
    );
    let error = refusal(&session, &keys, "SELECT sex FROM patient").await;
    assert!(error.contains("denied") && error.contains("patient"), "{error}");
    // Rows are counted of a table of which no column is granted.
    let counted = reading.keys(Grants::none().with_table("claims", "patient", []));
    assert_eq!(
        query(&session, &counted, "SELECT count(*) FROM patient")
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        refusal(&session, &counted, "SELECT sex FROM patient")
            .await
            .contains("denied")
    );
}

/// Here the grant allows all, and the executor's own key service lacks one class.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_without_one_class_fails_only_queries_that_read_it() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let full = Keyring::open(
        sandbox.dir.path().join("keys.ring"),
        Unlock::key_file(sandbox.dir.path().join("keys.key")),
    )
    .unwrap();
    let names: Vec<MasterKeyName> = KeyUse::all()
        .filter(|use_| *use_ != KeyUse::Class(ColumnClass::Health))
        .map(|use_| MasterKeyName::new(format!("claims/{use_}")).unwrap())
        .collect();
    assert!(!names.contains(&class_key("claims", ColumnClass::Health).unwrap()));
    let unlock = sandbox.dir.path().join("part.key");
    create_key_file(&unlock).unwrap();
    let part = full
        .export(sandbox.dir.path().join("part.ring"), Unlock::key_file(&unlock), &names)
        .unwrap();
    let part: Arc<dyn KeyService> = Arc::new(part);
    let keys = sandbox.reading_with(part).keys(all_granted());
    for _ in 0..2 {
        let error = refusal(&session, &keys, "SELECT code FROM dispensing").await;
        assert!(error.contains("class health of dataset claims"), "{error}");
        let error = refusal(
            &session,
            &keys,
            "SELECT count(*) FROM dispensing WHERE code = 'HEALTHMARK001'",
        )
        .await;
        assert!(error.contains("class health of dataset claims"), "{error}");
        let counted = query(&session, &keys, "SELECT count(day) FROM dispensing WHERE place >= 'P'")
            .await
            .unwrap();
        assert_eq!(lines(&counted), ["3000"]);
        let joined = "SELECT count(*) FROM dispensing d JOIN patient p ON d.patient = p.patient WHERE p.born > 0";
        assert_eq!(lines(&query(&session, &keys, joined).await.unwrap()), ["3000"]);
    }
}

async fn fails_after(change: impl Fn(&Sandbox)) -> String {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    change(&sandbox);
    refusal(
        &session,
        &sandbox.reading().keys(all_granted()),
        "SELECT * FROM dispensing",
    )
    .await
}

fn shard_file(sandbox: &Sandbox, table: &str, shard: usize) -> PathBuf {
    let inside = format!("shard={shard:04}");
    sandbox
        .data_files(table)
        .into_iter()
        .find(|path| path.to_string_lossy().contains(&inside))
        .unwrap()
}

/// Puts `bytes` in the place of a file; the log's size of it is kept, as an attacker would.
fn put(path: &PathBuf, mut bytes: Vec<u8>) {
    let size = std::fs::metadata(path).unwrap().len() as usize;
    if bytes.len() < size {
        let mut padded = vec![0; size - bytes.len()];
        padded.append(&mut bytes);
        bytes = padded;
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_changed_places_do_not_open() {
    let sandbox = loaded().await;
    let (one, other) = (
        shard_file(&sandbox, "dispensing", 0),
        shard_file(&sandbox, "dispensing", 1),
    );
    sandbox.change_places("dispensing", &one, &other);
    let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
    let error = refusal(&session, &keys, "SELECT * FROM dispensing").await;
    assert!(error.contains("does not authenticate"), "{error}");
    // Nothing else was wrong with them.
    sandbox.change_places("dispensing", &one, &other);
    assert_eq!(sandbox.dispensings().await, shown_sorted(&dispensings(200, 3_000, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_clear_fails() {
    let error = fails_after(|sandbox| {
        let path = shard_file(sandbox, "dispensing", 0);
        put(&path, plain_file());
    })
    .await;
    assert!(error.contains("not encrypted"), "{error}");
}

/// The same columns, in clear.
fn plain_file() -> Vec<u8> {
    use datafusion::arrow::array::{ArrayRef, Date32Array, Int32Array, RecordBatch, StringArray};
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("patient", text("00000000IDMARK")),
        ("day", Arc::new(Date32Array::from(vec![16_500])) as ArrayRef),
        ("code", text("HEALTHMARK001")),
        ("quantity", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("place", text("PLAINMARK01")),
    ]);
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Only the page index may be flipped without a word: a query without a filter does not read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere_fails() {
    let expected = shown_sorted(&dispensings(200, 3_000, 1));
    let mut refused = 0;
    for part in 0..10 {
        let sandbox = loaded().await;
        let path = shard_file(&sandbox, "dispensing", 2);
        let index = sandbox.page_index("dispensing", &path);
        let mut bytes = std::fs::read(&path).unwrap();
        // Past the magic number at the start; the last part lies in the footer.
        let at = 8 + (bytes.len() - 24) * part / 9;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (session, keys) = (sandbox.session().await, sandbox.reading().keys(all_granted()));
        match query(&session, &keys, "SELECT * FROM dispensing").await {
            Err(_) => refused += 1,
            Ok(rows) => {
                let mut rows = lines(&rows);
                rows.sort();
                assert!(index.contains(&at) && rows == expected, "byte {at} went unseen");
            }
        }
    }
    assert!(refused >= 8, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sources_are_refused_and_literals_are_not() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let csv = sandbox.sources().join("label-1.csv");
    session
        .register_csv("raw", csv.to_str().unwrap(), CsvReadOptions::new())
        .await
        .unwrap();
    let error = refusal(&session, &keys, "SELECT * FROM raw").await;
    assert!(error.contains("csv") && error.contains("refused"), "{error}");
    let values = query(&session, &keys, "SELECT * FROM (VALUES (1), (2)) t(n)")
        .await
        .unwrap();
    assert_eq!(lines(&values), ["1", "2"]);
    let large: Vec<String> = (0..5000).map(|n| format!("({n})")).collect();
    let error = refusal(
        &session,
        &keys,
        &format!("SELECT * FROM (VALUES {}) t(n)", large.join(",")),
    )
    .await;
    assert!(error.contains("literal"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_elsewhere_is_refused() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let place = sandbox.dir.path().join("x/claims/stolen/part-1.parquet");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, plain_file()).unwrap();
    session
        .register_parquet("stolen", place.to_str().unwrap(), Default::default())
        .await
        .unwrap();
    let error = refusal(&session, &keys, "SELECT * FROM stolen").await;
    assert!(error.contains("refused") && error.contains("no class"), "{error}");
    let error = refusal(&session, &keys, "SELECT 1 FROM stolen").await;
    assert!(error.contains("not encrypted"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn footers_and_keys_are_fetched_once_and_forgotten_on_demand() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    let reading = sandbox.reading();
    let sql = "SELECT patient, code FROM dispensing WHERE code > 'HEALTHMARK100'";
    let keys = reading.keys(all_granted());
    query(&session, &keys, sql).await.unwrap();
    let (footers, unwraps) = (reading.footer_counters(), reading.key_counters().unwraps);
    assert_eq!((footers.footers, footers.misses), (3, 3));
    query(&session, &reading.keys(all_granted()), sql).await.unwrap();
    assert_eq!(reading.footer_counters().misses, 3);
    assert_eq!(reading.key_counters().unwraps, unwraps);
    let narrow = reading.keys(Grants::none().with("claims", [ColumnClass::Plain]));
    query(&session, &narrow, "SELECT place FROM dispensing").await.unwrap();
    assert_eq!(reading.footer_counters().misses, 6, "other grants share nothing");
    reading.forget("claims", ColumnClass::Health).unwrap();
    assert_eq!(reading.footer_counters().footers, 0);
    query(&session, &keys, sql).await.unwrap();
    assert!(reading.key_counters().unwraps > unwraps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_survives_the_wire_with_its_layout() {
    let sandbox = loaded().await;
    let session = sandbox.session().await;
    for sql in [
        "SELECT * FROM dispensing",
        "SELECT code, patient FROM dispensing WHERE quantity > 3 LIMIT 7",
        "SELECT patient, day, lag(day) OVER (PARTITION BY patient ORDER BY day) FROM dispensing",
        "SELECT d.patient, count(*) FROM dispensing d JOIN patient p ON d.patient = p.patient GROUP BY d.patient",
        "SELECT * FROM label",
    ] {
        let sent = plan(&session, sql).await;
        let bytes = datafusion_proto::bytes::physical_plan_to_bytes(Arc::clone(&sent)).unwrap();
        let received = datafusion_proto::bytes::physical_plan_from_bytes(&bytes, &session.task_ctx()).unwrap();
        let show = |p: &Arc<dyn datafusion::physical_plan::ExecutionPlan>| {
            datafusion::physical_plan::displayable(p.as_ref())
                .indent(true)
                .to_string()
        };
        assert_eq!(show(&received), show(&sent), "{sql}");
        // An unknown partitioning equals no other, not even itself: what they say is compared.
        let partitioning = |p: &Arc<dyn datafusion::physical_plan::ExecutionPlan>| {
            format!("{:?}", p.properties().output_partitioning())
        };
        assert_eq!(partitioning(&received), partitioning(&sent), "{sql}");
        assert_eq!(
            received.properties().output_ordering(),
            sent.properties().output_ordering(),
            "{sql}"
        );
        let keys = sandbox.reading().keys(all_granted());
        let opened = open_for_reading(received, &keys).unwrap();
        let answer = datafusion::physical_plan::collect(opened, session.task_ctx())
            .await
            .unwrap();
        let expected = query(&session, &keys, sql).await.unwrap();
        let (mut answer, mut expected) = (lines(&answer), lines(&expected));
        answer.sort();
        expected.sort();
        if !sql.contains("LIMIT") {
            assert_eq!(answer, expected, "{sql}");
        }
        assert_eq!(answer.len(), expected.len(), "{sql}");
    }
}

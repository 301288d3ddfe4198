//! Verifying finds what no reader checks: every fault is put into a file by writing it anew, at its place and under its
//! dataset's keys, with rows that loading would refuse.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use parcours_tables::Snapshot;
use parcours_tables::verify::{FaultKind, Verified, VerifyError, VerifyOptions, verify};

use crate::sandbox::{Sandbox, dispensings, patients};

/// Two loads into four shards.
async fn loaded() -> Sandbox {
    let sandbox = Sandbox::local(4).await;
    sandbox.write_patients(&patients(200));
    sandbox.write_labels();
    sandbox.write_dispensings("1", &dispensings(200, 2_000, 1));
    sandbox.load().await.unwrap();
    sandbox
}

async fn verified(sandbox: &Sandbox) -> Verified {
    verify_with(sandbox, VerifyOptions::default()).await.unwrap()
}

async fn verify_with(sandbox: &Sandbox, options: VerifyOptions) -> Result<Verified, VerifyError> {
    verify(&sandbox.into, "claims", &sandbox.stores, &sandbox.keys, &options).await
}

fn file_of_shard(sandbox: &Sandbox, table: &str, shard: usize) -> PathBuf {
    let folder = format!("/shard={shard:04}/");
    let files = sandbox.data_files(table);
    let found = files.iter().find(|file| file.to_string_lossy().contains(&folder));
    found.unwrap().clone()
}

/// Kind, row group, row and number of rows of every fault.
fn faults(verified: &Verified) -> Vec<(FaultKind, Option<usize>, Option<u64>, u64)> {
    let one = |fault: &parcours_tables::verify::Fault| (fault.kind, fault.row_group, fault.row, fault.rows);
    verified.faults.iter().map(one).collect()
}

/// The batch with this patient id in one row.
fn with_patient(rows: &RecordBatch, at: usize, patient: Option<&str>) -> RecordBatch {
    let ids = rows.column(0).as_string::<i32>();
    let before = |row| ids.is_valid(row).then(|| ids.value(row));
    let ids: StringArray = (0..ids.len())
        .map(|row| if row == at { patient } else { before(row) })
        .collect();
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields[0] = fields[0].clone().with_nullable(true);
    let mut columns = rows.columns().to_vec();
    columns[0] = Arc::new(ids) as ArrayRef;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn in_order(rows: &RecordBatch, order: impl IntoIterator<Item = usize>) -> RecordBatch {
    let order: UInt32Array = order.into_iter().map(|row| Some(row as u32)).collect();
    take_record_batch(rows, &order).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_is_well() {
    let sandbox = loaded().await;
    sandbox.write_dispensings("2", &dispensings(200, 900, 2));
    sandbox.load().await.unwrap();
    let report = verified(&sandbox).await;
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    let seen: Vec<_> = report
        .tables
        .iter()
        .map(|t| (t.name.as_str(), t.files, t.rows))
        .collect();
    assert_eq!(
        seen,
        [
            ("_loads", 2, 2),
            ("dispensing", 8, 2_900),
            ("label", 1, 200),
            ("patient", 4, 200)
        ]
    );
    let options = VerifyOptions {
        version: Some(1),
        tables: vec!["dispensing".to_owned()],
        parallel: 1,
        ..VerifyOptions::default()
    };
    let first = verify_with(&sandbox, options).await.unwrap();
    assert_eq!((first.version, first.tables.len(), first.tables[0].rows), (1, 1, 2_000));
    let unknown = VerifyOptions {
        tables: vec!["stays".to_owned()],
        ..VerifyOptions::default()
    };
    let refused = verify_with(&sandbox, unknown).await.unwrap_err();
    assert!(refused.to_string().contains("no table stays"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_shard_is_found() {
    let sandbox = loaded().await;
    let file = file_of_shard(&sandbox, "dispensing", 1);
    // The last row, so that it is in order: only its place is wrong.
    let mut last = 0;
    let far = "ZZZZIDMARK";
    sandbox
        .falsify("dispensing", &file, |rows| {
            last = rows.num_rows();
            with_patient(&rows, last - 1, Some(far))
        })
        .await;
    let report = verified(&sandbox).await;
    let group = last.div_ceil(100);
    assert_eq!(
        faults(&report),
        [(FaultKind::WrongShard, Some(group), Some(last as u64), 1)]
    );
    let fault = &report.faults[0];
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        (fault.table.as_str(), fault.file.as_str()),
        ("dispensing", &*format!("shard=0001/{name}"))
    );
    let said = fault.to_string();
    assert!(
        said.contains(&format!("row group {group} row {last}")) && !said.contains(far),
        "{said}"
    );
    // The other side: a patient of a shard before, in the first row of shard 2.
    let file = file_of_shard(&sandbox, "dispensing", 2);
    sandbox
        .falsify("dispensing", &file, |rows| with_patient(&rows, 0, Some("!")))
        .await;
    assert_eq!(
        faults(&verified(&sandbox).await)[1],
        (FaultKind::WrongShard, Some(1), Some(1), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_point_is_the_first_patient_of_its_shard() {
    let sandbox = loaded().await;
    let snapshot = sandbox.snapshot().await;
    let point = snapshot.splits().points()[1].to_string();
    let (before, behind) = (
        file_of_shard(&sandbox, "dispensing", 1),
        file_of_shard(&sandbox, "dispensing", 2),
    );
    sandbox
        .falsify("dispensing", &behind, |rows| with_patient(&rows, 0, Some(&point)))
        .await;
    assert_eq!(faults(&verified(&sandbox).await), []);
    let mut last = 0;
    sandbox
        .falsify("dispensing", &before, |rows| {
            last = rows.num_rows();
            with_patient(&rows, last - 1, Some(&point))
        })
        .await;
    let found = faults(&verified(&sandbox).await);
    assert_eq!(
        found,
        [(FaultKind::WrongShard, Some(last.div_ceil(100)), Some(last as u64), 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_out_of_order_are_found() {
    let sandbox = loaded().await;
    let file = file_of_shard(&sandbox, "dispensing", 3);
    let turned = |rows: RecordBatch| {
        let count = rows.num_rows();
        assert!(count > 250);
        // Two rows that change places: the later one is smaller than the row before it.
        in_order(
            &rows,
            (0..200).chain([240]).chain(201..240).chain([200]).chain(241..count),
        )
    };
    sandbox.falsify("dispensing", &file, turned).await;
    let found = faults(&verified(&sandbox).await);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].0, found[0].1, found[0].2, found[0].3),
        (FaultKind::OutOfOrder, Some(3), Some(202), 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_patient_are_found() {
    let sandbox = loaded().await;
    let file = file_of_shard(&sandbox, "dispensing", 0);
    let mut count = 0;
    let nobody = |rows: RecordBatch| {
        count = rows.num_rows();
        with_patient(&with_patient(&rows, count - 2, None), count - 1, None)
    };
    sandbox.falsify("dispensing", &file, nobody).await;
    let (group, first) = ((count - 1).div_ceil(100), count as u64 - 1);
    assert_eq!(
        faults(&verified(&sandbox).await),
        [(FaultKind::NoPatient, Some(group), Some(first), 2)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_doubled_rows_are_found() {
    let sandbox = loaded().await;
    let label = sandbox.data_files("label").remove(0);
    sandbox
        .falsify("label", &label, |rows| in_order(&rows, 1..rows.num_rows()))
        .await;
    let file = file_of_shard(&sandbox, "patient", 2);
    let doubled = |rows: RecordBatch| concat_batches(&rows.schema(), &[rows.slice(0, 1), rows.clone()]).unwrap();
    sandbox.falsify("patient", &file, doubled).await;
    let report = verified(&sandbox).await;
    assert_eq!(faults(&report), [(FaultKind::Rows, None, None, 0); 2]);
    assert_eq!(
        (report.faults[0].table.as_str(), report.faults[1].table.as_str()),
        ("label", "patient")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_changed_places_are_found() {
    let sandbox = loaded().await;
    let (one, other) = (
        file_of_shard(&sandbox, "dispensing", 0),
        file_of_shard(&sandbox, "dispensing", 1),
    );
    sandbox.change_places("dispensing", &one, &other);
    let unreadable = |found: &Verified| {
        found.faults.len() == 2 && found.faults.iter().all(|fault| fault.kind == FaultKind::Unreadable)
    };
    let found = verified(&sandbox).await;
    assert!(unreadable(&found), "{found:?}");
    sandbox.change_places("dispensing", &one, &other);
    assert_eq!(faults(&verified(&sandbox).await), []);
    std::fs::remove_file(&one).unwrap();
    std::fs::remove_file(&other).unwrap();
    let missing = verified(&sandbox).await;
    assert_eq!(faults(&missing), [(FaultKind::Missing, None, None, 0); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_bytes_and_lost_keys_are_found() {
    let sandbox = loaded().await;
    let file = file_of_shard(&sandbox, "dispensing", 0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    std::fs::remove_file(sandbox.beside(&file_of_shard(&sandbox, "patient", 1))).unwrap();
    let report = verified(&sandbox).await;
    assert_eq!(report.faults.len(), 2, "{report:?}");
    assert!(
        report.faults.iter().all(|fault| fault.kind == FaultKind::Unreadable),
        "{report:?}"
    );
    assert_eq!((report.faults[0].row_group, report.faults[0].row), (Some(1), Some(1)));

    // A master key that has gone closes the files that need it, and is said to.
    let sandbox = loaded().await;
    sandbox.rotate_all().await;
    sandbox.retire_old().await;
    let report = verified(&sandbox).await;
    assert_eq!(report.faults.len(), 10, "{report:?}");
    assert!(
        report.faults.iter().all(|fault| fault.kind == FaultKind::Closed),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_the_logs_is_found() {
    let sandbox = loaded().await;
    let longer = file_of_shard(&sandbox, "dispensing", 0);
    let bytes = [std::fs::read(&longer).unwrap(), vec![0]].concat();
    std::fs::write(&longer, bytes).unwrap();
    let other = file_of_shard(&sandbox, "dispensing", 1);
    sandbox.falsify("dispensing", &other, with_wide_quantity).await;
    let report = verified(&sandbox).await;
    assert_eq!(
        faults(&report),
        [(FaultKind::Size, None, None, 0), (FaultKind::Schema, None, None, 0)]
    );
    assert_eq!(report.faults[1].column.as_deref(), Some("quantity"));
}

/// The same rows, whose quantity is of another type.
fn with_wide_quantity(rows: RecordBatch) -> RecordBatch {
    let at = rows.schema().index_of("quantity").unwrap();
    let mut columns = rows.columns().to_vec();
    columns[at] = cast(&columns[at], &DataType::Int64).unwrap();
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields[at] = fields[at].clone().with_data_type(DataType::Int64);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_folder_of_another_shard_is_found() {
    let sandbox = loaded().await;
    let log = sandbox.dir.path().join("tables/claims/patient/_delta_log");
    let log = log.join(format!("{:020}.json", 0));
    let text = std::fs::read_to_string(&log).unwrap();
    let told = text.replace(
        r#""partitionValues":{"shard":"1"}"#,
        r#""partitionValues":{"shard":"2"}"#,
    );
    assert_ne!(told, text);
    std::fs::write(&log, told).unwrap();
    let refused = verify_with(&sandbox, VerifyOptions::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("is logged in a shard that its path does not name"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_in_the_log_are_told() {
    let sandbox = Sandbox::local(2).await;
    sandbox.write_patients(&patients(50));
    sandbox.write_labels();
    sandbox.write_dispensings("1", &dispensings(50, 300, 1));
    sandbox.load().await.unwrap();
    let log = sandbox.dir.path().join("tables/claims/dispensing/_delta_log");
    let log = log.join(format!("{:020}.json", 0));
    let text = std::fs::read_to_string(&log).unwrap();
    // What a log in clear must not say, whether it is true or not.
    let told = text.replace(
        r#"{\"numRecords\":"#,
        r#"{\"minValues\":{\"quantity\":0},\"numRecords\":"#,
    );
    assert_ne!(told, text);
    std::fs::write(&log, told).unwrap();
    let report = verified(&sandbox).await;
    assert_eq!(faults(&report), [(FaultKind::Disclosure, None, None, 0); 2]);
    assert_eq!(report.faults[0].column.as_deref(), Some("quantity"));
}

/// Changes the newest line of a table's log that adds a file of `shard`.
fn edit_log(sandbox: &Sandbox, shard: &str, change: impl Fn(&mut serde_json::Value)) {
    let log = sandbox.dir.path().join("tables/claims/dispensing/_delta_log");
    let mut commits: Vec<PathBuf> = std::fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.sort();
    let commit = commits.last().unwrap();
    let mut changed = 0;
    let written = std::fs::read_to_string(commit).unwrap();
    let edited = written.lines().map(|line| {
        let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
        if action["add"]["partitionValues"]["shard"] == shard {
            change(&mut action["add"]);
            changed += 1;
        }
        format!("{action}\n")
    });
    let edited: String = edited.collect();
    assert_eq!(changed, 1);
    std::fs::write(commit, edited).unwrap();
}

/// A log says where each file's rows are, and is not encrypted.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_puts_files_elsewhere_is_refused() {
    type Edit = fn(&mut serde_json::Value);
    let edits: [(&str, Edit); 3] = [
        ("another shard", |add| add["partitionValues"]["shard"] = "2".into()),
        ("another folder", |add| {
            let path = add["path"].as_str().unwrap().replace("shard=0001", "shard=0001/deeper");
            add["path"] = path.into();
        }),
        ("another name", |add| {
            let path = add["path"].as_str().unwrap().replace("part-", "other-");
            add["path"] = path.into();
        }),
    ];
    for (kind, edit) in edits {
        let sandbox = loaded().await;
        edit_log(&sandbox, "1", edit);
        let opened = Snapshot::open(&sandbox.into, "claims", None, &sandbox.stores).await;
        let error = opened.err().unwrap_or_else(|| panic!("{kind} was served")).to_string();
        assert!(
            error.contains("is logged in a shard that its path does not name"),
            "{kind}: {error}"
        );
    }
}

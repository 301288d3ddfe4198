//! Files in the layouts of Open Damir, IR_BEN_R, Open Medic, PMSI exports and Athena vocabularies (`layouts.py`) load from
//! the descriptions in `tests/datasets`: every row of every table is read back from its encrypted files and held, types and
//! values, against what DuckDB reads in the sources (`layouts_oracle.py`).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::arrow::util::display::array_value_to_string;
use parcours_keys::{ColumnClass, Keyring, Unlock, create_key_file, ensure_dataset_keys};
use parcours_tables::Snapshot;
use parcours_tables::scan::{Grants, ScanKeys};
use parcours_tables::spec::Dataset;
use tempfile::TempDir;

use crate::sandbox::{Sandbox, python, query, rounds, seed};

type Row = Vec<Option<String>>;

#[tokio::test(flavor = "multi_thread")]
async fn open_damir_loads_whole() {
    compare("open_damir", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beneficiaries_load_whole() {
    compare("ir_ben_r", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_medic_loads_whole() {
    compare("open_medic", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_load_whole() {
    compare("pmsi_mco", 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vocabularies_load_whole() {
    compare("athena", 7).await;
}

/// One letter of one value is enough for a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_letter_is_seen() {
    let Some(files) = Files::make("pmsi_mco") else { return };
    let path = files.folder.path().join("pmsi_mco/annee=2021/T_MCO21D.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("E1190 ", "E1191 ", 1)).unwrap();
    let loaded = Loaded::from(&files).await;
    for table in &loaded.dataset.tables {
        let same = loaded.rows(&table.name).await == files.expected(&table.name);
        assert_eq!(same, table.name != "t_mco_d", "{}", table.name);
    }
}

async fn compare(dataset: &'static str, tables: usize) {
    let Some(files) = Files::make(dataset) else { return };
    let loaded = Loaded::from(&files).await;
    assert_eq!(loaded.dataset.tables.len(), tables);
    for table in &loaded.dataset.tables {
        let (found, expected) = (loaded.rows(&table.name).await, files.expected(&table.name));
        let at = format!("{dataset}.{}, seed {}", table.name, files.seed);
        assert_eq!(found.columns, expected.columns, "{at}");
        let first = found
            .rows
            .iter()
            .zip(&expected.rows)
            .find(|(ours, theirs)| ours != theirs);
        assert_eq!(first, None, "{at}");
        assert_eq!(found.rows.len(), expected.rows.len(), "{at}");
    }
}

/// A table: names and SQL types of its columns, and its rows in order.
#[derive(PartialEq)]
struct Contents {
    columns: Vec<(String, String)>,
    rows: Vec<Row>,
}

/// The sources of a dataset, and what DuckDB reads in them.
struct Files {
    folder: TempDir,
    dataset: &'static str,
    seed: String,
}

impl Files {
    /// Writes the files and reads them with DuckDB; nothing where there is no Python with it.
    fn make(dataset: &'static str) -> Option<Self> {
        let python = python("duckdb")?;
        let (folder, seed) = (tempfile::tempdir().unwrap(), seed());
        let at = folder.path().to_str().unwrap();
        run(&python, "layouts.py", &[at, &seed, &rounds(300).max(100).to_string()]);
        run(&python, "layouts_oracle.py", &[at, dataset]);
        Some(Self { folder, dataset, seed })
    }

    fn expected(&self, table: &str) -> Contents {
        let path = self.folder.path().join(format!("expected/{table}.jsonl"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        let columns = serde_json::from_str(lines.next().unwrap()).unwrap();
        let rows = lines.map(|line| serde_json::from_str(line).unwrap());
        Contents {
            columns,
            rows: sorted(rows.collect()),
        }
    }
}

fn run(python: &str, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The dataset, loaded from its description.
struct Loaded {
    sandbox: Sandbox,
    dataset: Dataset,
    snapshot: Snapshot,
    keys: ScanKeys,
}

impl Loaded {
    async fn from(files: &Files) -> Self {
        let path = format!("../../tests/datasets/{}.toml", files.dataset);
        let folder = files.folder.path().to_str().unwrap();
        let variables = |name: &str| (name == "PARCOURS_LAYOUTS").then(|| folder.to_owned());
        let dataset = Dataset::from_file_with(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &variables).unwrap();
        let sandbox = sandbox(&dataset).await;
        sandbox.load_dataset(&dataset).await.unwrap();
        let snapshot = Snapshot::open(&sandbox.into, &dataset.name, None, &sandbox.stores)
            .await
            .unwrap();
        let grants = Grants::none().with(&dataset.name, ColumnClass::ALL);
        let keys = sandbox.reading().keys(grants);
        Self {
            sandbox,
            dataset,
            snapshot,
            keys,
        }
    }

    async fn rows(&self, table: &str) -> Contents {
        let session = self.sandbox.session_at(&self.snapshot);
        let batches = query(&session, &self.keys, &format!("SELECT * FROM {table}"))
            .await
            .unwrap();
        let schema = self.snapshot.table(table).unwrap().schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), sql_type(field.data_type())));
        Contents {
            columns: columns.collect(),
            rows: sorted(batches.iter().flat_map(rows).collect()),
        }
    }
}

/// A sandbox with keys of this dataset.
async fn sandbox(dataset: &Dataset) -> Sandbox {
    let mut sandbox = Sandbox::local(dataset.shards as usize).await;
    let unlock = sandbox.dir.path().join("dataset.key");
    create_key_file(&unlock).unwrap();
    let keys = Keyring::create(sandbox.dir.path().join("dataset.ring"), Unlock::key_file(&unlock)).unwrap();
    ensure_dataset_keys(&keys, &dataset.name).await.unwrap();
    sandbox.keys = Arc::new(keys);
    sandbox
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let row = |row| batch.columns().iter().map(|column| text(column, row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// A value as `layouts_oracle.py` writes it; a floating-point number by its bits.
fn text(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Float64 => format!("{:016x}", column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Timestamp(..) => {
            let time = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row);
            time.unwrap().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
        }
        _ => array_value_to_string(column, row).unwrap(),
    })
}

/// What SQL calls a type.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        other => other.to_string(),
    }
}

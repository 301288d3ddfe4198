//! A place to load things: a temporary folder with generated sources, a keyring, stores, and the oracle (the rows that were
//! written into the sources, as text). Every test file uses its part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod faults;
mod inside;
mod keys;
pub mod service;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;
use parcours_keys::{CacheOptions, ColumnClass, KeyService, Keyring, Unlock, create_key_file, ensure_dataset_keys};
use parcours_tables::load::{LoadError, LoadOptions, LoadReport, load};
use parcours_tables::scan::{Grants, Reading, ScanKeys, open_for_reading};
use parcours_tables::spec::Dataset;
use parcours_tables::{Snapshot, SnapshotTable, Stores};
use url::Url;

/// Text found in every value of the class it names, so that files can be searched for it.
pub const MARKS: [&str; 4] = ["IDMARK", "QUASIMARK", "HEALTHMARK", "PLAINMARK"];

/// A dispensing: patient, day (days since 2015-01-01), code, quantity or NULL, place, note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dispensing {
    pub patient: String,
    pub day: i32,
    pub code: String,
    pub quantity: Option<i32>,
    pub place: String,
}

/// A patient: id, birth year, sex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Patient {
    pub id: String,
    pub born: i16,
    pub sex: String,
}

/// A repeatable generator of numbers.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

pub fn patient_id(number: u64) -> String {
    format!("{:08X}IDMARK", (number as u32).wrapping_mul(0x9E37_79B1))
}

pub fn patients(count: u64) -> Vec<Patient> {
    let mut dice = Dice::new(7);
    let one = |n| Patient {
        id: patient_id(n),
        born: 1920 + dice.roll(100) as i16,
        sex: format!("QUASIMARK{}", 1 + dice.roll(2)),
    };
    (0..count).map(one).collect()
}

pub fn dispensings(patients: u64, rows: u64, seed: u64) -> Vec<Dispensing> {
    let mut dice = Dice::new(seed);
    let one = |_| Dispensing {
        patient: patient_id(dice.roll(patients)),
        day: dice.roll(3000) as i32,
        code: format!("HEALTHMARK{:03}", dice.roll(200)),
        quantity: (dice.roll(10) > 0).then(|| dice.roll(90) as i32),
        place: format!("PLAINMARK{:02}", dice.roll(95)),
    };
    (0..rows).map(one).collect()
}

/// The day as a CSV writes it.
fn date(day: i32) -> String {
    let start = chrono::NaiveDate::from_ymd_opt(2015, 1, 1).unwrap();
    (start + chrono::TimeDelta::days(day.into())).to_string()
}

/// A dispensing as `SELECT *` shows it.
pub fn shown(row: &Dispensing) -> String {
    let quantity = row.quantity.map(|q| q.to_string()).unwrap_or_default();
    format!(
        "{}|{}|{}|{quantity}|{}",
        row.patient,
        date(row.day),
        row.code,
        row.place
    )
}

pub fn shown_sorted(rows: &[Dispensing]) -> Vec<String> {
    let mut shown: Vec<String> = rows.iter().map(shown).collect();
    shown.sort();
    shown
}

pub struct Sandbox {
    pub dir: tempfile::TempDir,
    pub stores: Arc<Stores>,
    pub into: Url,
    pub keys: Arc<dyn KeyService>,
    pub shards: usize,
}

impl Sandbox {
    /// Datasets in a local folder.
    pub async fn local(shards: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let into = Url::from_file_path(dir.path().join("tables")).unwrap();
        Self::with(dir, into, Arc::new(Stores::default()), shards).await
    }

    /// Datasets in `store`, which `memory://data/` names.
    pub async fn on(store: Arc<dyn ObjectStore>, shards: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let into = Url::parse("memory://data/tables").unwrap();
        let stores = Stores::default().with_store(&into, store);
        Self::with(dir, into, Arc::new(stores), shards).await
    }

    async fn with(dir: tempfile::TempDir, into: Url, stores: Arc<Stores>, shards: usize) -> Self {
        let unlock = dir.path().join("keys.key");
        create_key_file(&unlock).unwrap();
        let keys = Keyring::create(dir.path().join("keys.ring"), Unlock::key_file(&unlock)).unwrap();
        ensure_dataset_keys(&keys, "claims").await.unwrap();
        std::fs::create_dir_all(dir.path().join("sources")).unwrap();
        Self {
            dir,
            stores,
            into,
            keys: Arc::new(keys),
            shards,
        }
    }

    pub fn sources(&self) -> PathBuf {
        self.dir.path().join("sources")
    }

    pub fn write_patients(&self, rows: &[Patient]) {
        let mut text = "id,born,sex\n".to_string();
        for row in rows {
            writeln!(text, "{},{},{}", row.id, row.born, row.sex).unwrap();
        }
        std::fs::write(self.sources().join("patient-1.csv"), text).unwrap();
    }

    pub fn write_dispensings(&self, name: &str, rows: &[Dispensing]) {
        let mut text = "patient,day,code,quantity,place\n".to_string();
        for row in rows {
            let quantity = row.quantity.map(|q| q.to_string()).unwrap_or_default();
            writeln!(
                text,
                "{},{},{},{quantity},{}",
                row.patient,
                date(row.day),
                row.code,
                row.place
            )
            .unwrap();
        }
        std::fs::write(self.sources().join(format!("dispensing-{name}.csv")), text).unwrap();
    }

    pub fn write_labels(&self) {
        let mut text = "code,label\n".to_string();
        for code in 0..200 {
            writeln!(text, "HEALTHMARK{code:03},label {code}").unwrap();
        }
        std::fs::write(self.sources().join("label-1.csv"), text).unwrap();
    }

    pub fn description(&self) -> String {
        format!(
            r#"
name = "claims"
patient_id = "patient"
shards = {shards}

[[tables]]
name = "patient"
sources = ["{sources}/patient-*.csv"]
order = []
columns = [
  {{ name = "patient", from = "id", class = "identity", type = "utf8" }},
  {{ name = "born", class = "quasi", type = "int16" }},
  {{ name = "sex", class = "quasi", type = "utf8" }},
]

[[tables]]
name = "dispensing"
sources = ["{sources}/dispensing-*.csv"]
order = ["day"]
columns = [
  {{ name = "patient", class = "identity", type = "utf8" }},
  {{ name = "day", class = "quasi", type = "date32" }},
  {{ name = "code", class = "health", type = "utf8" }},
  {{ name = "quantity", class = "health", type = "int32" }},
  {{ name = "place", class = "plain", type = "utf8" }},
]

[[tables]]
name = "label"
sharded = false
sources = ["{sources}/label-*.csv"]
columns = [
  {{ name = "code", class = "plain", type = "utf8" }},
  {{ name = "label", class = "plain", type = "utf8" }},
]
"#,
            shards = self.shards,
            sources = self.sources().display()
        )
    }

    pub fn dataset(&self) -> Dataset {
        Dataset::parse(&self.description(), self.dir.path(), &|_| None).unwrap()
    }

    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            spill_dir: self.dir.path().join("spill"),
            ..LoadOptions::default()
        }
    }

    pub async fn load(&self) -> Result<LoadReport, LoadError> {
        self.load_with(&self.options()).await
    }

    pub async fn load_with(&self, options: &LoadOptions) -> Result<LoadReport, LoadError> {
        load(&self.dataset(), &self.into, &self.stores, &self.keys, options).await
    }

    /// Loads by another description than the sandbox's own.
    pub async fn load_dataset(&self, dataset: &Dataset) -> Result<LoadReport, LoadError> {
        load(dataset, &self.into, &self.stores, &self.keys, &self.options()).await
    }

    pub async fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.into, "claims", None, &self.stores).await.unwrap()
    }

    /// A session over the newest version, planned without a key.
    pub async fn session(&self) -> SessionContext {
        self.session_at(&self.snapshot().await)
    }

    pub fn session_at(&self, snapshot: &Snapshot) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(self.shards);
        config.options_mut().execution.parquet.pushdown_filters = true;
        let session = SessionContext::new_with_config(config);
        self.stores.register(&self.into, &session.runtime_env()).unwrap();
        for table in snapshot.tables() {
            session
                .register_table(table.name(), Arc::new(SnapshotTable::new(Arc::clone(table))))
                .unwrap();
        }
        session
    }

    pub fn reading(&self) -> Reading {
        self.reading_with(Arc::clone(&self.keys))
    }

    pub fn reading_with(&self, keys: Arc<dyn KeyService>) -> Reading {
        Reading::new(keys, Arc::clone(&self.stores), CacheOptions::default(), 64 << 20)
    }

    /// Every dispensing of the newest version, as text, sorted.
    pub async fn dispensings(&self) -> Vec<String> {
        let session = self.session().await;
        let keys = self.reading().keys(all_granted());
        let mut shown = lines(&query(&session, &keys, "SELECT * FROM dispensing").await.unwrap());
        shown.sort();
        shown
    }

    /// Paths of all files under the datasets' local folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.dir.path().join("tables"), &mut found);
        found.sort();
        found
    }

    pub fn data_files(&self, table: &str) -> Vec<PathBuf> {
        let inside = format!("/{table}/");
        let wanted = |path: &PathBuf| {
            let text = path.to_string_lossy();
            text.contains(&inside) && text.ends_with(".parquet")
        };
        self.files().into_iter().filter(wanted).collect()
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found)
        } else {
            found.push(path)
        }
    }
}

/// A Python that has these modules; none where there is none, which with `CI=true` is a failure.
pub fn python(modules: &str) -> Option<String> {
    let python = std::env::var("PARCOURS_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let probe = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let ci = std::env::var("CI").as_deref() == Ok("true");
    assert!(!ci, "CI needs PARCOURS_PYTHON with {modules}");
    eprintln!("SKIPPED: no Python with {modules}, set PARCOURS_PYTHON");
    None
}

/// What random values and conditions are made from: `PARCOURS_SEED`, or the commit, so that each has others.
pub fn seed() -> String {
    let commit = || {
        let git = Command::new("git")
            .args(["rev-parse", "--short=12", "HEAD"])
            .output()
            .ok()?;
        let commit = String::from_utf8(git.stdout).ok()?;
        git.status.success().then(|| commit.trim().to_owned())
    };
    let said = std::env::var("PARCOURS_SEED").ok().filter(|seed| !seed.is_empty());
    said.or_else(commit).unwrap_or_else(|| "no commit".to_owned())
}

/// How many of them there are: `PARCOURS_ROUNDS`, or so many.
pub fn rounds(usual: usize) -> usize {
    std::env::var("PARCOURS_ROUNDS").map_or(usual, |rounds| rounds.parse().unwrap())
}

pub fn all_granted() -> Grants {
    Grants::none().with("claims", ColumnClass::ALL)
}

/// A sandbox with 300 patients and 5,000 dispensings, loaded, and these dispensings.
pub async fn loaded(shards: usize) -> (Sandbox, Vec<Dispensing>) {
    let sandbox = Sandbox::local(shards).await;
    let rows = dispensings(300, 5_000, 1);
    sandbox.write_patients(&patients(300));
    sandbox.write_dispensings("1", &rows);
    sandbox.write_labels();
    sandbox.load().await.unwrap();
    (sandbox, rows)
}

pub async fn plan(session: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    session.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

/// Plans without a key, opens with `keys`, runs.
pub async fn query(session: &SessionContext, keys: &ScanKeys, sql: &str) -> DataFusionResult<Vec<RecordBatch>> {
    let planned = plan(session, sql).await;
    let opened = open_for_reading(planned, keys)?;
    collect(opened, session.task_ctx()).await
}

/// Rows as text, columns joined by `|`, NULL as nothing.
pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| match column.is_null(row) {
                true => String::new(),
                false => array_value_to_string(column, row).unwrap(),
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

/// How many nodes of the plan have this name.
pub fn count_nodes(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let mut found = 0;
    plan.apply(|node| {
        found += usize::from(node.name() == name);
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found
}

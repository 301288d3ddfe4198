//! Verifying: whether the files of a dataset are what its log and its description promise, row by row. Planning trusts the
//! layout and checks nothing, so that a misplaced row, one out of order or one without a patient id gives wrong answers
//! without an error. This finds it, and names the place: file, row group, row and kind of fault, and never a value.
//!
//! Every column of every row is decrypted. Files are read side by side as streams; of each, the encoded row group that is
//! being read and one batch of its rows are in memory. Nothing is written.

mod disclosed;
mod file;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::runtime::SpawnedTask;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use parcours_keys::{ColumnClass, KeyError, KeyService};
use url::Url;

use crate::load::{NoProgress, Progress, Step};
use crate::reread::scan_keys;
use crate::scan::ScanKeys;
use crate::snapshot::{DataFile, DatasetRoot, Snapshot, SnapshotError, TableSnapshot};
use crate::store::Stores;

use file::FileCheck;
pub use report::{Fault, FaultKind, Verified, VerifiedTable};

/// Why a dataset could not be verified. That its files have faults is no error: [`Verified::faults`] tells them.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The dataset, or the version, cannot be read from its logs.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The dataset has no such table.
    #[error("dataset {dataset} has no table {table}")]
    NoTable {
        /// The dataset.
        dataset: String,
        /// The table asked for.
        table: String,
    },
    /// The key service does not answer, whichever file is concerned.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("object store at {path}: {source}, verify again")]
    Store {
        /// The file that was being read.
        path: Path,
        /// The store's error.
        source: object_store::Error,
    },
    /// A check itself came to nothing.
    #[error("data file {path} could not be checked: {reason}")]
    Broken {
        /// The file.
        path: Path,
        /// What happened; no value.
        reason: String,
    },
}

/// How a dataset is verified.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The version of the dataset; by default the newest.
    pub version: Option<u64>,
    /// The tables; empty, as by default, means all.
    pub tables: Vec<String>,
    /// Files read side by side, at least 1; by default the processors, at most 4.
    pub parallel: usize,
    /// Hears how far it is: [`Step::Table`] and the bytes of files read.
    pub progress: Arc<dyn Progress>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            version: None,
            tables: Vec::new(),
            parallel: processors.min(4),
            progress: Arc::new(NoProgress),
        }
    }
}

/// Verifies one version of `dataset` inside `into`.
///
/// # Errors
/// [`VerifyError`] where the logs, the key service or the store fail; faults of files are in the report.
pub async fn verify(
    into: &Url,
    dataset: &str,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    options: &VerifyOptions,
) -> Result<Verified, VerifyError> {
    let snapshot = Snapshot::open(into, dataset, options.version, stores).await?;
    let verification = Verification {
        root: DatasetRoot::new(into, dataset, stores)?,
        keys: scan_keys(dataset, stores, keys, ColumnClass::ALL),
        options,
    };
    let mut verified = Verified {
        dataset: dataset.to_owned(),
        version: snapshot.version(),
        tables: Vec::new(),
        faults: Vec::new(),
    };
    for table in chosen(&snapshot, &options.tables)? {
        let (table, faults) = verification.table(table).await?;
        verified.tables.push(table);
        verified.faults.extend(faults);
    }
    Ok(verified)
}

fn chosen<'a>(snapshot: &'a Snapshot, names: &[String]) -> Result<Vec<&'a Arc<TableSnapshot>>, VerifyError> {
    if names.is_empty() {
        return Ok(snapshot.all_tables().collect());
    }
    let find = |name: &String| {
        let unknown = || VerifyError::NoTable {
            dataset: snapshot.dataset().to_owned(),
            table: name.clone(),
        };
        snapshot.table(name).ok_or_else(unknown)
    };
    names.iter().map(find).collect()
}

struct Verification<'a> {
    root: DatasetRoot,
    keys: ScanKeys,
    options: &'a VerifyOptions,
}

impl Verification<'_> {
    async fn table(&self, table: &Arc<TableSnapshot>) -> Result<(VerifiedTable, Vec<Fault>), VerifyError> {
        let progress = &self.options.progress;
        progress.step(&Step::Table {
            name: table.name().to_owned(),
            bytes: table.bytes(),
        });
        let read = AtomicU64::new(0);
        // Boxed, so that whoever waits for this in a task of its own may.
        let checks = table
            .files()
            .iter()
            .map(|file| self.counted(table, file, &read).boxed());
        let checks: Vec<BoxFuture<'_, _>> = checks.collect();
        let parallel = self.options.parallel.max(1);
        let checked: Vec<(u64, Vec<Fault>)> = stream::iter(checks).buffered(parallel).try_collect().await?;
        let rows = checked.iter().map(|(rows, _)| rows).sum();
        let verified = VerifiedTable {
            name: table.name().to_owned(),
            files: table.files().len(),
            rows,
            bytes: table.bytes(),
        };
        Ok((verified, checked.into_iter().flat_map(|(_, faults)| faults).collect()))
    }

    /// Checks one file and tells its bytes.
    async fn counted(
        &self,
        table: &Arc<TableSnapshot>,
        file: &DataFile,
        read: &AtomicU64,
    ) -> Result<(u64, Vec<Fault>), VerifyError> {
        let checked = self.check(table, file).await?;
        let before = read.fetch_add(file.size(), Ordering::Relaxed);
        self.options.progress.read(before + file.size());
        Ok(checked)
    }

    /// Checks one file in a task of its own, so that several are decoded at once; dropped, it ends.
    async fn check(&self, table: &Arc<TableSnapshot>, file: &DataFile) -> Result<(u64, Vec<Fault>), VerifyError> {
        let check = FileCheck::new(table, file, &self.keys, &self.root.store);
        let done = SpawnedTask::spawn(check.run()).join().await;
        done.unwrap_or_else(|error| {
            Err(VerifyError::Broken {
                path: file.path().clone(),
                reason: if error.is_panic() {
                    "it panicked"
                } else {
                    "it was stopped"
                }
                .to_owned(),
            })
        })
    }
}

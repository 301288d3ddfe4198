//! One version of a dataset as readers see it: schemas with classes, split points, files by shard. It comes from the
//! dataset version log and the Delta logs alone: no key is needed and no data file is opened. `describe.rs` puts the same
//! into words, `crate::provider` makes a SQL table of it.

mod catalog;
mod describe;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectStore};
use url::Url;

use crate::delta::{DeltaError, DeltaLog};
use crate::load::is_of_loads;
use crate::splits::{SplitError, Splits};
use crate::store::{StoreError, Stores, join_url, sync};
use crate::version::{DatasetVersion, TableVersion, VersionError, VersionLog};

pub use catalog::Catalog;
pub use describe::{ColumnDescription, DatasetDescription, HistoryEntry, TableDescription};
pub(crate) use table::loads_of;
pub use table::{DataFile, TableSnapshot, class_of};

/// Why a snapshot cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Nothing was ever loaded there.
    #[error("dataset {dataset} has no version at {location}, load it first")]
    NoDataset {
        /// The dataset asked for.
        dataset: String,
        /// The folder of datasets.
        location: String,
    },
    /// The version asked for does not exist.
    #[error("dataset {dataset} has no version {version}, its latest is {latest}")]
    NoVersion {
        /// The dataset.
        dataset: String,
        /// The version asked for.
        version: u64,
        /// The newest one there is.
        latest: u64,
    },
    /// The name cannot be a dataset's.
    #[error("dataset name {dataset:?} is not usable, use letters, digits, _ and -")]
    Name {
        /// The name asked for.
        dataset: String,
    },
    /// A table's log and the dataset version disagree.
    #[error("table {table} of dataset {dataset} is not as version {version} says: {reason}")]
    Inconsistent {
        /// The dataset.
        dataset: String,
        /// The version.
        version: u64,
        /// The table.
        table: String,
        /// What differs.
        reason: String,
    },
    /// The split points of the version file are not valid.
    #[error("dataset {dataset} version {version}: {source}")]
    Splits {
        /// The dataset.
        dataset: String,
        /// The version.
        version: u64,
        /// What is wrong with them.
        source: SplitError,
    },
    /// The location cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dataset version log cannot be read.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A Delta log cannot be read.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// A dataset at one version.
#[derive(Clone)]
pub struct Snapshot {
    root: DatasetRoot,
    record: Arc<DatasetVersion>,
    splits: Arc<Splits>,
    tables: BTreeMap<String, Arc<TableSnapshot>>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<&String> = self.tables.keys().collect();
        f.debug_struct("Snapshot")
            .field("dataset", &self.dataset())
            .field("version", &self.version())
            .field("tables", &tables)
            .finish()
    }
}

impl Snapshot {
    /// Opens `dataset` inside the folder `into`, at `version` or at its newest.
    pub async fn open(into: &Url, dataset: &str, version: Option<u64>, stores: &Stores) -> Result<Self, SnapshotError> {
        let root = DatasetRoot::new(into, dataset, stores)?;
        let record = root.resolve(version).await?;
        Self::assemble(root, record, stores).await
    }

    async fn assemble(root: DatasetRoot, record: DatasetVersion, stores: &Stores) -> Result<Self, SnapshotError> {
        let splits = record.splits.read().map_err(|source| SnapshotError::Splits {
            dataset: root.dataset.clone(),
            version: record.version,
            source,
        })?;
        let splits = Arc::new(splits);
        let name = stores.object_store_url(&root.url)?;
        let opening = record.tables.iter().map(|(table, entry)| {
            let (root, record, splits, name) = (&root, &record, &splits, &name);
            async move {
                table::open(root, record, table, entry, splits, name)
                    .await
                    .map(Arc::new)
            }
        });
        let opened = try_join_all(opening).await?;
        let tables = opened
            .into_iter()
            .map(|table| (table.name().to_string(), table))
            .collect();
        Ok(Self {
            root,
            record: Arc::new(record),
            splits,
            tables,
        })
    }

    /// Name of the dataset.
    pub fn dataset(&self) -> &str {
        &self.root.dataset
    }

    /// Number of this version, from 1.
    pub fn version(&self) -> u64 {
        self.record.version
    }

    /// When this version was loaded.
    pub fn created(&self) -> DateTime<Utc> {
        self.record.created
    }

    /// The patient id column of the sharded tables.
    pub fn patient_id(&self) -> &str {
        &self.record.patient_id
    }

    /// The split points all sharded tables share.
    pub fn splits(&self) -> &Splits {
        &self.splits
    }

    /// Number of shards; also the right `target_partitions` of sessions that read this dataset.
    pub fn shards(&self) -> usize {
        self.splits.shards()
    }

    /// SHA-256 of schemas, classes and orders, lowercase hexadecimal.
    pub fn schema_digest(&self) -> &str {
        &self.record.schema_digest
    }

    /// The tables that were described, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        self.tables.values().filter(|table| !is_of_loads(table.name()))
    }

    /// The tables, by name, and those that loads keep of themselves.
    pub(crate) fn all_tables(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        self.tables.values()
    }

    /// One table.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSnapshot>> {
        self.tables.get(name)
    }

    /// The version file behind this snapshot.
    pub(crate) fn record(&self) -> &DatasetVersion {
        &self.record
    }

    /// Whether no newer version exists: one small request, to be called by whoever caches snapshots.
    pub async fn is_current(&self) -> Result<bool, SnapshotError> {
        Ok(!self.root.log().exists(self.version() + 1).await?)
    }
}

/// The newest version of a dataset; none if nothing was ever loaded.
pub async fn latest_version(into: &Url, dataset: &str, stores: &Stores) -> Result<Option<u64>, SnapshotError> {
    Ok(DatasetRoot::new(into, dataset, stores)?.log().latest().await?)
}

/// The folder of one dataset.
#[derive(Debug, Clone)]
pub(crate) struct DatasetRoot {
    pub(crate) dataset: String,
    pub(crate) url: Url,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
}

impl DatasetRoot {
    pub(crate) fn new(into: &Url, dataset: &str, stores: &Stores) -> Result<Self, SnapshotError> {
        if !is_plain_name(dataset) {
            return Err(SnapshotError::Name {
                dataset: dataset.to_string(),
            });
        }
        let url = join_url(into, &[dataset]);
        let (store, path) = stores.resolve(&url)?;
        Ok(Self {
            dataset: dataset.to_string(),
            url,
            store,
            path,
        })
    }

    pub(crate) fn log(&self) -> VersionLog<'_> {
        VersionLog::new(self.store.as_ref(), &self.path)
    }

    pub(crate) fn table_path(&self, table: &str) -> Path {
        self.path.clone().join(table)
    }

    /// Makes a file that was just written survive a power cut.
    pub(crate) async fn sync(&self, path: &Path) -> Result<(), VersionError> {
        let failed = |e| StoreFailure::Generic {
            store: "local",
            source: Box::new(e),
        };
        let synced = sync(&self.url, path).await.map_err(failed);
        synced.map_err(|source| VersionError::Store {
            path: path.clone(),
            source,
        })
    }

    pub(crate) fn delta(&self, table: &str) -> DeltaLog {
        let url = join_url(&self.url, &[table]);
        DeltaLog::new(table, Arc::clone(&self.store), &self.table_path(table), &url)
    }

    /// The version file of `version`, or of the newest.
    pub(crate) async fn resolve(&self, version: Option<u64>) -> Result<DatasetVersion, SnapshotError> {
        let log = self.log();
        let none = || SnapshotError::NoDataset {
            dataset: self.dataset.clone(),
            location: self.url.to_string(),
        };
        let wanted = match version {
            Some(version) => version,
            None => log.latest().await?.ok_or_else(none)?,
        };
        if let Some(record) = log.read(wanted).await? {
            return Ok(record);
        }
        let latest = log.latest().await?.ok_or_else(none)?;
        Err(SnapshotError::NoVersion {
            dataset: self.dataset.clone(),
            version: wanted,
            latest,
        })
    }

    pub(crate) fn inconsistent(&self, version: u64, table: &str, reason: impl Into<String>) -> SnapshotError {
        SnapshotError::Inconsistent {
            dataset: self.dataset.clone(),
            version,
            table: table.to_string(),
            reason: reason.into(),
        }
    }
}

/// Names become folders: nothing in them may climb out of one.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && !name.starts_with(['_', '-']) && name.chars().all(plain)
}

/// Rows, bytes and files of a table must be what the version file says.
fn check_totals(
    root: &DatasetRoot,
    version: u64,
    name: &str,
    entry: &TableVersion,
    files: &[DataFile],
) -> Result<(), SnapshotError> {
    let rows: u64 = files.iter().map(DataFile::rows).sum();
    let bytes: u64 = files.iter().map(DataFile::size).sum();
    if (rows, bytes, files.len() as u64) != (entry.rows, entry.bytes, entry.files) {
        let found = format!("{} files, {rows} rows, {bytes} bytes", files.len());
        let said = format!("{} files, {} rows, {} bytes", entry.files, entry.rows, entry.bytes);
        return Err(root.inconsistent(version, name, format!("the log has {found} where {said} were loaded")));
    }
    Ok(())
}

//! The dataset version log: `<dataset>/_versions/%020d.json`, created once and never changed. Creating a file here is
//! what makes a load visible: it names each table's exact Delta version, so several tables appear at once or not at all.
//! Readers resolve only what a version names; Delta commits that no version names are invisible.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::SourcePrint;
use crate::splits::{SplitError, Splits};

/// The folder of the log inside a dataset's folder.
pub(crate) const VERSIONS_FOLDER: &str = "_versions";

/// The layout of these files; another number is refused.
const FORMAT: u32 = 1;

/// Why the dataset version log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The object store failed.
    #[error("dataset version log at {path}: {source}")]
    Store {
        /// The object concerned.
        path: Path,
        /// The store's error.
        source: StoreFailure,
    },
    /// The file is not one of ours.
    #[error("dataset version file {path} is not readable: {reason}")]
    Malformed {
        /// The file.
        path: Path,
        /// What is wrong with it.
        reason: String,
    },
    /// Someone else created this version first.
    #[error("version {version} of the dataset was created by another load meanwhile, run the load again")]
    Taken {
        /// The version that both wanted.
        version: u64,
    },
}

/// One version of a dataset: everything a reader must know to find exactly its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetVersion {
    /// Layout of this file, 1 today.
    pub format: u32,
    /// Number of this version, from 1.
    pub version: u64,
    /// The version it was built on; none for the first.
    pub previous: Option<u64>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// Name of the dataset.
    pub dataset: String,
    /// The patient id column of its sharded tables.
    pub patient_id: String,
    /// Number of shards.
    pub shards: usize,
    /// The split points and their version.
    pub splits: SplitSet,
    /// SHA-256 of the tables' schemas, classes and orders, lowercase hexadecimal.
    pub schema_digest: String,
    /// The tables by name.
    pub tables: BTreeMap<String, TableVersion>,
}

/// The split points as they are written down.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSet {
    /// Version of the split set.
    pub version: u32,
    /// Arrow type of the patient id.
    pub data_type: String,
    /// Strings, numbers, or hexadecimal strings for binary ids.
    pub points: Vec<Value>,
}

impl std::fmt::Debug for SplitSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SplitSet {{ version: {}, {} points of {} }}",
            self.version,
            self.points.len(),
            self.data_type
        )
    }
}

/// One table inside a dataset version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableVersion {
    /// The Delta version that holds exactly this version's files; none while the table has no file.
    pub delta_version: u64,
    /// Whether the table is spread over shards by patient.
    pub sharded: bool,
    /// Columns that follow the patient id in the order of rows.
    pub order: Vec<String>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Every source loaded so far.
    pub sources: Vec<SourceRecord>,
    /// How sources were read, by the digests that stand with them: what the description said of values (see
    /// [`crate::spec::Reading`]). Of tables loaded before this was kept, nothing is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readings: BTreeMap<String, Value>,
}

/// Where a table's rows come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Origin {
    pub(crate) sources: Vec<SourceRecord>,
    pub(crate) readings: BTreeMap<String, Value>,
}

impl TableVersion {
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            sources: self.sources.clone(),
            readings: self.readings.clone(),
        }
    }
}

impl Origin {
    /// The same without these sources.
    pub(crate) fn without(&self, gone: impl Fn(&SourceRecord) -> bool) -> Self {
        let kept = self.sources.iter().filter(|record| !gone(record));
        let sources: Vec<SourceRecord> = kept.cloned().collect();
        let read = |reading: &&String| sources.iter().any(|record| record.reading.as_ref() == Some(*reading));
        let readings = self.readings.iter().filter(|(digest, _)| read(digest));
        Self {
            readings: readings
                .map(|(digest, reading)| (digest.clone(), reading.clone()))
                .collect(),
            sources,
        }
    }
}

/// A source that was loaded, so that it is never loaded twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// Where it was read from.
    pub path: String,
    /// SHA-256 of its bytes, lowercase hexadecimal.
    pub sha256: String,
    /// The folders that columns come from, see [`SourcePrint`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// The dataset version that brought it in.
    pub version: u64,
    /// The digest of how it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<String>,
    /// Its rows that were set aside as bad.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected: u64,
}

impl SourceRecord {
    /// Whether a source is what was loaded.
    pub(crate) fn is_of(&self, print: &SourcePrint) -> bool {
        self.sha256 == print.sha256 && self.folders == print.folders
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SplitSet {
    pub(crate) fn of(splits: &Splits) -> Self {
        Self {
            version: splits.version(),
            data_type: splits.data_type().to_string(),
            points: splits.points_to_json(),
        }
    }

    pub(crate) fn read(&self) -> Result<Splits, SplitError> {
        let data_type = parse_type(&self.data_type).unwrap_or(DataType::Null);
        Splits::from_json(self.version, data_type, &self.points)
    }
}

/// Reads an Arrow type as `Display` writes it.
pub(crate) fn parse_type(text: &str) -> Option<DataType> {
    text.parse().ok()
}

/// The log of one dataset, whose folder is `root` in `store`.
#[derive(Debug, Clone)]
pub(crate) struct VersionLog<'a> {
    store: &'a dyn ObjectStore,
    folder: Path,
}

impl<'a> VersionLog<'a> {
    pub(crate) fn new(store: &'a dyn ObjectStore, dataset_root: &Path) -> Self {
        Self {
            store,
            folder: dataset_root.clone().join(VERSIONS_FOLDER),
        }
    }

    /// The file of `version`.
    pub(crate) fn path(&self, version: u64) -> Path {
        self.folder.clone().join(format!("{version:020}.json"))
    }

    /// All version numbers, ascending.
    pub(crate) async fn list(&self) -> Result<Vec<u64>, VersionError> {
        let listed: Vec<_> = self
            .store
            .list(Some(&self.folder))
            .try_collect()
            .await
            .map_err(|e| self.failed(e))?;
        let mut versions: Vec<u64> = listed.iter().filter_map(|meta| version_of(&meta.location)).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The newest version; none when nothing was ever loaded.
    pub(crate) async fn latest(&self) -> Result<Option<u64>, VersionError> {
        Ok(self.list().await?.last().copied())
    }

    /// Whether `version` exists: one cheap request.
    pub(crate) async fn exists(&self, version: u64) -> Result<bool, VersionError> {
        let path = self.path(version);
        match self.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(StoreFailure::NotFound { .. }) => Ok(false),
            Err(source) => Err(VersionError::Store { path, source }),
        }
    }

    /// Reads one version; none if it does not exist.
    pub(crate) async fn read(&self, version: u64) -> Result<Option<DatasetVersion>, VersionError> {
        let path = self.path(version);
        let bytes = match self.store.get(&path).await {
            Ok(found) => found.bytes().await,
            Err(StoreFailure::NotFound { .. }) => return Ok(None),
            Err(source) => Err(source),
        };
        let bytes = bytes.map_err(|source| VersionError::Store {
            path: path.clone(),
            source,
        })?;
        let malformed = |reason: String| VersionError::Malformed {
            path: path.clone(),
            reason,
        };
        let read: DatasetVersion = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        if read.format != FORMAT {
            return Err(malformed(format!(
                "its format is {}, this build reads {FORMAT}",
                read.format
            )));
        }
        if read.version != version {
            return Err(malformed(format!("it says that it is version {}", read.version)));
        }
        Ok(Some(read))
    }

    /// Creates `version`. Exactly one of several concurrent creators succeeds.
    pub(crate) async fn create(&self, version: &DatasetVersion) -> Result<(), VersionError> {
        let path = self.path(version.version);
        let malformed = |e: serde_json::Error| VersionError::Malformed {
            path: path.clone(),
            reason: e.to_string(),
        };
        let bytes = serde_json::to_vec_pretty(version).map_err(malformed)?;
        let create = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .store
            .put_opts(&path, PutPayload::from(bytes.clone()), create)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => self.settle(version.version, &bytes, error).await,
        }
    }

    /// After a failed create: a retried request can meet its own first attempt, so the file itself decides.
    async fn settle(&self, version: u64, ours: &[u8], error: StoreFailure) -> Result<(), VersionError> {
        let path = self.path(version);
        let found = match self.store.get(&path).await {
            Ok(found) => found.bytes().await.ok(),
            Err(_) => None,
        };
        match found {
            Some(bytes) if bytes.as_ref() == ours => Ok(()),
            Some(_) => Err(VersionError::Taken { version }),
            None => Err(VersionError::Store { path, source: error }),
        }
    }

    fn failed(&self, source: StoreFailure) -> VersionError {
        VersionError::Store {
            path: self.folder.clone(),
            source,
        }
    }
}

fn version_of(path: &Path) -> Option<u64> {
    let name = path.filename()?.strip_suffix(".json")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

/// The layout number written into new files.
pub(crate) const fn format() -> u32 {
    FORMAT
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn version(number: u64) -> DatasetVersion {
        DatasetVersion {
            format: FORMAT,
            version: number,
            previous: number.checked_sub(1).filter(|p| *p > 0),
            created: Utc::now(),
            dataset: "claims".to_string(),
            patient_id: "id".to_string(),
            shards: 1,
            splits: SplitSet {
                version: 1,
                data_type: "Utf8".to_string(),
                points: vec![],
            },
            schema_digest: String::new(),
            tables: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_version_is_created_once() {
        let store = InMemory::new();
        let log = VersionLog::new(&store, &Path::from("d"));
        assert_eq!(log.latest().await.unwrap(), None);
        let first = version(1);
        log.create(&first).await.unwrap();
        assert!(matches!(
            log.create(&version(1)).await,
            Err(VersionError::Taken { version: 1 })
        ));
        assert_eq!(log.read(1).await.unwrap(), Some(first));
        assert_eq!(log.read(2).await.unwrap(), None);
        assert!(log.exists(1).await.unwrap() && !log.exists(2).await.unwrap());
    }

    #[tokio::test]
    async fn a_file_of_another_format_is_refused() {
        let store = InMemory::new();
        let log = VersionLog::new(&store, &Path::from("d"));
        log.create(&DatasetVersion {
            format: 9,
            ..version(1)
        })
        .await
        .unwrap();
        assert!(matches!(log.read(1).await, Err(VersionError::Malformed { .. })));
    }

    #[test]
    fn every_type_of_id_survives_its_name() {
        use arrow::datatypes::DataType::*;
        for data_type in [Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, Int8, Int64, UInt64] {
            assert_eq!(parse_type(&data_type.to_string()), Some(data_type));
        }
    }
}

//! The Delta log of one table: reads the files of an exact version, and commits the difference between what the log's tip
//! says and what the next version must hold. Never rebases on someone else's commit and never cleans up or checkpoints
//! the log, because dataset versions refer to exact Delta versions. Which version counts is `version.rs`'s affair.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::Utc;
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake::kernel::{Action, Add, MetadataExt, Protocol, Remove, StructType, new_metadata};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreFailure, ObjectStore};
use serde_json::json;
use url::Url;

use crate::version::parse_type;

/// The partition column of sharded tables, in the Delta schema and never in the files.
pub(crate) const SHARD_COLUMN: &str = "shard";
/// Field metadata: the class of a column.
pub const CLASS_METADATA: &str = "parcours.class";
/// Field metadata: the Arrow type of a column, where Delta's own types are coarser.
const TYPE_METADATA: &str = "parcours.type";
/// File tag: the loads that brought a file's rows, such as `3,7`.
const LOADS_TAG: &str = "parcours.loads";
/// Stands in file statistics for the number of rows.
pub(crate) const ROWS: &str = "numRecords";

/// Why a Delta log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// Another writer committed to this table since it was read.
    #[error("table {table} was changed by another load meanwhile, run the load again")]
    Changed {
        /// The table.
        table: String,
    },
    /// The log holds something that we did not write.
    #[error("delta log of table {table} is not one of ours: {reason}")]
    Foreign {
        /// The table.
        table: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The delta library or the store below it failed.
    #[error("delta log of table {table}: {source}")]
    Log {
        /// The table.
        table: String,
        /// Its error.
        source: Box<DeltaTableError>,
    },
}

/// A data file as the log records it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoggedFile {
    /// Path inside the table's folder, for instance `shard=0003/part-….parquet`.
    pub(crate) path: String,
    pub(crate) shard: Option<usize>,
    pub(crate) size: u64,
    pub(crate) rows: u64,
    /// Statistics as JSON, without values of sensitive columns.
    pub(crate) stats: String,
    /// The loads that brought its rows, as versions of the dataset. Empty where the file is not yet published, and where
    /// a version of Parcours wrote it that did not say.
    pub(crate) loads: BTreeSet<u64>,
}

/// A table at one Delta version.
pub(crate) struct DeltaState {
    /// Schema of the data files, without the shard column; fields carry their class.
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<LoggedFile>,
    state: DeltaTableState,
}

impl DeltaState {
    pub(crate) fn version(&self) -> u64 {
        self.state.version()
    }

    /// The properties kept with the table.
    fn properties(&self) -> BTreeMap<String, String> {
        let configuration = self.state.metadata().configuration().iter();
        configuration
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// What a table must look like after a commit.
pub(crate) struct Desired<'a> {
    pub(crate) schema: &'a SchemaRef,
    pub(crate) sharded: bool,
    /// Every file of the new version, old and new.
    pub(crate) files: &'a [LoggedFile],
    /// Properties of the dataset, kept in the table's configuration.
    pub(crate) properties: &'a BTreeMap<String, String>,
}

/// The log of one table.
pub(crate) struct DeltaLog {
    table: String,
    store: LogStoreRef,
}

impl DeltaLog {
    /// The log of the table in folder `root` of `store`, which is `url` to people.
    pub(crate) fn new(table: &str, store: Arc<dyn ObjectStore>, root: &Path, url: &Url) -> Self {
        let inside = Arc::new(PrefixStore::new(Arc::clone(&store), root.clone()));
        Self {
            table: table.to_string(),
            store: default_logstore(inside, store, url, &StorageConfig::default()),
        }
    }

    /// The newest state; none if the table was never created.
    pub(crate) async fn tip(&self) -> Result<Option<DeltaState>, DeltaError> {
        if !self.store.is_delta_table_location().await.map_err(|e| self.failed(e))? {
            return Ok(None);
        }
        self.load(None).await.map(Some)
    }

    /// The state at `version`.
    pub(crate) async fn at(&self, version: u64) -> Result<DeltaState, DeltaError> {
        self.load(Some(version)).await
    }

    async fn load(&self, version: Option<u64>) -> Result<DeltaState, DeltaError> {
        let state = DeltaTableState::try_new(self.store.as_ref(), version)
            .await
            .map_err(|e| self.failed(e))?;
        let schema = self.file_schema(&state)?;
        let files = state
            .log_data()
            .iter()
            .map(|view| self.logged_file(&view))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(DeltaState { schema, files, state })
    }

    fn logged_file(&self, view: &deltalake::kernel::LogicalFileView) -> Result<LoggedFile, DeltaError> {
        let path = view.path().to_string();
        let missing = |what: &str| self.foreign(format!("file {path} has no {what}"));
        let shard = match view.partition_values_map().get(SHARD_COLUMN) {
            None => None,
            Some(value) => Some(
                value
                    .as_ref()
                    .and_then(|s| s.parse().ok())
                    .ok_or_else(|| missing("shard"))?,
            ),
        };
        let stats = view.stats();
        let rows = view
            .num_records()
            .map(|rows| rows as u64)
            .or_else(|| logged_rows(stats.as_deref()?));
        let rows = rows.ok_or_else(|| missing("number of rows"))?;
        let stats = stats.unwrap_or_else(|| json!({ ROWS: rows }).to_string());
        let size = u64::try_from(view.size()).map_err(|_| missing("size"))?;
        let loads = match loads_tag(view) {
            None => BTreeSet::new(),
            Some(tag) => parsed_loads(&tag).ok_or_else(|| missing("readable list of loads"))?,
        };
        Ok(LoggedFile {
            path,
            shard,
            size,
            rows,
            stats,
            loads,
        })
    }

    /// The Arrow schema of the files: Delta's, without the shard column and with our exact types.
    fn file_schema(&self, state: &DeltaTableState) -> Result<SchemaRef, DeltaError> {
        let logged = state.snapshot().arrow_schema();
        let fields = logged
            .fields()
            .iter()
            .filter(|field| field.name() != SHARD_COLUMN || field.metadata().contains_key(CLASS_METADATA))
            .map(|field| self.exact_field(field))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    fn exact_field(&self, field: &Field) -> Result<Field, DeltaError> {
        let refuse = |what: &str| self.foreign(format!("column {} has no {what}", field.name()));
        let class = field.metadata().get(CLASS_METADATA).ok_or_else(|| refuse("class"))?;
        let exact = field.metadata().get(TYPE_METADATA).ok_or_else(|| refuse("type"))?;
        let data_type = parse_type(exact).ok_or_else(|| refuse("known type"))?;
        let metadata = HashMap::from([(CLASS_METADATA.to_string(), class.clone())]);
        Ok(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
    }

    /// Commits so that the log's tip holds exactly `desired`, on top of `tip`; returns the Delta version that does.
    /// Files that an interrupted load left in the tip are removed by the same commit.
    pub(crate) async fn commit(&self, tip: Option<&DeltaState>, desired: &Desired<'_>) -> Result<u64, DeltaError> {
        let actions = self.difference(tip, desired)?;
        if let (true, Some(tip)) = (actions.is_empty(), tip) {
            return Ok(tip.version());
        }
        let partition_by = desired.sharded.then(|| vec![SHARD_COLUMN.to_string()]);
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by,
            predicate: None,
        };
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let written = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(
                tip.map(|t| &t.state as &dyn TableReference),
                Arc::clone(&self.store),
                operation,
            )
            .await;
        written.map(|commit| commit.version()).map_err(|e| self.failed(e))
    }

    /// Commits so that the tip holds again what `wanted` holds.
    pub(crate) async fn restore(&self, tip: &DeltaState, wanted: &DeltaState) -> Result<u64, DeltaError> {
        let sharded = wanted.files.iter().chain(&tip.files).any(|file| file.shard.is_some());
        let properties = wanted.properties();
        let desired = Desired {
            schema: &tip.schema,
            sharded,
            files: &wanted.files,
            properties: &properties,
        };
        self.commit(Some(tip), &desired).await
    }

    fn difference(&self, tip: Option<&DeltaState>, desired: &Desired<'_>) -> Result<Vec<Action>, DeltaError> {
        let mut actions = Vec::new();
        let same_schema = tip.is_some_and(|tip| tip.schema.as_ref() == desired.schema.as_ref());
        if !same_schema {
            actions.push(Action::Protocol(self.protocol(desired.schema)?));
        }
        // The split set of the files is among the properties, and changes when they are sharded anew.
        if !same_schema || tip.is_some_and(|tip| tip.properties() != *desired.properties) {
            actions.push(self.metadata(tip, desired)?);
        }
        let present = tip.map(|t| t.files.as_slice()).unwrap_or_default();
        let missing = |these: &LoggedFile, from: &[LoggedFile]| !from.iter().any(|f| f.path == these.path);
        actions.extend(
            present
                .iter()
                .filter(|f| missing(f, desired.files))
                .map(|f| Action::Remove(remove(f))),
        );
        actions.extend(
            desired
                .files
                .iter()
                .filter(|f| missing(f, present))
                .map(|f| Action::Add(add(f))),
        );
        Ok(actions)
    }

    fn metadata(&self, tip: Option<&DeltaState>, desired: &Desired<'_>) -> Result<Action, DeltaError> {
        let mut fields: Vec<Field> = desired.schema.fields().iter().map(|f| delta_field(f)).collect();
        if desired.sharded {
            fields.push(Field::new(SHARD_COLUMN, DataType::Int32, false));
        }
        let partition_columns: Vec<&str> = desired.sharded.then_some(SHARD_COLUMN).into_iter().collect();
        let schema: Result<StructType, _> = (&Schema::new(fields)).try_into_kernel();
        let schema = schema.map_err(|e| self.foreign(e.to_string()))?;
        let failed = |e| self.failed(DeltaTableError::from(e));
        let metadata = new_metadata(&schema, partition_columns, desired.properties.iter()).map_err(failed)?;
        // A table keeps its id for life.
        let metadata = match tip {
            Some(tip) => metadata.with_table_id(tip.state.metadata().id().to_owned()),
            None => Ok(metadata),
        };
        metadata.map(Action::Metadata).map_err(failed)
    }

    /// Timestamps without a time zone are a table feature in Delta; everything else needs nothing special.
    fn protocol(&self, schema: &Schema) -> Result<Protocol, DeltaError> {
        let local_time = |f: &Arc<Field>| matches!(f.data_type(), DataType::Timestamp(_, None));
        let value = if schema.fields().iter().any(local_time) {
            json!({ "minReaderVersion": 3, "minWriterVersion": 7,
                    "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"] })
        } else {
            json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
        };
        serde_json::from_value(value).map_err(|e| self.foreign(e.to_string()))
    }

    fn foreign(&self, reason: String) -> DeltaError {
        DeltaError::Foreign {
            table: self.table.clone(),
            reason,
        }
    }

    fn failed(&self, error: DeltaTableError) -> DeltaError {
        if lost_race(&error) {
            return DeltaError::Changed {
                table: self.table.clone(),
            };
        }
        DeltaError::Log {
            table: self.table.clone(),
            source: Box::new(error),
        }
    }
}

/// The number of rows in a file's statistics.
fn logged_rows(stats: &str) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(stats).ok()?;
    stats.get(ROWS)?.as_u64()
}

#[expect(deprecated, reason = "a view gives a file's tags in no other way")]
fn loads_tag(view: &deltalake::kernel::LogicalFileView) -> Option<String> {
    view.add_action().tags?.remove(LOADS_TAG)?
}

fn parsed_loads(tag: &str) -> Option<BTreeSet<u64>> {
    tag.split(',').map(|load| load.parse().ok()).collect()
}

fn tags(file: &LoggedFile) -> Option<HashMap<String, Option<String>>> {
    let loads: Vec<String> = file.loads.iter().map(u64::to_string).collect();
    (!loads.is_empty()).then(|| HashMap::from([(LOADS_TAG.to_string(), Some(loads.join(",")))]))
}

fn lost_race(error: &DeltaTableError) -> bool {
    use deltalake::kernel::transaction::TransactionError::{CommitConflict, MaxCommitAttempts, VersionAlreadyExists};
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(
                source,
                VersionAlreadyExists(_) | MaxCommitAttempts(_) | CommitConflict(_)
            )
        }
        DeltaTableError::ObjectStore { source } => matches!(source, StoreFailure::AlreadyExists { .. }),
        _ => false,
    }
}

/// A column as Delta's schema can hold it; our exact type travels in the metadata.
fn delta_field(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(TYPE_METADATA.to_string(), field.data_type().to_string());
    let coarse = match field.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        other => other.clone(),
    };
    Field::new(field.name(), coarse, field.is_nullable()).with_metadata(metadata)
}

fn partition_values(file: &LoggedFile) -> HashMap<String, Option<String>> {
    file.shard
        .map(|shard| (SHARD_COLUMN.to_string(), Some(shard.to_string())))
        .into_iter()
        .collect()
}

fn add(file: &LoggedFile) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: partition_values(file),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: Utc::now().timestamp_millis(),
        data_change: true,
        stats: Some(file.stats.clone()),
        tags: tags(file),
        ..Add::default()
    }
}

fn remove(file: &LoggedFile) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: true,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values(file)),
        size: i64::try_from(file.size).ok(),
        ..Remove::default()
    }
}

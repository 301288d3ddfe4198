//! A dataset in words and numbers, for `parcours tables`: schemas, classes, shards, rows, bytes, versions. Nothing here
//! holds a value of a row; split points stay out too.

use arrow::datatypes::Field;
use chrono::{DateTime, Utc};
use serde::Serialize;
use url::Url;

use super::table::class_of;
use super::{DatasetRoot, Snapshot, SnapshotError, TableSnapshot};
use crate::load::is_of_loads;
use crate::store::Stores;
use crate::version::{DatasetVersion, SourceRecord, VersionError};

/// A dataset at one version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetDescription {
    /// Its name.
    pub dataset: String,
    /// The version described.
    pub version: u64,
    /// When it was loaded.
    pub created: DateTime<Utc>,
    /// The patient id column.
    pub patient_id: String,
    /// Number of shards.
    pub shards: usize,
    /// Version of the split set.
    pub split_version: u32,
    /// Its tables, by name.
    pub tables: Vec<TableDescription>,
}

/// A table of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDescription {
    /// Its name.
    pub name: String,
    /// Whether rows are spread over shards by patient.
    pub sharded: bool,
    /// The columns rows are sorted by inside a file.
    pub sorted_by: Vec<String>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Rows of each shard; one entry for an unsharded table.
    pub rows_by_shard: Vec<u64>,
    /// Its columns.
    pub columns: Vec<ColumnDescription>,
    /// The sources loaded into it.
    pub sources: Vec<SourceRecord>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Its class: `identity`, `quasi`, `health` or `plain`.
    pub class: String,
}

/// One version in a dataset's history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// The version.
    pub version: u64,
    /// When it was loaded.
    pub created: DateTime<Utc>,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all tables.
    pub bytes: u64,
    /// The sources this version brought in, as (table, path).
    pub added_sources: Vec<(String, String)>,
}

impl Snapshot {
    /// This snapshot in words and numbers.
    pub fn describe(&self) -> DatasetDescription {
        DatasetDescription {
            dataset: self.dataset().to_string(),
            version: self.version(),
            created: self.created(),
            patient_id: self.patient_id().to_string(),
            shards: self.shards(),
            split_version: self.splits().version(),
            tables: self.tables().map(|table| self.describe_table(table)).collect(),
        }
    }

    fn describe_table(&self, table: &TableSnapshot) -> TableDescription {
        let by_shard = table.files_by_shard();
        let entry = self.record().tables.get(table.name());
        TableDescription {
            name: table.name().to_string(),
            sharded: table.is_sharded(),
            sorted_by: table.sorted_by().map(str::to_string).collect(),
            rows: table.rows(),
            bytes: table.bytes(),
            files: table.files().len(),
            rows_by_shard: by_shard
                .iter()
                .map(|files| files.iter().map(|f| f.rows()).sum())
                .collect(),
            columns: table
                .schema()
                .fields()
                .iter()
                .map(|field| describe_column(field))
                .collect(),
            sources: entry.map(|e| e.sources.clone()).unwrap_or_default(),
        }
    }

    /// All versions of `dataset`, newest first.
    pub async fn history(into: &Url, dataset: &str, stores: &Stores) -> Result<Vec<HistoryEntry>, SnapshotError> {
        let root = DatasetRoot::new(into, dataset, stores)?;
        let log = root.log();
        let mut entries = Vec::new();
        for version in log.list().await?.into_iter().rev() {
            let gone = || VersionError::Malformed {
                path: root.path.clone(),
                reason: format!("version {version} is gone"),
            };
            entries.push(history_entry(&log.read(version).await?.ok_or_else(gone)?));
        }
        Ok(entries)
    }
}

fn describe_column(field: &Field) -> ColumnDescription {
    ColumnDescription {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
        nullable: field.is_nullable(),
        class: class_of(field).map(|class| class.to_string()).unwrap_or_default(),
    }
}

fn history_entry(record: &DatasetVersion) -> HistoryEntry {
    let added = record.tables.iter().flat_map(|(table, entry)| {
        let new = entry.sources.iter().filter(|source| source.version == record.version);
        new.map(|source| (table.clone(), source.path.clone()))
    });
    let described = || {
        let tables = record.tables.iter();
        tables.filter(|(name, _)| !is_of_loads(name)).map(|(_, table)| table)
    };
    HistoryEntry {
        version: record.version,
        created: record.created,
        rows: described().map(|table| table.rows).sum(),
        bytes: described().map(|table| table.bytes).sum(),
        added_sources: added.collect(),
    }
}

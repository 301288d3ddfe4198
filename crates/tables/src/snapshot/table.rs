//! One table of a snapshot: schema, classes, order, files by shard. Owns the check that the Delta log agrees with the
//! dataset version; opens no data file.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use parcours_keys::ColumnClass;

use super::{DatasetRoot, SnapshotError, check_totals};
use crate::delta::{CLASS_METADATA, LoggedFile};
use crate::splits::Splits;
use crate::version::{DatasetVersion, TableVersion};

/// One data file of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    path: Path,
    logged: LoggedFile,
}

impl DataFile {
    /// Where it is in its object store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its shard; none in an unsharded table.
    pub fn shard(&self) -> Option<usize> {
        self.logged.shard
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.logged.size
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        self.logged.rows
    }

    /// The file as its log has it.
    pub(crate) fn logged(&self) -> &LoggedFile {
        &self.logged
    }
}

/// The loads that brought the rows of these files; none where one of them does not say.
pub(crate) fn loads_of(files: &[&DataFile]) -> BTreeSet<u64> {
    if files.iter().any(|file| file.logged.loads.is_empty()) {
        return BTreeSet::new();
    }
    files.iter().flat_map(|file| &file.logged.loads).copied().collect()
}

/// One table at one version of its dataset.
#[derive(Clone)]
pub struct TableSnapshot {
    dataset: String,
    name: String,
    version: u64,
    store: ObjectStoreUrl,
    schema: SchemaRef,
    sharded: bool,
    patient_id: String,
    order: Vec<String>,
    splits: Arc<Splits>,
    files: Vec<DataFile>,
}

impl fmt::Debug for TableSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TableSnapshot {{ {}.{} version {}, {} files }}",
            self.dataset,
            self.name,
            self.version,
            self.files.len()
        )
    }
}

impl TableSnapshot {
    /// Name of the dataset.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Name of the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of the dataset.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The store that holds its files, as DataFusion names it.
    pub fn store(&self) -> &ObjectStoreUrl {
        &self.store
    }

    /// The schema SQL sees. Each field carries its class under the metadata key `parcours.class`.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows are spread over shards by patient.
    pub fn is_sharded(&self) -> bool {
        self.sharded
    }

    /// The patient id column; none in an unsharded table.
    pub fn patient_id(&self) -> Option<&str> {
        self.sharded.then_some(self.patient_id.as_str())
    }

    /// The columns rows are sorted by inside a file: the patient id, if sharded, then the declared order.
    pub fn sorted_by(&self) -> impl Iterator<Item = &str> {
        self.patient_id()
            .into_iter()
            .chain(self.order.iter().map(String::as_str))
    }

    /// The columns that follow the patient id in the order of rows.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The dataset's split points.
    pub fn splits(&self) -> &Splits {
        &self.splits
    }

    /// All files, by shard and path.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// The files of each shard, in shard order, empty shards included; an unsharded table is one group.
    pub fn files_by_shard(&self) -> Vec<Vec<&DataFile>> {
        let mut groups = vec![Vec::new(); if self.sharded { self.splits.shards() } else { 1 }];
        for file in &self.files {
            groups[file.shard().unwrap_or(0)].push(file);
        }
        groups
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(DataFile::rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(DataFile::size).sum()
    }

    /// The class of one column.
    pub fn class_of(&self, column: &str) -> Option<ColumnClass> {
        class_of(self.schema.field_with_name(column).ok()?)
    }

    /// The classes that appear in this table.
    pub fn classes(&self) -> BTreeSet<ColumnClass> {
        self.schema
            .fields()
            .iter()
            .filter_map(|field| class_of(field))
            .collect()
    }
}

/// The class that a field carries in its metadata; none if it is not a column of ours.
pub fn class_of(field: &Field) -> Option<ColumnClass> {
    field.metadata().get(CLASS_METADATA)?.parse().ok()
}

pub(super) async fn open(
    root: &DatasetRoot,
    record: &DatasetVersion,
    name: &str,
    entry: &TableVersion,
    splits: &Arc<Splits>,
    store: &ObjectStoreUrl,
) -> Result<TableSnapshot, SnapshotError> {
    let state = root.delta(name).at(entry.delta_version).await?;
    let mut files = data_files(root, name, &state.files)?;
    files.sort_by(|a, b| (a.shard(), a.path()).cmp(&(b.shard(), b.path())));
    let table = TableSnapshot {
        dataset: root.dataset.clone(),
        name: name.to_string(),
        version: record.version,
        store: store.clone(),
        schema: Arc::clone(&state.schema),
        sharded: entry.sharded,
        patient_id: record.patient_id.clone(),
        order: entry.order.clone(),
        splits: Arc::clone(splits),
        files,
    };
    check_totals(root, record.version, name, entry, &table.files)?;
    check_layout(root, &table)?;
    Ok(table)
}

fn data_files(root: &DatasetRoot, name: &str, logged: &[LoggedFile]) -> Result<Vec<DataFile>, SnapshotError> {
    let folder = root.table_path(name);
    let locate = |file: &LoggedFile| {
        let path = Path::parse(format!("{folder}/{}", file.path))
            .map_err(|e| root.inconsistent(0, name, format!("the log names a file that cannot be one: {e}")))?;
        Ok(DataFile {
            path,
            logged: file.clone(),
        })
    };
    logged.iter().map(locate).collect()
}

fn check_layout(root: &DatasetRoot, table: &TableSnapshot) -> Result<(), SnapshotError> {
    let refuse = |reason: String| Err(root.inconsistent(table.version, &table.name, reason));
    for column in table.sorted_by() {
        if table.schema.field_with_name(column).is_err() {
            return refuse(format!("rows are sorted by {column}, which is not a column"));
        }
    }
    if let Some(id) = table.patient_id() {
        let found = table.schema.field_with_name(id).map(|f| f.data_type().clone()).ok();
        if found.as_ref() != Some(table.splits.data_type()) {
            return refuse(format!(
                "its patient id is not of the split points' type {}",
                table.splits.data_type()
            ));
        }
    }
    let shards = table.splits.shards();
    let misplaced = |f: &&DataFile| table.sharded != f.shard().is_some_and(|shard| shard < shards);
    if let Some(file) = table.files.iter().find(misplaced) {
        return refuse(format!("file {} lies in no shard of the split set", file.path()));
    }
    if let Some(file) = table.files.iter().find(|file| !stands_in_its_place(file.logged())) {
        return refuse(format!(
            "file {} is logged in a shard that its path does not name",
            file.path()
        ));
    }
    Ok(())
}

/// Whether a file's path is the one that it was written under: in the folder of the shard that the log says, and of a name
/// that our writers give. A log whose shards were exchanged would have rows looked for where they are not.
fn stands_in_its_place(file: &LoggedFile) -> bool {
    let name = match file.shard {
        Some(shard) => file.path.strip_prefix(&format!("shard={shard:04}/")),
        None => Some(file.path.as_str()),
    };
    name.is_some_and(|name| name.starts_with("part-") && name.ends_with(".parquet") && !name.contains('/'))
}

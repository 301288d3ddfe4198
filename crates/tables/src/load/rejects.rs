//! Rows that were set aside, kept with what they hold where a load is told to: of each table, in a table of the dataset
//! that no query sees, under the key of class `identity`, whatever the class of what they hold. So they are encrypted as
//! all others and move to new master keys with them. They leave with the load that set them aside: when its sources are
//! read again, the next version has them no longer, unless they are bad once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use parcours_keys::{ColumnClass, KeyService};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::kept::{self, classed};
use super::plan::TablePlan;
use super::sort::sort_error;
use super::{LoadError, Writing};
use crate::delta::LoggedFile;
use crate::reread::Reread;
use crate::snapshot::{DataFile, Snapshot, TableSnapshot};
use crate::source::{Position, RejectedRow};
use crate::store::Stores;
use crate::version::{Origin, TableVersion};
use crate::writing::commit::{NewTable, commit_table};
use crate::writing::shape::TableShape;
use crate::writing::write::FileLitter;

/// What the tables of such rows are called, before the name of the table that they are of.
const PREFIX: &str = "_rejects_";

/// Whether a table holds rows that were set aside.
pub(crate) fn is_of_rejects(table: &str) -> bool {
    table.starts_with(PREFIX)
}

/// A row that a load set aside and kept.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct KeptReject {
    /// The version that the load made.
    pub version: u64,
    /// The table whose source it is in.
    pub table: String,
    /// The source's URL.
    pub source: String,
    /// The line it begins on, of a CSV file.
    pub line: Option<u64>,
    /// The byte it begins at, of a CSV file.
    pub byte: Option<u64>,
    /// Its number, of a Parquet file.
    pub row: Option<u64>,
    /// The column that is bad; none where the row as a whole is.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What it holds, see [`crate::source::RowValues`].
    pub values: Value,
}

/// Its place and the reason: what it holds is a patient's.
impl fmt::Debug for KeptReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptReject")
            .field("version", &self.version)
            .field("source", &self.source)
            .field("place", &(self.line, self.row))
            .field("column", &self.column)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

fn shape(table: &str) -> TableShape {
    let identity = |name, data_type, nullable| classed(name, data_type, ColumnClass::Identity, nullable);
    let columns = vec![
        classed("version", DataType::Int64, ColumnClass::Plain, false),
        identity("source", DataType::Utf8, false),
        identity("line", DataType::UInt64, true),
        identity("byte", DataType::UInt64, true),
        identity("row", DataType::UInt64, true),
        identity("column", DataType::Utf8, true),
        identity("reason", DataType::Utf8, false),
        identity("values", DataType::Utf8, false),
    ];
    kept::shape(format!("{PREFIX}{table}"), columns)
}

/// The rows as a batch of such a table.
fn batch(table: &TableShape, rows: &[RejectedRow], version: u64) -> Result<RecordBatch, ArrowError> {
    let line = |position| match position {
        Position::Line { line, .. } => Some(line),
        Position::Row(_) => None,
    };
    let byte = |position| match position {
        Position::Line { byte, .. } => Some(byte),
        Position::Row(_) => None,
    };
    let number = |position| match position {
        Position::Line { .. } => None,
        Position::Row(row) => Some(row),
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![version as i64; rows.len()])),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.bad.file))),
        numbers(rows, line),
        numbers(rows, byte),
        numbers(rows, number),
        Arc::new(
            rows.iter()
                .map(|row| row.bad.column.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.bad.problem()))),
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|row| row.values.as_json()),
        )),
    ];
    RecordBatch::try_new(Arc::clone(&table.schema), columns)
}

/// One number of the place of each row.
fn numbers(rows: &[RejectedRow], number: impl Fn(Position) -> Option<u64>) -> ArrayRef {
    let numbers = rows.iter().map(|row| number(row.bad.position));
    Arc::new(numbers.collect::<UInt64Array>())
}

impl Writing<'_> {
    /// Writes down what rows hold that this load set aside, for version `number`, beside what there is of loads that stay.
    pub(super) async fn keep_rejects(
        &self,
        number: u64,
        tables: &mut BTreeMap<String, TableVersion>,
        litter: &mut FileLitter,
    ) -> Result<(), LoadError> {
        let mut by_table: HashMap<String, Vec<RejectedRow>> = HashMap::new();
        for row in self.rejects.take_rows() {
            by_table.entry(row.table.clone()).or_default().push(row);
        }
        for table in self.plan.tables.iter().filter(|table| table.has_work()) {
            let rows = by_table.remove(table.name()).unwrap_or_default();
            self.keep_rejects_of(table, &rows, number, tables, litter).await?;
        }
        Ok(())
    }

    async fn keep_rejects_of(
        &self,
        table: &TablePlan,
        rows: &[RejectedRow],
        number: u64,
        tables: &mut BTreeMap<String, TableVersion>,
        litter: &mut FileLitter,
    ) -> Result<(), LoadError> {
        let shape = shape(table.name());
        let before = self.plan.base.as_ref().and_then(|base| base.table(&shape.name));
        let before = before.map(|before| before.files()).unwrap_or_default();
        let stay = before.iter().map(DataFile::logged).filter(|file| stays(table, file));
        let mut files: Vec<LoggedFile> = stay.cloned().collect();
        if rows.is_empty() && files.len() == before.len() {
            return Ok(());
        }
        if !rows.is_empty() {
            let rows = batch(&shape, rows, number);
            let rows = rows.map_err(|error| sort_error(&shape.name, error.into()))?;
            let file = self.write_kept(&shape, &rows, litter).await?;
            files.push(LoggedFile {
                loads: BTreeSet::from([number]),
                ..file
            });
        }
        if files.is_empty() {
            tables.remove(&shape.name);
            return Ok(());
        }
        let written = NewTable {
            shape: &shape,
            files: &files,
            origin: Origin::default(),
        };
        let committed = commit_table(self.place.root, self.place.splits, written).await?;
        tables.insert(shape.name, committed);
        Ok(())
    }
}

/// Whether a load whose rows stay set the rows of a file aside.
fn stays(table: &TablePlan, file: &LoggedFile) -> bool {
    let mut set_aside = table.kept.sources.iter().filter(|source| source.rejected > 0);
    set_aside.any(|source| file.loads.contains(&source.version))
}

/// The rows of `dataset` that are set aside at `version`, or at its newest, of loads that were told to keep them: table by
/// table, load by load.
///
/// # Errors
/// [`LoadError`] where the version, the keys or the store fail.
pub async fn rejects(
    into: &Url,
    dataset: &str,
    version: Option<u64>,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
) -> Result<Vec<KeptReject>, LoadError> {
    let snapshot = Snapshot::open(into, dataset, version, stores).await?;
    let rows = Reread::new(dataset, stores, keys).map_err(|error| sort_error("", error))?;
    let mut found = Vec::new();
    for table in snapshot.all_tables() {
        let Some(of) = table.name().strip_prefix(PREFIX) else {
            continue;
        };
        let read = read(&rows, table, of).await;
        let read = read.map_err(|error| sort_error(table.name(), error))?;
        let loads = loads_with_rejects(&snapshot, of);
        found.extend(read.into_iter().filter(|row| loads.contains(&row.version)));
    }
    found.sort_by(|one: &KeptReject, other| place(one).cmp(&place(other)));
    Ok(found)
}

/// The loads of which a table has rows, and that set others aside. A file may hold rows of other loads as well, if
/// compaction wrote it.
fn loads_with_rejects(snapshot: &Snapshot, table: &str) -> BTreeSet<u64> {
    let sources = snapshot.record().tables.get(table).into_iter();
    let sources = sources.flat_map(|table| &table.sources);
    let set_aside = sources.filter(|source| source.rejected > 0);
    set_aside.map(|source| source.version).collect()
}

fn place(row: &KeptReject) -> (&str, u64, &str, Option<u64>, Option<u64>) {
    (&row.table, row.version, &row.source, row.byte, row.row)
}

async fn read(rows: &Reread, table: &TableSnapshot, of: &str) -> Result<Vec<KeptReject>, DataFusionError> {
    let files: Vec<&DataFile> = table.files().iter().collect();
    let mut batches = rows.merged(table, &files)?;
    let mut found = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        for row in 0..batch.num_rows() {
            found.push(kept_row(&batch, row, of)?);
        }
    }
    Ok(found)
}

/// One row of such a table.
fn kept_row(batch: &RecordBatch, row: usize, table: &str) -> Result<KeptReject, DataFusionError> {
    let text = |at: usize| batch.column(at).as_string::<i32>().value(row).to_owned();
    let number = |at: usize| {
        let column = batch.column(at).as_primitive::<UInt64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let version = batch.column(0).as_primitive::<Int64Type>().value(row);
    let values = serde_json::from_str(batch.column(7).as_string::<i32>().value(row));
    Ok(KeptReject {
        version: version.unsigned_abs(),
        table: table.to_owned(),
        source: text(1),
        line: number(2),
        byte: number(3),
        row: number(4),
        column: batch.column(5).is_valid(row).then(|| text(5)),
        reason: text(6),
        values: values.map_err(|error| DataFusionError::External(Box::new(error)))?,
    })
}

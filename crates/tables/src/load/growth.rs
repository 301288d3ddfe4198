//! How a table's columns may differ from those of the version before. A new column, a wider type, a column that may be NULL
//! now and another order of columns leave the rows there are as they were: they are written anew under the columns of now,
//! with NULL in new ones. Anything else (a class, a narrower type, a column that is gone) means that rows were read or guarded
//! otherwise, and takes the sources.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use futures::future::ready;

use super::plan::{LoadPlan, TablePlan};
use super::sort::sort_error;
use super::{LoadError, Place};
use crate::delta::LoggedFile;
use crate::reread::Reread;
use crate::snapshot::{DataFile, TableSnapshot, class_of, loads_of};
use crate::writing::shards;
use crate::writing::write::{FileLitter, TableWriter};

/// One difference between a table's columns before and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Added(String),
    Wider(String, DataType, DataType),
    MayBeNull(String),
    Reordered,
    Gone(String),
    OtherClass(String),
    OtherType(String, DataType, DataType),
    NeverNull(String),
    /// Rows were ordered by other columns.
    OtherOrder(String),
}

impl Change {
    /// Whether the rows there are stay as they are.
    pub(super) fn is_growth(&self) -> bool {
        matches!(
            self,
            Self::Added(_) | Self::Wider(..) | Self::MayBeNull(_) | Self::Reordered
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(column) => write!(f, "{column} is new, NULL in rows loaded before"),
            Self::Wider(column, before, now) => write!(f, "{column} becomes {now} from {before}"),
            Self::MayBeNull(column) => write!(f, "{column} may be NULL"),
            Self::Reordered => write!(f, "columns stand in another order"),
            Self::Gone(column) => write!(f, "{column} is gone"),
            Self::OtherClass(column) => write!(f, "{column} has another class"),
            Self::OtherType(column, before, now) => write!(f, "{column} was {before} and is {now}"),
            Self::NeverNull(column) => write!(f, "{column} may no longer be NULL"),
            Self::OtherOrder(columns) => write!(f, "rows were ordered by {columns}"),
        }
    }
}

/// The differences between columns before and now. A column of `taken` comes from another table, whose rows have its values
/// already, so that a new one is not NULL in the rows there are.
pub(super) fn changes(before: &Schema, now: &Schema, taken: &[String]) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in before.fields() {
        match now.field_with_name(field.name()) {
            Ok(now) => changes.extend(of_column(field, now)),
            Err(_) => changes.push(Change::Gone(field.name().clone())),
        }
    }
    for field in now.fields() {
        let name = field.name();
        if before.field_with_name(name).is_ok() {
            continue;
        }
        if field.is_nullable() && !taken.contains(name) {
            changes.push(Change::Added(name.clone()));
        } else {
            changes.push(Change::NeverNull(name.clone()));
        }
    }
    let place = |field: &Arc<Field>| now.index_of(field.name()).ok();
    let places: Vec<usize> = before.fields().iter().filter_map(place).collect();
    if !places.is_sorted() {
        changes.push(Change::Reordered);
    }
    changes
}

fn of_column(before: &Field, now: &Field) -> Vec<Change> {
    let name = || before.name().clone();
    let mut changes = Vec::new();
    if class_of(before) != class_of(now) {
        changes.push(Change::OtherClass(name()));
    }
    let types = (before.data_type(), now.data_type());
    if types.0 != types.1 {
        let change = if is_wider(types.0, types.1) {
            Change::Wider
        } else {
            Change::OtherType
        };
        changes.push(change(name(), types.0.clone(), types.1.clone()));
    }
    match (before.is_nullable(), now.is_nullable()) {
        (false, true) => changes.push(Change::MayBeNull(name())),
        (true, false) => changes.push(Change::NeverNull(name())),
        _ => {}
    }
    changes
}

/// Whether every value of one type is the same value of the other, and would have been read as that one. Floating-point
/// numbers are not among them: `0.1` is another number in 32 bits and in 64.
fn is_wider(before: &DataType, now: &DataType) -> bool {
    let bits = |of: &DataType| of.primitive_width().unwrap_or_default();
    match (before, now) {
        (DataType::Decimal128(digits, scale), DataType::Decimal128(more, same)) => digits <= more && scale == same,
        _ if before.is_signed_integer() && now.is_signed_integer() => bits(before) < bits(now),
        _ if before.is_unsigned_integer() && now.is_integer() => bits(before) < bits(now),
        _ => false,
    }
}

impl Place<'_> {
    /// Writes the rows of tables that grow under their columns of now; these are the files that stay.
    pub(super) async fn grow(&self, plan: &mut LoadPlan, litter: &mut FileLitter) -> Result<(), LoadError> {
        for table in plan.tables.iter_mut().filter(|table| table.grows) {
            table.kept_files = self.grown(table, litter).await?;
        }
        Ok(())
    }

    async fn grown(&self, table: &TablePlan, litter: &mut FileLitter) -> Result<Vec<LoggedFile>, LoadError> {
        let Some(before) = &table.before else {
            return Ok(Vec::new());
        };
        let failed = |error| sort_error(table.name(), error);
        let rows = Reread::new(&self.root.dataset, self.stores, self.keys).map_err(failed)?;
        let writer = TableWriter::new(self.root, &table.shape, self.keys, self.options);
        let mut files = Vec::new();
        let stays = |file: &&DataFile| table.kept_files.iter().any(|kept| kept == file.logged());
        for group in before.files_by_shard() {
            let group: Vec<&DataFile> = group.into_iter().filter(stays).collect();
            if group.is_empty() {
                continue;
            }
            let loads = loads_of(&group);
            let rows = rows.merged(before, &group).map_err(failed)?;
            let rows = under(rows, before, &table.shape.schema);
            let written = shards::write_sorted(rows, &table.shape, self.splits, &writer, litter).await?;
            files.extend(written.into_iter().map(|file| LoggedFile {
                loads: loads.clone(),
                ..file
            }));
        }
        let rows = |files: &[LoggedFile]| files.iter().map(|file| file.rows).sum::<u64>();
        match rows(&files) == rows(&table.kept_files) {
            true => Ok(files),
            false => Err(LoadError::Misplaced {
                table: table.name().to_owned(),
                problem: "its files do not hold the rows that they are logged with",
            }),
        }
    }
}

/// Rows under a schema that has grown.
fn under(rows: SendableRecordBatchStream, before: &TableSnapshot, now: &SchemaRef) -> SendableRecordBatchStream {
    let (before, schema) = (Arc::clone(before.schema()), Arc::clone(now));
    let rows = rows.and_then(move |batch| ready(widened(&batch, &before, &schema)));
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(now), rows))
}

fn widened(rows: &RecordBatch, before: &Schema, now: &SchemaRef) -> DataFusionResult<RecordBatch> {
    let exactly = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let column = |field: &Arc<Field>| match before.index_of(field.name()) {
        Ok(at) => cast_with_options(rows.column(at), field.data_type(), &exactly),
        Err(_) => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = now.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(now), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_widen_where_values_stay_what_was_written() {
        use DataType::*;
        for (before, now) in [
            (Int8, Int16),
            (Int32, Int64),
            (UInt8, UInt32),
            (UInt16, Int32),
            (Decimal128(10, 2), Decimal128(12, 2)),
        ] {
            assert!(is_wider(&before, &now) && !is_wider(&now, &before), "{before} {now}");
        }
        for (before, now) in [
            (Float32, Float64),
            (UInt32, Int32),
            (Int32, UInt64),
            (Decimal128(10, 2), Decimal128(12, 3)),
            (Int32, Utf8),
            (Date32, Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)),
        ] {
            assert!(!is_wider(&before, &now), "{before} {now}");
        }
    }
}

//! Cuts a table's sorted rows at the split points, one file a shard, and trusts nobody on the way: a row out of order, in
//! the wrong shard or without a patient id stops the load, because no reader checks it later and answers would be wrong.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::shape::TableShape;
use super::write::{FileLitter, OpenFile, TableWriter};
use crate::delta::LoggedFile;
use crate::load::{LoadError, sort_error};
use crate::splits::{FILE_ORDER, Splits};

/// Writes `rows`, which must be sorted, and returns the files written, in shard order.
pub(crate) async fn write_sorted(
    mut rows: SendableRecordBatchStream,
    table: &TableShape,
    splits: &Splits,
    writer: &TableWriter<'_>,
    litter: &mut FileLitter,
) -> Result<Vec<LoggedFile>, LoadError> {
    let mut order = OrderCheck::new(table)?;
    let mut cut = Cut {
        table,
        splits,
        writer,
        shard: 0,
        open: None,
        files: Vec::new(),
    };
    let done: Result<(), LoadError> = async {
        while let Some(batch) = rows.try_next().await.map_err(|e| sort_error(&table.name, e))? {
            order.check(&batch)?;
            cut.take(batch, litter).await?;
        }
        cut.close().await
    }
    .await;
    if done.is_err()
        && let Some(open) = cut.open.take()
    {
        open.abort().await;
    }
    done.map(|()| cut.files)
}

struct Cut<'a> {
    table: &'a TableShape,
    splits: &'a Splits,
    writer: &'a TableWriter<'a>,
    shard: usize,
    open: Option<OpenFile>,
    files: Vec<LoggedFile>,
}

impl Cut<'_> {
    async fn take(&mut self, batch: RecordBatch, litter: &mut FileLitter) -> Result<(), LoadError> {
        let Some(patient) = self.table.patient() else {
            return self.write(batch, None, litter).await;
        };
        let mut rest = batch;
        while rest.num_rows() > 0 {
            let ids = column(&rest, patient, self.table)?;
            let here = self
                .splits
                .rows_before_end(ids, self.shard)
                .map_err(|e| self.arrow(e))?;
            if here > 0 {
                let piece = rest.slice(0, here);
                self.check_shard(column(&piece, patient, self.table)?)?;
                self.write(piece, Some(self.shard), litter).await?;
            }
            if here < rest.num_rows() {
                self.close().await?;
                self.shard += 1;
            }
            rest = rest.slice(here, rest.num_rows() - here);
        }
        Ok(())
    }

    fn check_shard(&self, ids: &ArrayRef) -> Result<(), LoadError> {
        match self.splits.contains(ids, self.shard).map_err(|e| self.arrow(e))? {
            true => Ok(()),
            false => Err(self.misplaced("a row fell outside its shard")),
        }
    }

    async fn write(
        &mut self,
        rows: RecordBatch,
        shard: Option<usize>,
        litter: &mut FileLitter,
    ) -> Result<(), LoadError> {
        if self.open.is_none() {
            self.open = Some(self.writer.open(shard, litter).await?);
        }
        match self.open.as_mut() {
            Some(open) => open.write(&rows).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self) -> Result<(), LoadError> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish().await?);
        }
        Ok(())
    }

    fn misplaced(&self, problem: &'static str) -> LoadError {
        LoadError::Misplaced {
            table: self.table.name.clone(),
            problem,
        }
    }

    fn arrow(&self, error: arrow::error::ArrowError) -> LoadError {
        sort_error(&self.table.name, error.into())
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str, table: &TableShape) -> Result<&'a ArrayRef, LoadError> {
    let missing = || LoadError::Misplaced {
        table: table.name.clone(),
        problem: "a batch lacks a column",
    };
    batch.column_by_name(name).ok_or_else(missing)
}

/// Sees every row once and refuses one that is smaller than the row before it, or has no patient id.
struct OrderCheck<'a> {
    table: &'a TableShape,
    columns: Vec<String>,
    converter: RowConverter,
    last: Option<OwnedRow>,
}

impl<'a> OrderCheck<'a> {
    fn new(table: &'a TableShape) -> Result<Self, LoadError> {
        let columns: Vec<String> = table.sorted_by().map(str::to_owned).collect();
        let key = |name: &String| {
            let field = table.schema.field_with_name(name)?;
            Ok(SortField::new_with_options(field.data_type().clone(), FILE_ORDER))
        };
        let keys = columns
            .iter()
            .map(key)
            .collect::<Result<Vec<_>, arrow::error::ArrowError>>();
        let converter = keys
            .and_then(RowConverter::new)
            .map_err(|e| sort_error(&table.name, e.into()))?;
        Ok(Self {
            table,
            columns,
            converter,
            last: None,
        })
    }

    fn check(&mut self, batch: &RecordBatch) -> Result<(), LoadError> {
        if self.columns.is_empty() || batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(patient) = self.table.patient()
            && column(batch, patient, self.table)?.null_count() > 0
        {
            return Err(self.refuse("a row has no patient id"));
        }
        let keys = self
            .columns
            .iter()
            .map(|name| column(batch, name, self.table).map(Arc::clone));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let rows = self
            .converter
            .convert_columns(&keys)
            .map_err(|e| sort_error(&self.table.name, e.into()))?;
        let first_fits = self.last.as_ref().is_none_or(|last| last.row() <= rows.row(0));
        let sorted = (1..rows.num_rows()).all(|row| rows.row(row - 1) <= rows.row(row));
        if !first_fits || !sorted {
            return Err(self.refuse("its rows came out of order"));
        }
        self.last = Some(rows.row(rows.num_rows() - 1).owned());
        Ok(())
    }

    fn refuse(&self, problem: &'static str) -> LoadError {
        LoadError::Misplaced {
            table: self.table.name.clone(),
            problem,
        }
    }
}

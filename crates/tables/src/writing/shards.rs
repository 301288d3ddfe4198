//! Cuts a table's sorted rows at the split points, one file a shard, and trusts nobody on the way: a row out of order, in
//! the wrong shard or without a patient id stops the load, because no reader checks it later and answers would be wrong.

use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::shape::TableShape;
use super::write::{FileLitter, OpenFile, TableWriter};
use crate::delta::LoggedFile;
use crate::load::{LoadError, sort_error};
use crate::order::RowOrder;
use crate::splits::Splits;

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

/// Refuses a row that is smaller than the row before it, or has no patient id.
struct OrderCheck<'a> {
    table: &'a TableShape,
    order: RowOrder,
}

impl<'a> OrderCheck<'a> {
    fn new(table: &'a TableShape) -> Result<Self, LoadError> {
        let order = RowOrder::new(&table.schema, table.sorted_by());
        let order = order.map_err(|e| sort_error(&table.name, e.into()))?;
        Ok(Self { table, order })
    }

    fn check(&mut self, batch: &RecordBatch) -> Result<(), LoadError> {
        if let Some(patient) = self.table.patient()
            && column(batch, patient, self.table)?.null_count() > 0
        {
            return Err(self.refuse("a row has no patient id"));
        }
        let breaks = self.order.breaks(batch);
        let breaks = breaks.map_err(|e| sort_error(&self.table.name, e.into()))?;
        match breaks.is_empty() {
            true => Ok(()),
            false => Err(self.refuse("its rows came out of order")),
        }
    }

    fn refuse(&self, problem: &'static str) -> LoadError {
        LoadError::Misplaced {
            table: self.table.name.clone(),
            problem,
        }
    }
}

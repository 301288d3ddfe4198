//! Rows that are held until it is known where their group ends, where rows of a group follow each other.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, partition};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;

use super::aggregates::values;

/// The rows of which the last group may go on.
pub(super) struct Held {
    /// What makes a group.
    by: Vec<Arc<dyn PhysicalExpr>>,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// How many rows are awaited before it is looked for a group's end again.
    enough: usize,
    batch: usize,
    memory: MemoryReservation,
}

/// Rows of whole groups.
pub(super) struct Groups {
    pub(super) rows: RecordBatch,
    /// What they are grouped by.
    pub(super) keys: Vec<ArrayRef>,
    /// Where each group is.
    pub(super) ranges: Vec<Range<usize>>,
}

impl Held {
    /// Looks for ends of groups by these expressions every `batch` rows, and counts what it holds in `memory`.
    pub(super) fn new(by: Vec<Arc<dyn PhysicalExpr>>, batch: usize, memory: MemoryReservation) -> Self {
        Self {
            by,
            batches: Vec::new(),
            rows: 0,
            enough: batch,
            batch,
            memory,
        }
    }

    /// Holds rows, and gives out those whose groups are whole, if there are enough.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<Option<Groups>> {
        self.memory.try_grow(size(&rows))?;
        self.rows += rows.num_rows();
        self.batches.push(rows);
        match self.rows < self.enough {
            true => Ok(None),
            false => self.groups(false),
        }
    }

    /// The rows that are held, behind which there are no more.
    pub(super) fn end(&mut self) -> Result<Option<Groups>> {
        self.groups(true)
    }

    fn groups(&mut self, last: bool) -> Result<Option<Groups>> {
        let Some(schema) = self.batches.first().map(RecordBatch::schema) else {
            return Ok(None);
        };
        let rows = concat_batches(&schema, &self.batches)?;
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let keys = values(&self.by, &rows).collect::<Result<Vec<_>>>()?;
        let mut ranges = partition(&keys)?.ranges();
        if !last {
            ranges.pop();
        }
        let end = ranges.last().map_or(0, |group| group.end);
        self.hold(rows.slice(end, rows.num_rows() - end));
        Ok((end > 0).then(|| Groups {
            rows: rows.slice(0, end),
            keys: keys.iter().map(|key| key.slice(0, end)).collect(),
            ranges,
        }))
    }

    /// Keeps the rows of a group that goes on. It is looked at again when there are twice as many, so that a long one costs a
    /// copy or two a row.
    fn hold(&mut self, rest: RecordBatch) {
        self.enough = self.batch.max(2 * rest.num_rows());
        self.rows = rest.num_rows();
        self.memory.resize(size(&rest));
        self.batches = vec![rest];
    }
}

/// Bytes of these rows alone: not of what else is in the buffers that they are a part of, nor of dictionaries.
pub(super) fn size(rows: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| match column.as_any_dictionary_opt() {
        Some(codes) => 4 * codes.len(),
        None => {
            let data = column.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| column.get_array_memory_size())
        }
    };
    rows.columns().iter().map(column).sum()
}

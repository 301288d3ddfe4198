//! Rows in runs: where rows are ordered by patient, those of one patient follow each other, and who is who is told by looking
//! at neighbours, without a table of all.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::{concat, filter, partition, take};
use arrow::datatypes::{Field, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// The runs of a batch, and whether the first goes on with the last of the batch before.
pub(super) struct Runs {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) goes_on: bool,
}

/// Tells runs of one key from the next, batch after batch.
#[derive(Default)]
pub(super) struct Neighbours {
    /// The key of the last row, alone in an array.
    last: Option<ArrayRef>,
}

impl Neighbours {
    /// The runs of a batch whose rows have these keys.
    pub(super) fn runs(&mut self, keys: &ArrayRef) -> Result<Runs> {
        let ranges = partition(std::slice::from_ref(keys))?.ranges();
        if keys.is_empty() {
            return Ok(Runs { ranges, goes_on: false });
        }
        let goes_on = match &self.last {
            Some(last) => {
                let both = concat(&[last.as_ref(), keys.slice(0, 1).as_ref()])?;
                partition(&[both])?.len() == 1
            }
            None => false,
        };
        self.last = Some(rows_of(keys, [keys.len() - 1].into_iter())?);
        Ok(Runs { ranges, goes_on })
    }
}

/// These rows of an array, copied out of it.
pub(super) fn rows_of(array: &ArrayRef, rows: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let rows = UInt64Array::from_iter_values(rows.map(|row| row as u64));
    Ok(take(array, &rows, None)?)
}

/// More values than this are let go of when the next run begins.
const MANY_VALUES: usize = if cfg!(test) { 8 } else { 1 << 16 };

/// Counts the values that are new to their run: a number for each value, and the run in which it was seen last.
pub(super) struct NewToRun {
    values: Box<dyn GroupValues>,
    ids: Vec<usize>,
    seen: Vec<u64>,
}

impl NewToRun {
    /// For columns of these types.
    pub(super) fn new(fields: Vec<Arc<Field>>) -> Result<Self> {
        Ok(Self {
            values: new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?,
            ids: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// How many different values there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.values.size() + self.seen.capacity() * 8 + self.ids.capacity() * 8
    }

    /// Numbers the rows of these columns by their values.
    pub(super) fn number(&mut self, columns: &[ArrayRef]) -> Result<&[usize]> {
        self.values.intern(columns, &mut self.ids)?;
        self.seen.resize(self.values.len(), 0);
        Ok(&self.ids)
    }

    /// Calls `new` with the number of each value of `rows` (of the columns numbered last) that is new to this run; runs are
    /// numbered from 1.
    pub(super) fn each_new(&mut self, rows: Range<usize>, run: u64, mut new: impl FnMut(usize, usize)) {
        for (row, id) in rows.clone().zip(&self.ids[rows]) {
            if self.seen[*id] != run {
                self.seen[*id] = run;
                new(row, *id);
            }
        }
    }

    /// The values in the order of their numbers. Those that this run has had are numbered anew, and not new to it; there are
    /// no others after that.
    pub(super) fn emit_but_keep(&mut self, run: u64) -> Result<Vec<ArrayRef>> {
        let in_run: BooleanArray = self.seen.iter().map(|seen| Some(*seen == run)).collect();
        let values = self.values.emit(EmitTo::All)?;
        // It gives its values out and goes on finding them, unless it is told not to.
        self.values.clear_shrink(0);
        self.seen.clear();
        let kept = values.iter().map(|values| filter(values, &in_run));
        let kept = kept.collect::<std::result::Result<Vec<_>, _>>()?;
        self.number(&kept)?;
        self.seen.fill(run);
        Ok(values)
    }

    /// Forgets values that this run has not had, should there be many.
    pub(super) fn forget_all_but(&mut self, run: u64) -> Result<()> {
        if self.len() > MANY_VALUES {
            self.emit_but_keep(run)?;
        }
        Ok(())
    }
}

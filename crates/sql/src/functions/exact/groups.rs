//! Exact sums and means of many groups, as a grouping computes them.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, PrimitiveArray, UInt64Array,
};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::{Native, Sums, Wanted, each_value};

/// A sum or a mean for each group.
#[derive(Debug)]
pub(in super::super) struct Groups<S> {
    wanted: Wanted,
    sums: S,
    /// How many values there were in each group; of means only.
    counts: Vec<u64>,
}

impl<S: Sums> Groups<S> {
    /// Begins without a group.
    pub fn new(sums: S, wanted: Wanted) -> Self {
        Self {
            wanted,
            sums,
            counts: Vec::new(),
        }
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups.max(self.sums.len()));
        if self.wanted == Wanted::Mean {
            self.counts.resize(self.sums.len(), 0);
        }
    }

    fn means(&mut self, emit: EmitTo) -> Result<Float64Array> {
        let (sums, counts) = (self.sums.take(emit), emit.take_needed(&mut self.counts));
        let means = counts.iter().enumerate().map(|(group, count)| sums.mean(group, *count));
        means.collect()
    }
}

/// Returns the only argument as what its type says it is.
pub(super) fn argument<T: ArrowPrimitiveType>(values: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    match values.first().and_then(|values| values.as_primitive_opt::<T>()) {
        Some(values) => Ok(values),
        None => exec_err!("sum and avg received an argument of another type than was planned"),
    }
}

impl<S: Sums> GroupsAccumulator for Groups<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        let values = argument::<S::Of>(values)?;
        self.resize(count);
        let Self { wanted, sums, counts } = self;
        match wanted {
            Wanted::Sum => each_value(values, filter, |row, value| sums.add(groups[row], value)),
            Wanted::Mean => each_value(values, filter, |row, value| {
                counts[groups[row]] += 1;
                sums.add(groups[row], value);
            }),
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        if self.wanted == Wanted::Mean {
            return Ok(Arc::new(self.means(emit)?));
        }
        let sums = self.sums.take(emit);
        let values: Result<Vec<Option<Native<S>>>> = (0..sums.len()).map(|group| sums.sum(group)).collect();
        let values = PrimitiveArray::<S::Of>::from_iter(values?);
        Ok(Arc::new(values.with_data_type(sums.sum_type())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = self.sums.take(emit).states()?;
        if self.wanted == Wanted::Sum {
            return Ok(vec![sums]);
        }
        let counts = UInt64Array::from(emit.take_needed(&mut self.counts));
        Ok(vec![Arc::new(counts), sums])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.resize(count);
        match (self.wanted, states) {
            (Wanted::Sum, [sums]) => self.sums.merge(sums, |row| groups[row]),
            (Wanted::Mean, [counts, sums]) => {
                let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
                each_value(counts, None, |row, count| {
                    let known = &mut self.counts[groups[row]];
                    *known = known.saturating_add(count);
                });
                self.sums.merge(sums, |row| groups[row])
            }
            _ => exec_err!("sum and avg received a state that is not theirs"),
        }
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = Self::new(self.sums.empty(), self.wanted);
        let argument = argument::<S::Of>(values)?;
        let each: Vec<usize> = (0..argument.len()).collect();
        rows.update_batch(values, &each, filter, each.len())?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.size() + self.counts.capacity() * size_of::<u64>()
    }
}

//! Variances and their like as a grouping or a window computes them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::moments::{Moments, Statistic};
use super::{Sums, floats::FloatSums};

/// Calls `each` with every row that has all its values and that the filter leaves.
fn each_row<const V: usize>(
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
    mut each: impl FnMut(usize, [f64; V]),
) -> Result<()> {
    let columns: Vec<&Float64Array> = values.iter().filter_map(|values| values.as_primitive_opt()).collect();
    let Ok(columns) = <[&Float64Array; V]>::try_from(columns) else {
        return exec_err!("a statistic received arguments of other types than were planned");
    };
    let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
    for row in 0..columns.first().map_or(0, |column| column.len()) {
        if columns.iter().all(|column| column.is_valid(row)) && counts(row) {
            each(row, columns.map(|column| column.value(row)));
        }
    }
    Ok(())
}

fn merge<const V: usize, const P: usize>(
    states: &[ArrayRef],
    mut each: impl FnMut(usize, &[u8]) -> Option<()>,
) -> Result<()> {
    let Some(states) = states.first().and_then(|states| states.as_binary_opt::<i32>()) else {
        return exec_err!("a statistic received a state that is not its own");
    };
    for (row, state) in states.iter().enumerate() {
        if state.is_some_and(|state| each(row, state).is_none()) {
            return exec_err!("a statistic received a state that is not its own");
        }
    }
    Ok(())
}

/// A statistic of all rows, or of a window's frame.
#[derive(Debug)]
pub(in super::super) struct Statistics<const V: usize, const P: usize> {
    of: Statistic,
    moments: Moments<V, P>,
}

impl<const V: usize, const P: usize> Statistics<V, P> {
    /// Begins without a row.
    pub fn new(of: Statistic) -> Self {
        Self {
            of,
            moments: Moments::default(),
        }
    }
}

impl<const V: usize, const P: usize> Accumulator for Statistics<V, P> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_row(values, None, |_, row| self.moments.add(row, false))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_row(values, None, |_, row| self.moments.add(row, true))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.moments.value(self.of)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = Vec::new();
        self.moments.write(&mut state);
        Ok(vec![ScalarValue::Binary(Some(state))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        merge::<V, P>(states, |_, state| self.moments.read(state))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.moments.size()
    }
}

/// A statistic for each group.
#[derive(Debug)]
pub(in super::super) struct StatisticsGroups<const V: usize, const P: usize> {
    of: Statistic,
    moments: Vec<Moments<V, P>>,
}

impl<const V: usize, const P: usize> StatisticsGroups<V, P> {
    /// Begins without a group.
    pub fn new(of: Statistic) -> Self {
        Self {
            of,
            moments: Vec::new(),
        }
    }

    fn resize(&mut self, groups: usize) {
        if self.moments.len() < groups {
            self.moments.resize(groups, Moments::default());
        }
    }
}

impl<const V: usize, const P: usize> GroupsAccumulator for StatisticsGroups<V, P> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.resize(count);
        each_row(values, filter, |at, row| self.moments[groups[at]].add(row, false))
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let moments = emit.take_needed(&mut self.moments);
        let values = moments.iter().map(|moments| moments.value(self.of));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let moments = emit.take_needed(&mut self.moments);
        let mut states = BinaryBuilder::with_capacity(moments.len(), 128 * moments.len());
        let mut state = Vec::new();
        for moments in &moments {
            state.clear();
            moments.write(&mut state);
            states.append_value(&state);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.resize(count);
        merge::<V, P>(states, |row, state| self.moments[groups[row]].read(state))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = Self::new(self.of);
        let each: Vec<usize> = (0..values.first().map_or(0, |values| values.len())).collect();
        rows.update_batch(values, &each, filter, each.len())?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let beside: usize = self.moments.iter().map(Moments::size).sum();
        self.moments.capacity() * size_of::<Moments<V, P>>() + beside
    }
}

/// A statistic of the distinct values of one variable, of all rows or of a window's frame.
#[derive(Debug)]
pub(in super::super) struct DistinctStatistics {
    of: Statistic,
    moments: Moments<1, 1>,
    /// How often each value is there.
    values: HashMap<u64, u64>,
}

impl DistinctStatistics {
    /// Begins without a value.
    pub fn new(of: Statistic) -> Self {
        Self {
            of,
            moments: Moments::default(),
            values: HashMap::new(),
        }
    }
}

impl Accumulator for DistinctStatistics {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_row(values, None, |_, [value]| {
            let count = self.values.entry(FloatSums::key(value)).or_default();
            *count += 1;
            if *count == 1 {
                self.moments.add([value], false);
            }
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_row(values, None, |_, [value]| {
            let key = FloatSums::key(value);
            let Some(count) = self.values.get_mut(&key) else { return };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.values.remove(&key);
                self.moments.add([value], true);
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.moments.value(self.of)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Float64Array = self.values.keys().map(|key| Some(f64::from_bits(*key))).collect();
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(field, offsets, Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|states| states.as_list_opt::<i32>()) else {
            return exec_err!("an aggregate of distinct values received a state that is not its own");
        };
        let lists = states.iter().flatten();
        let lists = lists.filter(|list| list.as_primitive_opt::<Float64Type>().is_some());
        lists.into_iter().try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * 2 * size_of::<u64>() + self.moments.size()
    }
}

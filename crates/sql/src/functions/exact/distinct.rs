//! Exact sums and means of distinct values, of all rows or of a window's frame.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, ListArray, PrimitiveArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;

use super::groups::argument;
use super::{Native, Sums, Wanted, each_value};

/// A sum or a mean of distinct values. Its sums have one group.
#[derive(Debug)]
pub(in super::super) struct Distinct<S: Sums> {
    wanted: Wanted,
    sums: S,
    /// How often each value is there.
    values: HashMap<S::Key, (Native<S>, u64)>,
}

impl<S: Sums> Distinct<S> {
    /// Begins without a value.
    pub fn new(mut sums: S, wanted: Wanted) -> Self {
        sums.resize(1);
        Self {
            wanted,
            sums,
            values: HashMap::new(),
        }
    }

    fn add(&mut self, value: Native<S>) {
        let (_, count) = self.values.entry(S::key(value)).or_insert((value, 0));
        *count += 1;
        if *count == 1 {
            self.sums.add(0, value);
        }
    }

    fn remove(&mut self, value: Native<S>) {
        let key = S::key(value);
        let Some((_, count)) = self.values.get_mut(&key) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.values.remove(&key);
            self.sums.subtract(0, value);
        }
    }
}

fn item(of: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(of.clone(), true))
}

impl<S: Sums> Accumulator for Distinct<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_value(argument::<S::Of>(values)?, None, |_, value| self.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_value(argument::<S::Of>(values)?, None, |_, value| self.remove(value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count = self.values.len() as u64;
        match self.wanted {
            Wanted::Mean if count == 0 => Ok(ScalarValue::Float64(None)),
            Wanted::Mean => Ok(ScalarValue::Float64(self.sums.mean(0, count)?)),
            Wanted::Sum => {
                let sum = if count == 0 { None } else { self.sums.sum(0)? };
                ScalarValue::new_primitive::<S::Of>(sum, &self.sums.sum_type())
            }
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let of = self.sums.sum_type();
        let values = PrimitiveArray::<S::Of>::from_iter_values(self.values.values().map(|(value, _)| *value));
        let values = Arc::new(values.with_data_type(of.clone()));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(item(&of), offsets, values, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|states| states.as_list_opt::<i32>()) else {
            return exec_err!("an aggregate of distinct values received a state that is not its own");
        };
        states
            .iter()
            .flatten()
            .try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        let entry = size_of::<S::Key>() + size_of::<(Native<S>, u64)>();
        size_of_val(self) + self.values.capacity() * entry + self.sums.size()
    }
}

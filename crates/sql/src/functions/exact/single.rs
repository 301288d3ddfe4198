//! One exact sum or mean: of all rows, or of a window's frame.

use datafusion::arrow::array::{Array, ArrayRef, PrimitiveArray};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;

use super::groups::argument;
use super::{Native, Sums, Wanted, each_value};

/// A sum or a mean. Its sums have one group.
#[derive(Debug)]
pub(in super::super) struct Single<S> {
    wanted: Wanted,
    sums: S,
    /// How many values there are; of a sum that was merged, how many parts it had.
    count: u64,
}

impl<S: Sums> Single<S> {
    /// Begins without a value.
    pub fn new(mut sums: S, wanted: Wanted) -> Self {
        sums.resize(1);
        Self { wanted, sums, count: 0 }
    }

    fn valid(values: &PrimitiveArray<S::Of>) -> u64 {
        (values.len() - values.null_count()) as u64
    }
}

impl<S: Sums> Accumulator for Single<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = argument::<S::Of>(values)?;
        self.count = self.count.saturating_add(Self::valid(values));
        if values.null_count() == 0 {
            self.sums.add_all(0, values.values());
            return Ok(());
        }
        let known: Vec<Native<S>> = values.iter().flatten().collect();
        self.sums.add_all(0, &known);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = argument::<S::Of>(values)?;
        self.count = self.count.saturating_sub(Self::valid(values));
        each_value(values, None, |_, value| self.sums.subtract(0, value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.wanted {
            Wanted::Mean if self.count == 0 => Ok(ScalarValue::Float64(None)),
            Wanted::Mean => Ok(ScalarValue::Float64(self.sums.mean(0, self.count)?)),
            Wanted::Sum => {
                let sum = if self.count == 0 { None } else { self.sums.sum(0)? };
                ScalarValue::new_primitive::<S::Of>(sum, &self.sums.sum_type())
            }
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::try_from_array(&self.sums.states()?, 0)?;
        Ok(match self.wanted {
            Wanted::Sum => vec![sum],
            Wanted::Mean => vec![ScalarValue::UInt64(Some(self.count)), sum],
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = match (self.wanted, states) {
            (Wanted::Sum, [sums]) => {
                let parts = sums.len() - sums.null_count();
                self.count = self.count.saturating_add(parts as u64);
                sums
            }
            (Wanted::Mean, [counts, sums]) => {
                let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
                each_value(counts, None, |_, count| self.count = self.count.saturating_add(count));
                sums
            }
            _ => return exec_err!("sum and avg received a state that is not theirs"),
        };
        self.sums.merge(sums, |_| 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.size()
    }
}

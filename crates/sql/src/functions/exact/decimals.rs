//! Exact sums of decimals, one for each group. 128 bits may run over on the way to a sum that fits, so overflows are
//! counted.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::EmitTo;

use super::Sums;

/// Sums of decimals of a scale.
#[derive(Debug)]
pub(in super::super) struct DecimalSums {
    precision: u8,
    scale: i8,
    sums: Vec<Sum>,
}

/// `low` + `high` · 2^128, of how many values there were.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    low: i128,
    high: i64,
    any: bool,
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, value: i128) {
        let (low, over) = self.low.overflowing_add(value);
        self.low = low;
        self.any = true;
        if over {
            self.high = self.high.saturating_add(if value < 0 { -1 } else { 1 });
        }
    }
}

impl DecimalSums {
    /// Returns none yet, of a type for its sums.
    pub fn new(precision: u8, scale: i8) -> Self {
        Self {
            precision,
            scale,
            sums: Vec::new(),
        }
    }
}

impl Sums for DecimalSums {
    type Of = Decimal128Type;
    type Key = i128;

    fn empty(&self) -> Self {
        Self::new(self.precision, self.scale)
    }

    fn sum_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn state_type(&self) -> DataType {
        self.sum_type()
    }

    fn len(&self) -> usize {
        self.sums.len()
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, Sum::default());
    }

    #[inline(always)]
    fn add(&mut self, group: usize, value: i128) {
        self.sums[group].add(value);
    }

    fn subtract(&mut self, group: usize, value: i128) {
        self.sums[group].add(value.saturating_neg());
    }

    fn take(&mut self, emit: EmitTo) -> Self {
        Self {
            sums: emit.take_needed(&mut self.sums),
            ..*self
        }
    }

    fn sum(&self, group: usize) -> Result<Option<i128>> {
        let Sum { low, high, any } = self.sums[group];
        let most = 10_i128.checked_pow(u32::from(self.precision)).unwrap_or(i128::MAX);
        if high != 0 || low.unsigned_abs() >= most.unsigned_abs() {
            let (precision, scale) = (self.precision, self.scale);
            return exec_err!("sum is out of range of DECIMAL({precision}, {scale}), cast the argument to DOUBLE");
        }
        Ok(any.then_some(low))
    }

    fn mean(&self, _: usize, _: u64) -> Result<Option<f64>> {
        exec_err!("avg of decimals is not computed as a double")
    }

    fn states(&self) -> Result<ArrayRef> {
        let sums = (0..self.sums.len()).map(|group| self.sum(group));
        let sums = sums.collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(sums.with_data_type(self.state_type())))
    }

    fn merge(&mut self, states: &ArrayRef, group_of: impl Fn(usize) -> usize) -> Result<()> {
        let Some(states) = states.as_primitive_opt::<Decimal128Type>() else {
            return exec_err!("sum received a state that is not its own");
        };
        for (row, sum) in states.iter().enumerate() {
            if let Some(sum) = sum {
                self.add(group_of(row), sum);
            }
        }
        Ok(())
    }

    fn key(value: i128) -> i128 {
        value
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>()
    }
}

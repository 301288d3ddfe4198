//! Exact sums of whole numbers, one for each group: in 128 bits, which no table's BIGINTs fill.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::EmitTo;

use super::Sums;
use super::big::Big;

/// A type whose values add up in 128 bits.
pub(in super::super) trait Whole: ArrowPrimitiveType + Debug {
    /// What SQL calls it.
    const SQL: &'static str;

    fn wide(value: Self::Native) -> i128;
    fn narrow(sum: i128) -> Option<Self::Native>;
}

impl Whole for Int64Type {
    const SQL: &'static str = "BIGINT";

    fn wide(value: i64) -> i128 {
        value.into()
    }

    fn narrow(sum: i128) -> Option<i64> {
        sum.try_into().ok()
    }
}

impl Whole for UInt64Type {
    const SQL: &'static str = "BIGINT UNSIGNED";

    fn wide(value: u64) -> i128 {
        value.into()
    }

    fn narrow(sum: i128) -> Option<u64> {
        sum.try_into().ok()
    }
}

/// Stands for the sum of no value: no sum comes to it.
const NONE: i128 = i128::MIN;

/// The type in which sums travel.
const STATE: DataType = DataType::Decimal128(38, 0);

/// Sums of whole numbers.
#[derive(Debug)]
pub(in super::super) struct WholeSums<T> {
    sums: Vec<i128>,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for WholeSums<T> {
    fn default() -> Self {
        Self {
            sums: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T> WholeSums<T> {
    /// Adds without a check: the sum of as many values as there can be rows is far from the end of the type.
    #[inline(always)]
    fn add_wide(&mut self, group: usize, value: i128) {
        let sum = &mut self.sums[group];
        *sum = if *sum == NONE { value } else { sum.wrapping_add(value) };
    }
}

impl<T: Whole> Sums for WholeSums<T> {
    type Of = T;
    type Key = i128;

    fn empty(&self) -> Self {
        Self::default()
    }

    fn sum_type(&self) -> DataType {
        T::DATA_TYPE
    }

    fn state_type(&self) -> DataType {
        STATE
    }

    fn len(&self) -> usize {
        self.sums.len()
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, NONE);
    }

    #[inline(always)]
    fn add(&mut self, group: usize, value: T::Native) {
        self.add_wide(group, T::wide(value));
    }

    fn add_all(&mut self, group: usize, values: &[T::Native]) {
        if !values.is_empty() {
            let sum = values
                .iter()
                .fold(0_i128, |sum, value| sum.wrapping_add(T::wide(*value)));
            self.add_wide(group, sum);
        }
    }

    fn subtract(&mut self, group: usize, value: T::Native) {
        self.add_wide(group, -T::wide(value));
    }

    fn take(&mut self, emit: EmitTo) -> Self {
        Self {
            sums: emit.take_needed(&mut self.sums),
            of: PhantomData,
        }
    }

    fn sum(&self, group: usize) -> Result<Option<T::Native>> {
        match self.sums[group] {
            NONE => Ok(None),
            sum => match T::narrow(sum) {
                None => exec_err!("sum is out of range of {}, cast the argument to DECIMAL", T::SQL),
                sum => Ok(sum),
            },
        }
    }

    fn mean(&self, group: usize, count: u64) -> Result<Option<f64>> {
        Ok(match self.sums[group] {
            NONE => None,
            // Each of both is a double, so that only the division rounds.
            sum if sum.unsigned_abs() < 1 << 53 && count < 1 << 53 => Some(sum as f64 / count as f64),
            sum => {
                let limbs = sum.unsigned_abs();
                let limbs = vec![limbs as u64, (limbs >> 64) as u64];
                Some(Big::new(sum < 0, limbs, 0).divided(&[count]))
            }
        })
    }

    fn states(&self) -> Result<ArrayRef> {
        let sums = self.sums.iter().map(|sum| (*sum != NONE).then_some(*sum));
        Ok(Arc::new(Decimal128Array::from_iter(sums).with_data_type(STATE)))
    }

    fn merge(&mut self, states: &ArrayRef, group_of: impl Fn(usize) -> usize) -> Result<()> {
        // A sum by itself is a state, too, where a plan was made with the engine's function.
        let states = match states.data_type() {
            DataType::Decimal128(_, 0) => Arc::clone(states),
            _ => cast(states, &STATE)?,
        };
        let Some(states) = states.as_primitive_opt::<Decimal128Type>() else {
            return exec_err!("sum received a state that is not its own");
        };
        for (row, sum) in states.iter().enumerate() {
            if let Some(sum) = sum {
                self.add_wide(group_of(row), sum);
            }
        }
        Ok(())
    }

    fn key(value: T::Native) -> i128 {
        T::wide(value)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>()
    }
}

//! Sums that are exact until they are given out: neither the order of rows nor how rows are split over tasks shows in
//! them, and what leaves a window's frame is taken away without a trace. Doubles are in [`floats`], whole numbers in
//! [`integers`], decimals in [`decimals`], and variances, which need sums of products, in [`moments`]. What SQL calls
//! these is said by the functions (`sum.rs`, `avg.rs`, `variance.rs`).

mod big;
mod decimals;
mod distinct;
mod fixed;
mod floats;
mod groups;
mod integers;
mod moments;
mod pair;
mod products;
mod single;
mod statistics;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::hash::Hash;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;

pub(super) use decimals::DecimalSums;
pub(super) use distinct::Distinct;
pub(super) use floats::FloatSums;
pub(super) use groups::Groups;
pub(super) use integers::WholeSums;
pub(super) use moments::Statistic;
pub(super) use single::Single;
pub(super) use statistics::{DistinctStatistics, Statistics, StatisticsGroups};

/// The values of a kind of sum.
pub(super) type Native<S> = <<S as Sums>::Of as ArrowPrimitiveType>::Native;

/// What is computed of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Sum,
    Mean,
}

/// Sums, one for each group. Groups are numbered from zero on.
pub(super) trait Sums: Debug + Sized + Send + Sync + 'static {
    /// The type of values and of sums.
    type Of: ArrowPrimitiveType;
    /// What two values have in common if they are one value.
    type Key: Debug + Copy + Eq + Hash + Send + Sync;

    /// Returns none of the same kind.
    fn empty(&self) -> Self;
    fn sum_type(&self) -> DataType;
    fn state_type(&self) -> DataType;
    fn len(&self) -> usize;
    fn resize(&mut self, groups: usize);
    fn add(&mut self, group: usize, value: Native<Self>);
    fn subtract(&mut self, group: usize, value: Native<Self>);
    fn add_all(&mut self, group: usize, values: &[Native<Self>]) {
        values.iter().for_each(|value| self.add(group, *value));
    }
    /// Removes the first groups.
    fn take(&mut self, emit: EmitTo) -> Self;
    /// Returns a sum, or none if nothing was added.
    fn sum(&self, group: usize) -> Result<Option<Native<Self>>>;
    /// Returns a sum divided by how many values there were.
    fn mean(&self, group: usize, count: u64) -> Result<Option<f64>>;
    /// Returns all sums as they travel.
    fn states(&self) -> Result<ArrayRef>;
    /// Adds sums that travelled, each to its group.
    fn merge(&mut self, states: &ArrayRef, group_of: impl Fn(usize) -> usize) -> Result<()>;
    fn key(value: Native<Self>) -> Self::Key;
    /// Returns how many bytes they take.
    fn size(&self) -> usize;
}

/// Calls `each` with every value that the filter leaves, and its row.
fn each_value<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    filter: Option<&BooleanArray>,
    mut each: impl FnMut(usize, T::Native),
) {
    if values.null_count() == 0 && filter.is_none() {
        for (row, value) in values.values().iter().enumerate() {
            each(row, *value);
        }
        return;
    }
    let counts = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
    for (row, value) in values.values().iter().enumerate() {
        if values.is_valid(row) && counts(row) {
            each(row, *value);
        }
    }
}

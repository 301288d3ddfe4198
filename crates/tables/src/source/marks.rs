//! Which rows of a batch are bad, and why: the first bad column of each row, in the table's order.

use std::collections::BTreeMap;

use arrow::array::BooleanArray;

use super::error::Reason;

/// The bad rows of one batch; almost always none.
#[derive(Debug, Default)]
pub(super) struct Marks {
    rows: BTreeMap<usize, (usize, Reason)>,
}

impl Marks {
    /// Marks a row bad in a column. Columns are checked in the table's order, so the first mark of a row stays.
    pub(super) fn mark(&mut self, row: usize, column: usize, reason: Reason) {
        self.rows.entry(row).or_insert((column, reason));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Row, column and reason of every bad row, by row.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, Reason)> {
        self.rows.iter().map(|(row, (column, reason))| (*row, *column, *reason))
    }

    /// True for every good row of a batch of `rows`.
    pub(super) fn good(&self, rows: usize) -> BooleanArray {
        (0..rows).map(|row| Some(!self.rows.contains_key(&row))).collect()
    }
}

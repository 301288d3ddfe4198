//! The declared order of rows, watched batch by batch: ascending by the patient id and the columns that follow it, NULLs
//! last. Writing refuses rows that break it; verifying names them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::splits::FILE_ORDER;

/// Sees every row once, in the order of the file.
pub(crate) struct RowOrder {
    columns: Vec<usize>,
    converter: RowConverter,
    last: Option<OwnedRow>,
}

impl RowOrder {
    /// The order by these columns of `schema`; without a column every order will do.
    pub(crate) fn new<'a>(schema: &Schema, columns: impl IntoIterator<Item = &'a str>) -> Result<Self, ArrowError> {
        let columns = columns
            .into_iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            converter: converter(schema, &columns)?,
            columns,
            last: None,
        })
    }

    /// The rows of the next batch that are smaller than the row before them, by their position in the batch.
    pub(crate) fn breaks(&mut self, batch: &RecordBatch) -> Result<Vec<usize>, ArrowError> {
        if self.columns.is_empty() || batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = self.columns.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        let rows = self.converter.convert_columns(&keys)?;
        let first_breaks = self.last.as_ref().is_some_and(|last| last.row() > rows.row(0));
        let later = (1..rows.num_rows()).filter(|row| rows.row(row - 1) > rows.row(*row));
        let breaks = first_breaks.then_some(0).into_iter().chain(later).collect();
        self.last = Some(rows.row(rows.num_rows() - 1).owned());
        Ok(breaks)
    }
}

/// What makes rows of these columns comparable as a file orders them.
pub(crate) fn converter(schema: &Schema, columns: &[usize]) -> Result<RowConverter, ArrowError> {
    let key = |at: &usize| SortField::new_with_options(schema.field(*at).data_type().clone(), FILE_ORDER);
    RowConverter::new(columns.iter().map(key).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    fn batch(values: &[Option<i32>]) -> RecordBatch {
        let values: ArrayRef = Arc::new(Int32Array::from(values.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("n", values, true)]).unwrap()
    }

    #[test]
    fn rows_are_compared_across_batches() {
        let first = batch(&[Some(1), Some(1), Some(4)]);
        let mut order = RowOrder::new(&first.schema(), ["n"]).unwrap();
        assert!(order.breaks(&first).unwrap().is_empty());
        assert_eq!(
            order
                .breaks(&batch(&[Some(3), Some(5), None, Some(5), Some(6)]))
                .unwrap(),
            [0, 3]
        );
        assert!(order.breaks(&batch(&[])).unwrap().is_empty());
        assert!(order.breaks(&batch(&[Some(6)])).unwrap().is_empty());
        let mut none = RowOrder::new(&first.schema(), []).unwrap();
        assert!(none.breaks(&batch(&[Some(2), Some(1)])).unwrap().is_empty());
    }
}

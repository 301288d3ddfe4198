//! Makes sure that batches come in the order that they are declared to have.

use std::sync::Arc;

use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};

/// Looks at one batch after the other.
pub(super) struct InOrder {
    columns: Vec<Arc<dyn PhysicalExpr>>,
    rows: RowConverter,
    last: Option<OwnedRow>,
}

impl InOrder {
    pub(super) fn new(ordering: &LexOrdering, schema: &Schema) -> Result<Self> {
        let field = |by: &datafusion::physical_expr::PhysicalSortExpr| {
            Ok(SortField::new_with_options(by.expr.data_type(schema)?, by.options))
        };
        let fields = ordering.iter().map(field).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            columns: ordering.iter().map(|by| Arc::clone(&by.expr)).collect(),
            rows: RowConverter::new(fields)?,
            last: None,
        })
    }

    /// An error if a row of `batch` belongs before one that came earlier.
    pub(super) fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = self
            .columns
            .iter()
            .map(|column| column.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<Result<Vec<_>>>()?;
        let rows = self.rows.convert_columns(&columns)?;
        let mut all = rows.iter();
        let Some(mut before) = all.next() else {
            return Ok(());
        };
        let continues = self.last.as_ref().is_none_or(|last| last.row() <= before);
        let ascends = all.all(|row| std::mem::replace(&mut before, row) <= row);
        if !continues || !ascends {
            return internal_err!("a partition is not in the order that the plan declares, its query is not answered");
        }
        self.last = Some(before.owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::array::{Int32Array, RecordBatch};
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::col;

    fn batch(values: &[i32]) -> RecordBatch {
        let column = Arc::new(Int32Array::from(values.to_vec())) as _;
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    fn in_order(batches: &[&[i32]]) -> bool {
        let schema = batch(&[]).schema();
        let by = PhysicalSortExpr::new_default(col("n", &schema).unwrap());
        let mut order = InOrder::new(&LexOrdering::new([by]).unwrap(), &schema).unwrap();
        batches.iter().all(|values| order.check(&batch(values)).is_ok())
    }

    #[test]
    fn order_is_looked_at_within_batches_and_between_them() {
        assert!(in_order(&[&[1, 1, 2], &[], &[2, 5]]));
        assert!(!in_order(&[&[1, 3, 2]]));
        assert!(!in_order(&[&[1, 3], &[2, 4]]));
    }
}

//! Rows that are in the order of some columns, put in that of more: sorted within what is in order already, a patient's rows at
//! a time. The engine has such a sort, for endless inputs; it counts no memory, and copies what it holds with every batch.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::sorts::sort::sort_batch;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::held::{Groups, Held};
use super::node::{Node, Operator, Partition, Run};

/// The rows of `input` in this order, in whose first so many columns they are already.
pub(super) fn sorted(input: Arc<dyn ExecutionPlan>, order: LexOrdering, within: usize) -> Arc<dyn ExecutionPlan> {
    let mut known = input.equivalence_properties().clone();
    known.clear_orderings();
    known.add_ordering(order.clone());
    let by = order.iter().take(within).map(|by| Arc::clone(&by.expr)).collect();
    Node::declaring(input, SortedWithin { order, by }, known)
}

#[derive(Debug)]
struct SortedWithin {
    order: LexOrdering,
    /// The expressions by which rows come in order.
    by: Vec<Arc<dyn PhysicalExpr>>,
}

impl Operator for SortedWithin {
    const NAME: &'static str = "SortedWithin";

    fn begin(&self, partition: Partition) -> Result<Box<dyn Run>> {
        Ok(Box::new(Sorting {
            order: self.order.clone(),
            held: Held::new(self.by.clone(), partition.batch, partition.memory),
        }))
    }
}

/// One partition of it at work.
struct Sorting {
    order: LexOrdering,
    held: Held,
}

impl Sorting {
    fn sorted(&self, groups: Option<Groups>) -> Result<Option<RecordBatch>> {
        // All at once: groups follow each other in this order, too.
        groups
            .map(|groups| sort_batch(&groups.rows, &self.order, None))
            .transpose()
    }
}

impl Run for Sorting {
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        let groups = self.held.add(rows)?;
        self.sorted(groups)
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        let groups = self.held.end()?;
        self.sorted(groups)
    }
}

//! Limits that stay where a plan is looked at part by part.
//!
//! A merge of sorted rows may have a limit of its own. Where nothing above it needs the order, DataFusion 55 takes the merge
//! away, and its order or its limit with it (`EnsureRequirements`), unless the sort with the same limit is below it. Ballista 55
//! has cut that off when it plans a query once, and looks at each stage alone. A mark above the merge needs its order.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use super::marks::{Mark, MarkExec};

/// The mark of a limit.
#[derive(Debug)]
pub(crate) struct Limited;

/// Emits the first rows of an order.
pub(crate) type LimitedExec = MarkExec<Limited>;

impl Mark for Limited {
    const NAME: &str = "LimitedExec";
    const ORDERED: bool = true;
    const MOVES: bool = false;
    const NEEDS_ORDER: bool = true;
}

/// Returns the plan with a mark above each merge that has a limit.
///
/// # Errors
/// If a node does not take the mark for its input.
pub(super) fn marked(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    LimitedExec::above_each(plan, |node| {
        node.is::<SortPreservingMergeExec>() && node.fetch().is_some()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::sorts::sort::SortExec;

    use super::super::unordered::UnorderedExec;
    use super::*;

    fn sorted(fetch: Option<usize>) -> SortExec {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let by = PhysicalSortExpr::new_default(col("n", &schema).unwrap());
        SortExec::new([by].into(), Arc::new(EmptyExec::new(schema))).with_fetch(fetch)
    }

    fn merged(fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
        let sort = sorted(None);
        let order = sort.expr().clone();
        Arc::new(SortPreservingMergeExec::new(order, Arc::new(sort)).with_fetch(fetch))
    }

    #[test]
    fn a_merge_with_a_limit_is_marked_and_nothing_else() {
        assert!(marked(merged(Some(3))).unwrap().is::<LimitedExec>());
        assert!(!marked(merged(None)).unwrap().is::<LimitedExec>());
        assert!(!marked(Arc::new(sorted(Some(3)))).unwrap().is::<LimitedExec>());
    }

    #[test]
    fn a_limit_needs_the_order_of_what_is_below_it() {
        let needed = LimitedExec::over(merged(Some(3))).required_input_ordering();
        assert_eq!(needed.len(), 1);
        assert!(needed[0].is_some());
        assert_eq!(UnorderedExec::over(merged(Some(3))).required_input_ordering().len(), 1);
        assert!(UnorderedExec::over(merged(Some(3))).required_input_ordering()[0].is_none());
    }
}

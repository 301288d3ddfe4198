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

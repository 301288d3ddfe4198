//! Which plans are totals: of one partition, whatever is below them.

use std::sync::Arc;

use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

/// Whether leaving partitions of its leaves out leaves the plan as it is.
pub(super) fn is_total(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.children().is_empty() {
        return false;
    }
    let aligned = aligned_children(plan);
    collapses(plan) || aligned.is_empty() || aligned.into_iter().any(is_total)
}

/// Whether a plan is a total, or may become one when the engine chooses otherwise between the sides of a join.
pub(super) fn may_be_total(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let (children, aligned) = (plan.children(), aligned_children(plan));
    if children.is_empty() {
        return false;
    }
    let read_as_a_whole = plan.downcast_ref::<HashJoinExec>().is_some_and(|join| join.null_aware);
    let parts = if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        children
    } else {
        aligned
    };
    read_as_a_whole || collapses(plan) || parts.is_empty() || parts.into_iter().any(may_be_total)
}

/// Whether a node makes one partition of many.
pub(super) fn collapses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CoalescePartitionsExec>() || plan.is::<SortPreservingMergeExec>()
}

/// The children whose partitions are the plan's own; others are read whole by every task.
pub(super) fn aligned_children(plan: &Arc<dyn ExecutionPlan>) -> Vec<&Arc<dyn ExecutionPlan>> {
    let required = plan.input_distribution_requirements();
    let whole: Vec<bool> = required
        .per_child_distributions()
        .map(|distribution| matches!(distribution, Distribution::SinglePartition))
        .collect();
    let children = plan.children().into_iter().enumerate();
    children
        .filter(|(i, _)| !whole.get(*i).copied().unwrap_or(false))
        .map(|(_, child)| child)
        .collect()
}

//! Which plans are totals: of one partition, whatever is below them.

use std::sync::Arc;

use ballista_core::execution_plans::ShuffleReaderExec;
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// Whether leaving partitions of its leaves out leaves the plan as it is.
pub(super) fn is_total(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.children().is_empty() {
        return is_whole(plan);
    }
    let aligned = aligned_children(plan);
    collapses(plan) || aligned.is_empty() || aligned.into_iter().any(is_total)
}

/// Whether a leaf is read whole by every task: Ballista narrows scans and the partitions of stages alone.
fn is_whole(leaf: &Arc<dyn ExecutionPlan>) -> bool {
    let is_broadcast = |reader: &ShuffleReaderExec| reader.broadcast;
    leaf.is::<LazyMemoryExec>() || leaf.downcast_ref().is_some_and(is_broadcast)
}

/// Whether a plan is a total, or may become one when the engine chooses otherwise between the sides of a join, or groups the
/// rows of a single partition in one step.
pub(super) fn may_be_total(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let (children, aligned) = (plan.children(), aligned_children(plan));
    if children.is_empty() {
        return is_whole(plan);
    }
    let read_as_a_whole = plan.downcast_ref::<HashJoinExec>().is_some_and(|join| join.null_aware);
    let in_one_step = plan.is::<AggregateExec>()
        && children
            .iter()
            .all(|input| input.output_partitioning().partition_count() == 1);
    let parts = if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        children
    } else {
        aligned
    };
    read_as_a_whole || in_one_step || collapses(plan) || parts.is_empty() || parts.into_iter().any(may_be_total)
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

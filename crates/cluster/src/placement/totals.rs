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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::common::JoinType;
    use datafusion::physical_plan::aggregates::{AggregateMode, PhysicalGroupBy};
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::limit::LocalLimitExec;

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
    }

    fn rows(partitions: usize) -> Arc<dyn ExecutionPlan> {
        Arc::new(EmptyExec::new(schema()).with_partitions(partitions))
    }

    fn grouped(partitions: usize) -> Arc<dyn ExecutionPlan> {
        let (mode, keys) = (AggregateMode::Partial, PhysicalGroupBy::default());
        let aggregate = AggregateExec::try_new(mode, keys, vec![], vec![], rows(partitions), schema());
        Arc::new(aggregate.unwrap())
    }

    #[test]
    fn leaves_that_every_task_reads_are_whole() {
        let series: Arc<dyn ExecutionPlan> = Arc::new(LazyMemoryExec::try_new(schema(), vec![]).unwrap());
        assert!(is_total(&series) && may_be_total(&series));
        let read = |broadcast| -> Arc<dyn ExecutionPlan> {
            let mut reader = ShuffleReaderExec::try_new(
                1,
                vec![vec![]; 2],
                schema(),
                datafusion::physical_plan::Partitioning::UnknownPartitioning(2),
            )
            .unwrap();
            reader.broadcast = broadcast;
            Arc::new(reader)
        };
        assert!(is_total(&read(true)) && may_be_total(&read(true)));
        assert!(!is_total(&read(false)) && !may_be_total(&read(false)));
        assert!(!is_total(&rows(4)) && !may_be_total(&rows(4)));
    }

    #[test]
    fn what_may_be_grouped_in_one_step_may_be_a_total() {
        assert!(may_be_total(&grouped(1)) && !may_be_total(&grouped(4)));
        // No other node does so for having one partition below it.
        let limited: Arc<dyn ExecutionPlan> = Arc::new(LocalLimitExec::new(rows(1), 3));
        assert!(!may_be_total(&limited));
    }

    #[test]
    fn either_side_of_a_join_that_may_be_swapped_counts() {
        let total = || Arc::new(CoalescePartitionsExec::new(rows(4))) as Arc<dyn ExecutionPlan>;
        let crossed: Arc<dyn ExecutionPlan> = Arc::new(CrossJoinExec::new(total(), rows(4)));
        let looped = NestedLoopJoinExec::try_new(total(), rows(4), None, &JoinType::Inner, None);
        let looped: Arc<dyn ExecutionPlan> = Arc::new(looped.unwrap());
        for join in [crossed, looped] {
            assert!(may_be_total(&join) && !is_total(&join));
        }
    }
}

//! The check of a stage plan before a task of it runs: only what is proven to answer alike however it is split is let through.
//!
//! A leaf is *split* when the task reads its own partitions of it, and *whole* when every task reads all of it. A node is
//! total when no split leaf decides about its rows ([`super::totals::is_total`]).
//!
//! | Node | What it needs when the stage is split over tasks |
//! |---|---|
//! | scan, filter, projection, partial aggregate, local limit, sort, unnest | any rows |
//! | final aggregate, window, partitioned join | all rows of a key; the engine's own check holds them to it before the split |
//! | partitioned join | both sides split, or both total |
//! | nested-loop, cross and collecting hash join | the left side whole; the right one any rows if each row that comes out is decided by one row of it, and every row otherwise |
//! | global limit, single aggregate, merge | every row; Ballista leaves what is below whole |
//! | union | parts that are all split |
//! | repartition within the stage | no total: each task would deal out all of it |
//! | union in one task | every row of each part |
//!
//! Whether a stage is split or not, a node that needs all rows of an input as one partition must have one
//! ([`check_inputs`]).

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::joins::{by_right_row, collecting};
use super::totals::{aligned_children, collapses, is_total};

/// Refuses a plan with a node that needs all rows of an input in one partition and has several. It would read the first.
///
/// # Errors
/// An internal error, as a fault of ours: the query is then planned in a plainer way.
pub fn check_inputs(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let required = plan.input_distribution_requirements();
    let needs_one = required
        .per_child_distributions()
        .map(|distribution| matches!(distribution, Distribution::SinglePartition));
    for (needs_one, input) in needs_one.zip(plan.children()) {
        if needs_one && input.output_partitioning().partition_count() > 1 {
            return internal_err!("{} needs one partition and has several", plan.name());
        }
        check_inputs(input)?;
    }
    Ok(())
}

/// Refuses a plan that may be split over tasks and holds a node for which that is not proven sound.
///
/// # Errors
/// An internal error, as a fault of ours: the query is then planned in a plainer way.
pub fn check_split(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if collapses(plan) {
        return Ok(());
    }
    if plan.is::<RepartitionExec>() && plan.children().into_iter().all(is_total) {
        return internal_err!("a total is dealt out within a stage that is split over tasks");
    }
    if plan.is::<UnionExec>() && plan.children().into_iter().any(is_total) {
        return internal_err!("a union of totals is split over tasks");
    }
    if let Some(join_type) = collecting(plan)
        && !by_right_row(join_type)
        && !plan.children().last().is_some_and(|right| is_total(right))
    {
        return internal_err!("a join that emits rows of its collected side is split over tasks");
    }
    if joins_partitions(plan) {
        let total: Vec<bool> = plan.children().into_iter().map(is_total).collect();
        if total.windows(2).any(|two| two[0] != two[1]) {
            return internal_err!("a join of a total with rows that are split over tasks");
        }
    }
    aligned_children(plan).into_iter().try_for_each(check_split)
}

/// Whether partition *n* of the node is made of partition *n* of either side.
fn joins_partitions(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<SortMergeJoinExec>()
        || plan
            .downcast_ref::<HashJoinExec>()
            .is_some_and(|join| *join.partition_mode() == PartitionMode::Partitioned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::{JoinType, NullEquality};
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::joins::NestedLoopJoinExec;

    fn leaf(partitions: usize) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        Arc::new(EmptyExec::new(schema).with_partitions(partitions))
    }

    fn total() -> Arc<dyn ExecutionPlan> {
        Arc::new(CoalescePartitionsExec::new(leaf(4)))
    }

    #[test]
    fn unions_of_totals_are_not_split() {
        let union = |parts| UnionExec::try_new(parts).unwrap();
        assert!(check_split(&union(vec![total(), total(), total()])).is_err());
        assert!(check_split(&union(vec![leaf(2), total()])).is_err());
        assert!(check_split(&union(vec![leaf(2), leaf(1)])).is_ok());
    }

    #[test]
    fn a_total_is_not_dealt_out_by_each_task() {
        use datafusion::physical_plan::Partitioning;
        let dealt = |input| {
            let repartition = RepartitionExec::try_new(input, Partitioning::RoundRobinBatch(4)).unwrap();
            Arc::new(repartition) as Arc<dyn ExecutionPlan>
        };
        assert!(check_split(&dealt(total())).is_err() && check_split(&dealt(leaf(1))).is_ok());
        let collected: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(dealt(total())));
        assert!(check_split(&collected).is_ok());
    }

    #[test]
    fn joins_that_emit_their_collected_side_are_not_split() {
        let split = |join_type, right| {
            let join = NestedLoopJoinExec::try_new(total(), right, None, &join_type, None).unwrap();
            check_split(&(Arc::new(join) as _)).is_err()
        };
        for join_type in [
            JoinType::Left,
            JoinType::Full,
            JoinType::LeftSemi,
            JoinType::LeftAnti,
            JoinType::LeftMark,
        ] {
            assert!(split(join_type, leaf(3)), "{join_type}");
            assert!(!split(join_type, total()), "{join_type}");
        }
        for join_type in [
            JoinType::Inner,
            JoinType::Right,
            JoinType::RightSemi,
            JoinType::RightAnti,
            JoinType::RightMark,
        ] {
            assert!(!split(join_type, leaf(3)), "{join_type}");
        }
    }

    #[test]
    fn what_needs_one_partition_has_one() {
        let join = |left, right| -> Arc<dyn ExecutionPlan> {
            Arc::new(NestedLoopJoinExec::try_new(left, right, None, &JoinType::Inner, None).unwrap())
        };
        for right in [leaf(1), leaf(3)] {
            assert!(check_inputs(&join(total(), Arc::clone(&right))).is_ok());
            assert!(check_inputs(&join(leaf(1), Arc::clone(&right))).is_ok());
            assert!(check_inputs(&join(leaf(2), Arc::clone(&right))).is_err());
            let above: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(join(leaf(2), right)));
            assert!(check_inputs(&above).is_err());
        }
    }

    #[test]
    fn partitions_are_joined_with_partitions() {
        let split = |left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>| {
            let on = vec![(col("n", &left.schema()).unwrap(), col("n", &right.schema()).unwrap())];
            let mode = PartitionMode::Partitioned;
            let nulls = NullEquality::NullEqualsNothing;
            let join =
                HashJoinExec::try_new(left, right, on, None, &JoinType::Inner, None, mode, nulls, false).unwrap();
            check_split(&(Arc::new(join) as _)).is_err()
        };
        assert!(split(total(), leaf(3)) && split(leaf(3), total()));
        assert!(!split(total(), total()) && !split(leaf(3), leaf(3)));
    }
}

//! Joins that emit rows of the side which every task collects. DataFusion decides about them once all partitions of the
//! other side were seen, by a counter that they share; tasks of a cluster share nothing.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode, PiecewiseMergeJoinExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};

use super::totals::is_total;
use super::unions::physical::{PlacedUnionExec, Way};

/// Returns the join type of a join whose left side is collected whole by every task.
pub(super) fn collecting(plan: &Arc<dyn ExecutionPlan>) -> Option<JoinType> {
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return Some(*join.join_type());
    }
    if let Some(join) = plan.downcast_ref::<PiecewiseMergeJoinExec>() {
        return Some(join.join_type());
    }
    let join = plan.downcast_ref::<HashJoinExec>()?;
    (*join.partition_mode() != PartitionMode::Partitioned).then(|| *join.join_type())
}

/// Whether every row that the join emits is decided by one row of the right side.
pub(super) fn by_right_row(join_type: JoinType) -> bool {
    matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

/// Returns the plan with both sides of each nested-loop join in one task, unless it is an inner join. Hash joins are
/// partitioned by the engine where they have to be.
///
/// Both sides, and whatever the join type: the engine may swap them when it knows how large they are.
pub(super) fn in_one_task(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let placed = plan.transform_up(|node| match node.downcast_ref::<NestedLoopJoinExec>() {
        Some(join) if *join.join_type() != JoinType::Inner => {
            let sides = [join.left(), join.right()].map(|side| gathered(Arc::clone(side)));
            let sides = sides.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(Transformed::yes(replace_children_if_necessary(node, sides)?))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(placed.data)
}

/// Returns all rows of `side` as one partition, which stays one.
fn gathered(side: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if side.is::<PlacedUnionExec>() && is_total(&side) {
        return Ok(side);
    }
    let one = match side.output_partitioning().partition_count() {
        1 => side,
        _ => Arc::new(CoalescePartitionsExec::new(side)),
    };
    Ok(Arc::new(PlacedUnionExec::again(vec![one], Way::InOneTask)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::NullEquality;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::expressions::col;

    fn rows(partitions: usize) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        Arc::new(EmptyExec::new(schema).with_partitions(partitions))
    }

    fn joined(join_type: JoinType) -> Arc<dyn ExecutionPlan> {
        let join = NestedLoopJoinExec::try_new(rows(3), rows(4), None, &join_type, None).unwrap();
        in_one_task(Arc::new(join)).unwrap()
    }

    #[test]
    fn a_hash_join_collects_its_left_side_unless_it_is_partitioned() {
        let of = |mode| {
            let side = || rows(1);
            let key = || col("n", &side().schema()).unwrap();
            let (equality, on) = (NullEquality::NullEqualsNothing, vec![(key(), key())]);
            let join = HashJoinExec::try_new(side(), side(), on, None, &JoinType::Left, None, mode, equality, false);
            collecting(&(Arc::new(join.unwrap()) as _))
        };
        assert_eq!(of(PartitionMode::Partitioned), None);
        assert_eq!(of(PartitionMode::CollectLeft), Some(JoinType::Left));
        // It may become either.
        assert_eq!(of(PartitionMode::Auto), Some(JoinType::Left));
    }

    #[test]
    fn what_is_together_stays_as_it_is() {
        let one = gathered(rows(1)).unwrap();
        assert!(one.children().into_iter().all(|below| below.is::<EmptyExec>()));
        let of_many = gathered(rows(3)).unwrap();
        assert!(
            of_many
                .children()
                .into_iter()
                .all(|below| below.is::<CoalescePartitionsExec>())
        );
        for together in [one, of_many] {
            assert!(Arc::ptr_eq(&together, &gathered(Arc::clone(&together)).unwrap()));
        }
        let parts = PlacedUnionExec::again(vec![rows(3), rows(3)], Way::ByShard);
        let apart: Arc<dyn ExecutionPlan> = Arc::new(parts.unwrap());
        assert_eq!(gathered(apart).unwrap().output_partitioning().partition_count(), 1);
    }

    #[test]
    fn a_nested_loop_join_is_split_only_if_it_emits_pairs_alone() {
        assert_eq!(joined(JoinType::Inner).output_partitioning().partition_count(), 4);
        for join_type in [
            JoinType::Left,
            JoinType::Right,
            JoinType::Full,
            JoinType::LeftSemi,
            JoinType::RightAnti,
            JoinType::LeftMark,
        ] {
            let join = joined(join_type);
            assert_eq!(join.output_partitioning().partition_count(), 1, "{join_type}");
            assert!(join.children().into_iter().all(is_total), "{join_type}");
        }
    }
}

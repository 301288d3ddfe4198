//! Unions of totals that were planned as any other. Ballista restricts a task's plan to its partitions by narrowing the
//! leaves; what is below a total (a final aggregation, a merge) stays whole, so that such a part of a union answers in every
//! task, and its rows would come once per task. They are planned to run in one task (`parcours_cluster::unions`); should
//! one come that is not, its task is refused, as a fault of ours, rather than run to a wrong answer.

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parcours_cluster::unions::whole::{aligned_children, collapses, is_total};

use crate::stage::Layout;

/// Refuses the plan of a task whose union cannot be told from those of other tasks.
pub(crate) fn check(plan: &Arc<dyn ExecutionPlan>, layout: &Layout, partitions: &[usize]) -> Result<()> {
    let is_whole = match layout {
        Layout::PassThrough => plan.output_partitioning().partition_count() == partitions.len(),
        Layout::Hash(_) => false,
    };
    if is_whole || !holds_totals(plan) {
        return Ok(());
    }
    internal_err!("a union of totals is split over tasks")
}

/// Whether a union that is split over tasks has a part that is not.
fn holds_totals(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if collapses(plan) {
        return false;
    }
    if plan.is::<UnionExec>() && plan.children().into_iter().any(is_total) {
        return true;
    }
    aligned_children(plan).into_iter().any(holds_totals)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;

    fn leaf(partitions: usize) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        Arc::new(EmptyExec::new(schema).with_partitions(partitions))
    }

    fn total() -> Arc<dyn ExecutionPlan> {
        Arc::new(CoalescePartitionsExec::new(leaf(4)))
    }

    #[test]
    fn a_union_of_totals_runs_in_one_task_or_not_at_all() {
        for union in [vec![total(), total(), total()], vec![leaf(2), total()]] {
            let union = UnionExec::try_new(union).unwrap();
            assert!(check(&union, &Layout::PassThrough, &[0, 1, 2]).is_ok());
            assert!(check(&union, &Layout::PassThrough, &[1]).is_err());
        }
    }

    #[test]
    fn unions_of_scans_are_left_alone() {
        let union = UnionExec::try_new(vec![leaf(2), leaf(1)]).unwrap();
        assert!(check(&union, &Layout::PassThrough, &[0, 5]).is_ok());
    }
}

//! The plan nodes that a task may hold. A stage plan comes over the wire, so what is not on this list is refused: a node
//! that we do not know might read a file, write one in clear, or dial somebody.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinType, Result, internal_err};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::metrics::MetricsSet;

/// Nodes that compute on batches in memory, spill through the sealed disk manager at most, and read nothing themselves.
const COMPUTING: [&str; 35] = [
    "AggregateExec",
    "AlignedUnionExec",
    "BoundedWindowAggExec",
    "BufferExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "CrossJoinExec",
    "EmptyExec",
    "FilterExec",
    "GatheredUnionExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "InterleaveExec",
    "LazyMemoryExec",
    "LimitedExec",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "PartialSortExec",
    "PartitionedTopKExec",
    "PiecewiseMergeJoinExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "RootExec",
    "RuntimeStatsExec",
    "SortExec",
    "SortExec(TopK)",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "SymmetricHashJoinExec",
    "UnionExec",
    "UnnestExec",
    "UnorderedExec",
    "WindowAggExec",
];

/// Nodes that the engine hook itself replaces or opens: scans get decryption, readers and writers their sealed form.
const HOOKED: [&str; 5] = [
    "DataSourceExec",
    "RangeShuffleReaderExec",
    "ShuffleReaderExec",
    "ShuffleWriterExec",
    "SortShuffleWriterExec",
];

/// Refuses a stage plan that holds a node which is neither known to compute in memory nor handled by the engine hook.
pub(crate) fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    plan.apply(|node| {
        in_order(node)?;
        let name = node.name();
        if COMPUTING.contains(&name) || HOOKED.contains(&name) {
            Ok(TreeNodeRecursion::Continue)
        } else {
            Err(DataFusionError::NotImplemented(format!(
                "this executor does not run the plan node {name}, rewrite the query without the construct that needs it"
            )))
        }
    })?;
    Ok(())
}

/// Refuses a merge join that does not keep the order that it declares: DataFusion 55 puts rows without a partner out late
/// where it has a condition to look at, and what relies on their order, such as a grouping, takes one group for several. As
/// a fault of ours, so that the query is planned without merge joins.
fn in_order(node: &Arc<dyn ExecutionPlan>) -> Result<()> {
    match node.downcast_ref::<SortMergeJoinExec>() {
        Some(join) if join.filter().is_some() && join.join_type() != JoinType::Inner => {
            internal_err!("a merge join with a condition is not in order")
        }
        _ => Ok(()),
    }
}

/// How many nodes a plan has.
pub(crate) fn count(plan: &Arc<dyn ExecutionPlan>) -> usize {
    1 + plan.children().into_iter().map(count).sum::<usize>()
}

/// The metrics of a plan, or as many empty ones as the stage has `nodes`. Parts of a union that are another task's were left
/// out, and metrics of another number would make the scheduler refuse the task's status, and wait for it for ever.
pub(crate) fn fitting(metrics: Vec<MetricsSet>, nodes: usize) -> Vec<MetricsSet> {
    if metrics.len() == nodes {
        return metrics;
    }
    (0..nodes).map(|_| MetricsSet::new()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::compute::SortOptions;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::{JoinSide, NullEquality};
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::expressions::{Column, lit};
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::explain::ExplainExec;
    use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
    use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
    use datafusion::physical_plan::union::UnionExec;

    fn empty() -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        Arc::new(EmptyExec::new(Arc::new(schema)))
    }

    #[test]
    fn a_merge_join_with_a_condition_is_an_inner_one() {
        let refused = |join_type, filter: Option<JoinFilter>| {
            let key = || Arc::new(Column::new("n", 0)) as Arc<dyn PhysicalExpr>;
            let join = SortMergeJoinExec::try_new(
                empty(),
                empty(),
                vec![(key(), key())],
                filter,
                join_type,
                vec![SortOptions::default()],
                NullEquality::NullEqualsNothing,
            );
            check(&(Arc::new(join.unwrap()) as _)).is_err()
        };
        let filter = || {
            let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
            let of = ColumnIndex {
                index: 0,
                side: JoinSide::Left,
            };
            Some(JoinFilter::new(lit(true), vec![of], Arc::new(schema)))
        };
        assert!(refused(JoinType::Left, filter()) && refused(JoinType::RightAnti, filter()));
        assert!(!refused(JoinType::Inner, filter()) && !refused(JoinType::Left, None));
    }

    #[test]
    fn there_are_as_many_metrics_as_nodes() {
        let union = UnionExec::try_new(vec![empty(), empty()]).unwrap();
        assert_eq!((count(&empty()), count(&union)), (1, 3));
        let filled = || {
            let metrics = ExecutionPlanMetricsSet::new();
            MetricBuilder::new(&metrics).counter("rows", 0).add(7);
            vec![metrics.clone_inner()]
        };
        let rows = |metrics: Vec<MetricsSet>| -> Vec<usize> {
            let rows = metrics
                .iter()
                .map(|set| set.sum_by_name("rows").map_or(0, |value| value.as_usize()));
            rows.collect()
        };
        assert_eq!(rows(fitting(filled(), 1)), [7]);
        assert_eq!(rows(fitting(filled(), 3)), [0, 0, 0]);
    }

    #[test]
    fn an_unknown_node_is_refused_by_name() {
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        check(&empty).unwrap();
        let unknown: Arc<dyn ExecutionPlan> = Arc::new(ExplainExec::new(Arc::new(Schema::empty()), Vec::new(), false));
        assert!(check(&unknown).unwrap_err().to_string().contains("ExplainExec"));
    }
}

//! The plan nodes that a task may hold. A stage plan comes over the wire, so what is not on this list is refused: a node
//! that we do not know might read a file, write one in clear, or dial somebody.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinSide, JoinType, Result, internal_err};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::ColumnIndex;
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
        merges_rightly(node)?;
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

/// Refuses a merge join that DataFusion 55 gets wrong, as a fault of ours, so that the query is planned without merge joins.
///
/// One with a condition does not keep the order that it declares: rows without a partner come late where there is a condition
/// to look at, and what relies on their order, such as a grouping, takes one group for several. And if columns were taken out
/// of its inputs after it was made, its condition looks at others.
fn merges_rightly(node: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let Some(join) = node.downcast_ref::<SortMergeJoinExec>() else {
        return Ok(());
    };
    let Some(filter) = join.filter() else { return Ok(()) };
    if join.join_type() != JoinType::Inner {
        return internal_err!("a merge join with a condition is not in order");
    }
    let mut read = filter.column_indices().iter().zip(filter.schema().fields());
    match read.all(|(of, wanted)| is_read(join, of, wanted)) {
        true => Ok(()),
        false => internal_err!("the condition of a merge join looks at other columns than it was made for"),
    }
}

/// Whether the column of an input that a join's condition looks at is the one that it was made for: of its name, which no
/// other has, and type.
fn is_read(join: &SortMergeJoinExec, of: &ColumnIndex, wanted: &Field) -> bool {
    let schema = match of.side {
        JoinSide::Left => join.left().schema(),
        JoinSide::Right => join.right().schema(),
        JoinSide::None => return false,
    };
    let alike = schema.fields().iter().filter(|field| field.name() == wanted.name());
    let found = schema.fields().get(of.index);
    let is_it = found.is_some_and(|found| found.name() == wanted.name() && found.data_type() == wanted.data_type());
    is_it && alike.count() == 1
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
    use datafusion::arrow::datatypes::{DataType, Schema};
    use datafusion::common::NullEquality;
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::expressions::{Column, lit};
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::explain::ExplainExec;
    use datafusion::physical_plan::joins::utils::JoinFilter;
    use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
    use datafusion::physical_plan::union::UnionExec;

    fn empty() -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        Arc::new(EmptyExec::new(Arc::new(schema)))
    }

    #[test]
    fn a_merge_join_with_a_condition_is_an_inner_one_over_its_own_columns() {
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
        let over = |name: &str, data_type, index| {
            let schema = Schema::new(vec![Field::new(name, data_type, true)]);
            let of = ColumnIndex {
                index,
                side: JoinSide::Left,
            };
            Some(JoinFilter::new(lit(true), vec![of], Arc::new(schema)))
        };
        let filter = || over("n", DataType::Int64, 0);
        assert!(refused(JoinType::Left, filter()) && refused(JoinType::RightAnti, filter()));
        assert!(!refused(JoinType::Inner, filter()) && !refused(JoinType::Left, None));
        for other in [
            over("m", DataType::Int64, 0),
            over("n", DataType::Utf8, 0),
            over("n", DataType::Int64, 1),
        ] {
            assert!(refused(JoinType::Inner, other));
        }
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

//! The union at work.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::NdvFallback;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use crate::batch::as_declared;
use crate::placement::IN_ONE_TASK;
use crate::placement::totals::may_be_total;

/// How the parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the same shards.
    ByShard,
    /// Each in one partition.
    InOneTask,
}

impl Way {
    /// The name under which executors know the node.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::ByShard => "AlignedUnionExec",
            Way::InOneTask => IN_ONE_TASK,
        }
    }

    /// The way of a node's name on the wire.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let all = [Way::ByShard, Way::InOneTask];
        all.into_iter().find(|way| way.name().as_bytes() == name)
    }
}

/// Partition *n* is partition *n* of each part, one after the other.
#[derive(Debug)]
pub(crate) struct PlacedUnionExec {
    way: Way,
    parts: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The union of `parts`: by shard if all of them declare that their rows lie in the same shards, in one task if there is a
/// total among them or if all unions are to be so, a plain one otherwise.
pub(crate) fn union(parts: Vec<Arc<dyn ExecutionPlan>>, always_in_one_task: bool) -> Result<Arc<dyn ExecutionPlan>> {
    // It gives the parts one schema, by a projection if need be.
    let union = UnionExec::try_new(parts)?;
    let Some(plain) = union.downcast_ref::<UnionExec>() else {
        return Ok(union);
    };
    let parts = plain.inputs();
    let way = if always_in_one_task {
        Way::InOneTask
    } else if declared(parts).is_some() {
        Way::ByShard
    } else if parts.iter().any(may_be_total) {
        Way::InOneTask
    } else {
        return Ok(union);
    };
    Ok(Arc::new(PlacedUnionExec::over(parts.clone(), union.schema(), way)))
}

/// The partitioning that all parts declare alike.
fn declared(parts: &[Arc<dyn ExecutionPlan>]) -> Option<&Partitioning> {
    let (first, others) = parts.split_first()?;
    let first = first.output_partitioning();
    let alike = others.iter().all(|part| part.output_partitioning() == first);
    (alike && matches!(first, Partitioning::Range(_))).then_some(first)
}

fn count(part: &Arc<dyn ExecutionPlan>) -> usize {
    part.output_partitioning().partition_count()
}

impl PlacedUnionExec {
    /// By shard, the parts must have as many partitions each.
    fn over(parts: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef, way: Way) -> Self {
        let partitioning = match (way, declared(&parts)) {
            (Way::InOneTask, _) => Partitioning::UnknownPartitioning(1),
            (Way::ByShard, Some(partitioning)) => partitioning.clone(),
            (Way::ByShard, None) => Partitioning::UnknownPartitioning(parts.first().map_or(0, count)),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            partitioning,
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            way,
            parts,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// A union of other parts, which may be the slice of a task: split points are not asked for. A part that turned out to be
    /// empty is left out.
    pub(crate) fn again(mut parts: Vec<Arc<dyn ExecutionPlan>>, way: Way) -> Result<Self> {
        // What is null in one part may be null in the union.
        let schema = UnionExec::try_new(parts.clone())?.schema();
        if way == Way::InOneTask {
            return Ok(Self::over(parts, schema, way));
        }
        if !same_count(&parts) && parts.iter().any(|part| !part.is::<EmptyExec>()) {
            parts.retain(|part| !part.is::<EmptyExec>());
        }
        if !same_count(&parts) {
            return internal_err!("the parts of an aligned union must have as many partitions each");
        }
        Ok(Self::over(parts, schema, way))
    }

    /// How its parts lie.
    pub(crate) fn way(&self) -> Way {
        self.way
    }
}

fn same_count(parts: &[Arc<dyn ExecutionPlan>]) -> bool {
    parts.windows(2).all(|two| count(&two[0]) == count(&two[1]))
}

impl DisplayAs for PlacedUnionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: parts={}", self.way.name(), self.parts.len())
    }
}

impl ExecutionPlan for PlacedUnionExec {
    fn name(&self) -> &str {
        self.way.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.parts.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let each = match self.way {
            Way::ByShard => Distribution::UnspecifiedDistribution,
            Way::InOneTask => Distribution::SinglePartition,
        };
        InputDistributionRequirements::new(vec![each; self.parts.len()])
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false; self.parts.len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.parts.len()]
    }

    fn with_new_children(self: Arc<Self>, parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::again(parts, self.way)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.way == Way::InOneTask && self.parts.iter().any(|part| count(part) != 1) {
            return internal_err!("a part of a union in one task must have one partition");
        }
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let (parts, schema) = (self.parts.clone(), self.schema());
        let declared = schema.clone();
        let batches = futures::stream::iter(parts)
            .map(move |part| part.execute(partition, context.clone()))
            .try_flatten()
            .map(move |batch| {
                let batch = batch?;
                measured.record_output(batch.num_rows());
                as_declared(&batch, &declared)
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition); self.parts.len()]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let merged = Statistics::try_merge_iter_with_ndv_fallback(
            inputs.iter().map(AsRef::as_ref),
            self.schema().as_ref(),
            NdvFallback::Sum,
        )?;
        Ok(Arc::new(merged))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::ScalarValue;
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_expr::{PhysicalSortExpr, RangePartitioning, SplitPoint};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::joins::CrossJoinExec;
    use datafusion::physical_plan::limit::LocalLimitExec;
    use datafusion::physical_plan::repartition::RepartitionExec;

    fn rows(columns: usize) -> Arc<dyn ExecutionPlan> {
        let fields: Vec<Field> = (0..columns)
            .map(|n| Field::new(format!("n{n}"), DataType::Int64, true))
            .collect();
        Arc::new(EmptyExec::new(Arc::new(Schema::new(fields))).with_partitions(4))
    }

    fn total(columns: usize) -> Arc<dyn ExecutionPlan> {
        Arc::new(CoalescePartitionsExec::new(rows(columns)))
    }

    #[test]
    fn a_way_is_known_by_its_name() {
        for way in [Way::ByShard, Way::InOneTask] {
            assert_eq!(Way::named(way.name().as_bytes()), Some(way));
        }
        assert_eq!(Way::named(b"UnionExec"), None);
    }

    #[test]
    fn empty_parts_are_left_out_only_where_counts_differ() {
        let with = |partitions: usize| -> Arc<dyn ExecutionPlan> {
            Arc::new(EmptyExec::new(rows(1).schema()).with_partitions(partitions))
        };
        let full = || Arc::new(LocalLimitExec::new(rows(1), 3)) as Arc<dyn ExecutionPlan>;
        let parts = |parts| {
            PlacedUnionExec::again(parts, Way::ByShard)
                .map(|union| union.children().len())
                .ok()
        };
        assert_eq!(parts(vec![full(), with(4)]), Some(2));
        assert_eq!(parts(vec![full(), with(1)]), Some(1));
        assert_eq!(parts(vec![with(4), with(1)]), None);
        assert_eq!(parts(vec![full(), total(1)]), None);
    }

    #[test]
    fn a_union_in_one_task_reads_parts_of_one_partition() {
        let context = || Arc::new(datafusion::execution::TaskContext::default());
        let of = |parts, way| PlacedUnionExec::again(parts, way).unwrap();
        assert!(
            of(vec![total(1), total(1)], Way::InOneTask)
                .execute(0, context())
                .is_ok()
        );
        assert!(
            of(vec![total(1), rows(1)], Way::InOneTask)
                .execute(0, context())
                .is_err()
        );
        assert!(of(vec![rows(1), rows(1)], Way::ByShard).execute(3, context()).is_ok());
        assert_eq!(
            of(vec![rows(1), rows(1)], Way::ByShard).maintains_input_order(),
            [false, false]
        );
    }

    #[test]
    fn totals_are_brought_together_with_what_stands_beside_them() {
        let named = |parts: Vec<Arc<dyn ExecutionPlan>>, always| {
            let union = union(parts, always).unwrap();
            (union.name().to_owned(), count(&union))
        };
        let gathered = ("GatheredUnionExec".to_owned(), 1);
        assert_eq!(named(vec![rows(1), rows(1)], false), ("UnionExec".to_owned(), 8));
        assert_eq!(named(vec![rows(1), total(1)], false), gathered);
        // Its sides may change places.
        let joined: Arc<dyn ExecutionPlan> = Arc::new(CrossJoinExec::new(total(1), rows(1)));
        assert_eq!(named(vec![rows(2), joined], false), gathered);
        assert_eq!(named(vec![rows(1), rows(1)], true), gathered);
    }
    /// Rows in shards that begin at these numbers.
    fn sharded(points: &[i64]) -> Arc<dyn ExecutionPlan> {
        let by = PhysicalSortExpr::new_default(Arc::new(Column::new("n0", 0)));
        let points = points
            .iter()
            .map(|point| SplitPoint::new(vec![ScalarValue::from(*point)]));
        let range = RangePartitioning::try_new([by].into(), points.collect()).unwrap();
        Arc::new(RepartitionExec::try_new(rows(1), Partitioning::Range(range)).unwrap())
    }

    #[test]
    fn parts_in_the_same_shards_stay_there_and_others_do_not() {
        let named = |parts| union(parts, false).unwrap().name().to_owned();
        assert_eq!(named(vec![sharded(&[3, 5]), sharded(&[3, 5])]), "AlignedUnionExec");
        // As many, and split elsewhere.
        assert_eq!(named(vec![sharded(&[3, 5]), sharded(&[3, 6])]), "UnionExec");
        assert_eq!(
            named(vec![sharded(&[3, 5]), sharded(&[3, 5]), sharded(&[3])]),
            "UnionExec"
        );
        assert_eq!(named(vec![sharded(&[3, 5]), rows(1)]), "UnionExec");
    }

    #[test]
    fn parts_of_other_numbers_of_partitions_are_not_aligned() {
        let empty = |partitions| -> Arc<dyn ExecutionPlan> {
            let schema = rows(1).schema();
            Arc::new(EmptyExec::new(schema).with_partitions(partitions))
        };
        let again = |parts| PlacedUnionExec::again(parts, Way::ByShard);
        assert_eq!(again(vec![sharded(&[3]), sharded(&[3])]).unwrap().parts.len(), 2);
        assert!(again(vec![sharded(&[3]), sharded(&[3, 5])]).is_err());
        // One that turned out to be empty is left out.
        assert_eq!(again(vec![sharded(&[3]), empty(1)]).unwrap().parts.len(), 1);
    }
}

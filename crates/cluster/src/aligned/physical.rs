//! The union at work.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::NdvFallback;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use crate::batch::as_declared;

/// The name under which executors know the node.
pub(crate) const NAME: &str = "AlignedUnionExec";

/// Partition *n* is partition *n* of each part, one after the other.
#[derive(Debug)]
pub(crate) struct AlignedUnionExec {
    parts: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The union of `parts`: aligned if all of them declare that their rows lie in the same shards, a plain one otherwise.
pub(crate) fn union(parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    // It gives the parts one schema, by a projection if need be.
    let union = UnionExec::try_new(parts)?;
    let parts = match union.downcast_ref::<UnionExec>() {
        Some(plain) if declared(plain.inputs()).is_some() => plain.inputs().clone(),
        _ => return Ok(union),
    };
    Ok(Arc::new(AlignedUnionExec::over(parts, union.schema())))
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

impl AlignedUnionExec {
    /// The parts must have as many partitions each.
    fn over(parts: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Self {
        let partitions = parts.first().map_or(0, count);
        let partitioning = declared(&parts).cloned();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            partitioning.unwrap_or(Partitioning::UnknownPartitioning(partitions)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            parts,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// A union of other parts, which may be the slice of a task: split points are not asked for. A part that turned out to be
    /// empty is left out.
    pub(crate) fn again(mut parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        // What is null in one part may be null in the union.
        let schema = UnionExec::try_new(parts.clone())?.schema();
        if !same_count(&parts) && parts.iter().any(|part| !part.is::<EmptyExec>()) {
            parts.retain(|part| !part.is::<EmptyExec>());
        }
        if !same_count(&parts) {
            return internal_err!("the parts of an aligned union must have as many partitions each");
        }
        Ok(Self::over(parts, schema))
    }
}

fn same_count(parts: &[Arc<dyn ExecutionPlan>]) -> bool {
    parts.windows(2).all(|two| count(&two[0]) == count(&two[1]))
}

impl DisplayAs for AlignedUnionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}: parts={}", self.parts.len())
    }
}

impl ExecutionPlan for AlignedUnionExec {
    fn name(&self) -> &str {
        NAME
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

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false; self.parts.len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.parts.len()]
    }

    fn with_new_children(self: Arc<Self>, parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::again(parts)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
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

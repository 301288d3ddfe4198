//! The plan node that every operator here is: one input, rows in, rows out, and something kept in between for each
//! partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};

/// What an operator does, to be begun for each partition.
pub(super) trait Operator: fmt::Debug + Send + Sync + 'static {
    /// Its name, also in refusals of memory.
    const NAME: &'static str;

    /// Begins with a partition.
    fn begin(&self, partition: Partition) -> Result<Box<dyn Run>>;
}

/// What is known of a partition before its first row.
pub(super) struct Partition {
    pub(super) input: SchemaRef,
    pub(super) output: SchemaRef,
    /// Rows of a batch.
    pub(super) batch: usize,
    /// To be accounted for what is kept.
    pub(super) memory: MemoryReservation,
}

/// An operator at work on a partition.
pub(super) trait Run: Send {
    /// Takes the next rows. What can be given out by now.
    fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>>;

    /// There are no more rows. What is left to give out.
    fn end(&mut self) -> Result<Option<RecordBatch>>;
}

/// The node of an operator.
#[derive(Debug)]
pub(super) struct Node<O> {
    operator: Arc<O>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl<O: Operator> Node<O> {
    /// An operator over `input`, which stands in the place of a node with these properties.
    pub(super) fn over(
        input: Arc<dyn ExecutionPlan>,
        operator: O,
        properties: &Arc<PlanProperties>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::again(Arc::new(operator), input, properties))
    }

    /// An operator over `input`, of whose rows this is known.
    pub(super) fn declaring(
        input: Arc<dyn ExecutionPlan>,
        operator: O,
        known: EquivalenceProperties,
    ) -> Arc<dyn ExecutionPlan> {
        let properties = Arc::new(PlanProperties::new(
            known,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        ));
        Self::over(input, operator, &properties)
    }

    fn again(operator: Arc<O>, input: Arc<dyn ExecutionPlan>, properties: &Arc<PlanProperties>) -> Self {
        Self {
            operator,
            input,
            properties: Arc::clone(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl<O: Operator> DisplayAs for Node<O> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(O::NAME)
    }
}

impl<O: Operator> ExecutionPlan for Node<O> {
    fn name(&self) -> &str {
        O::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::again(
                Arc::clone(&self.operator),
                input,
                &self.properties,
            ))),
            Err(_) => internal_err!("{} has one input", O::NAME),
        }
    }

    fn execute(&self, n: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let run = self.operator.begin(Partition {
            input: self.input.schema(),
            output: self.schema(),
            batch: rows,
            memory: MemoryConsumer::new(O::NAME).register(context.memory_pool()),
        })?;
        let measured = BaselineMetrics::new(&self.metrics, n);
        let input = self.input.execute(n, context)?;
        let end = futures::stream::once(async { Ok(None) });
        let given = input
            .map_ok(Some)
            .chain(end)
            .scan(run, |run, rows| {
                let given = rows.and_then(|rows| match rows {
                    Some(rows) => run.add(rows),
                    None => run.end(),
                });
                futures::future::ready(Some(given))
            })
            .map_ok(move |given| {
                measured.record_output(given.as_ref().map_or(0, RecordBatch::num_rows));
                futures::stream::iter(given.map_or_else(Vec::new, |given| split(&given, rows))).map(Ok)
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), given)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The batch in parts of at most so many rows.
fn split(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows.max(1));
    starts
        .map(|start| batch.slice(start, rows.min(batch.num_rows() - start)))
        .collect()
}

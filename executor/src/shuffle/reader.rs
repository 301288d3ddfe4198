//! The plan node that reads partitions of an earlier stage. It stands in the place of Ballista's own reader, which would
//! open local files around the seal, and has its shape: same schema, same partitioning, same locations.

use std::fmt;
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parcours_cluster::batch::as_declared;
use parcours_cluster::task_grant::HeldGrant;

use super::exchange::Exchange;
use super::order::InOrder;

/// How many partitions are being opened at once.
const OPENING: usize = 8;

/// The reader of Ballista's whose place is taken.
#[derive(Debug)]
enum Named {
    /// Batches in any order.
    Any(ShuffleReaderExec),
    /// Rows merged in the order that each partition has.
    Ordered(RangeShuffleReaderExec),
}

/// Reads the partitions that one of Ballista's readers names, through our own exchange.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    named: Named,
    exchange: Arc<Exchange>,
    grant: Arc<HeldGrant>,
    metrics: ExecutionPlanMetricsSet,
}

impl PartitionReader {
    /// The reader that stands in the place of `node`, in a task under this grant; none if `node` is no reader.
    pub(crate) fn in_place_of(
        node: &dyn ExecutionPlan,
        exchange: &Arc<Exchange>,
        grant: &Arc<HeldGrant>,
    ) -> Option<Self> {
        let named = if let Some(any) = node.downcast_ref::<ShuffleReaderExec>() {
            Named::Any(any.clone())
        } else {
            Named::Ordered(node.downcast_ref::<RangeShuffleReaderExec>()?.clone())
        };
        Some(Self {
            named,
            exchange: exchange.clone(),
            grant: grant.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn locations(&self, partition: usize) -> Vec<PartitionLocation> {
        let (listed, partition) = match &self.named {
            // A broadcast has one list of locations, whichever partition is asked for.
            Named::Any(reader) => (&reader.partition, if reader.broadcast { 0 } else { partition }),
            Named::Ordered(reader) => (&reader.partition, partition),
        };
        listed.get(partition).cloned().unwrap_or_default()
    }

    fn in_any_order(&self, partition: usize) -> SendableRecordBatchStream {
        let (exchange, grant) = (self.exchange.clone(), self.grant.clone());
        let batches = futures::stream::iter(self.locations(partition))
            .map(move |location| exchange.clone().open(grant.clone(), location))
            .buffer_unordered(OPENING)
            .try_flatten()
            .boxed();
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let gathered = gather(batches, BatchCoalescer::new(self.schema(), 8192), measured);
        Box::pin(RecordBatchStreamAdapter::new(self.schema(), gathered))
    }

    /// Merges partitions that are each in order. All of them are read at once, which is what a merge needs.
    fn merged(&self, partition: usize, context: &TaskContext) -> Result<SendableRecordBatchStream> {
        let ordering = self.properties().output_ordering();
        let ordering = ordering.ok_or_else(|| DataFusionError::Internal("a merge has no order".to_owned()))?;
        let streams = self
            .locations(partition)
            .into_iter()
            .map(|location| self.one(location, ordering))
            .collect::<Result<_>>()?;
        let reservation = MemoryConsumer::new(format!("PartitionReader[{partition}]")).register(context.memory_pool());
        let merge = StreamingMergeBuilder::new()
            .with_streams(streams)
            .with_schema(self.schema())
            .with_expressions(ordering)
            .with_metrics(BaselineMetrics::new(&self.metrics, partition))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(reservation);
        let fetch = match &self.named {
            Named::Any(_) => None,
            Named::Ordered(reader) => reader.fetch(),
        };
        merge.with_fetch(fetch).build()
    }

    /// One partition that is in order, as is made sure of: a merge of others would drop and double rows in silence.
    fn one(&self, location: PartitionLocation, ordering: &LexOrdering) -> Result<SendableRecordBatchStream> {
        let (exchange, schema) = (self.exchange.clone(), self.schema());
        let declared = schema.clone();
        let mut order = InOrder::new(ordering, &schema)?;
        let batches = futures::stream::once(exchange.open(self.grant.clone(), location))
            .try_flatten()
            .map(move |batch| {
                let batch = as_declared(&batch?, &declared)?;
                order.check(&batch)?;
                Ok(batch)
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

impl DisplayAs for PartitionReader {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.named {
            Named::Any(reader) => write!(f, "PartitionReader: stage={}", reader.stage_id),
            Named::Ordered(reader) => write!(f, "PartitionReader: stage={}, merged in order", reader.stage_id),
        }
    }
}

impl ExecutionPlan for PartitionReader {
    fn name(&self) -> &'static str {
        "PartitionReader"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        match &self.named {
            Named::Any(reader) => reader.properties(),
            Named::Ordered(reader) => reader.properties(),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            Err(DataFusionError::Plan("a partition reader has no children".to_owned()))
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match &self.named {
            Named::Any(_) => Ok(self.in_any_order(partition)),
            Named::Ordered(_) if self.locations(partition).is_empty() => {
                Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())))
            }
            Named::Ordered(_) => self.merged(partition, &context),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Gathers small batches into large ones; each batch is taken under the reader's own schema.
fn gather(
    batches: BoxStream<'static, Result<RecordBatch>>,
    coalescer: BatchCoalescer,
    measured: BaselineMetrics,
) -> BoxStream<'static, Result<RecordBatch>> {
    let state = (batches, coalescer, measured, false);
    futures::stream::try_unfold(state, |(mut batches, mut coalescer, measured, mut ended)| async move {
        loop {
            if let Some(batch) = coalescer.next_completed_batch() {
                measured.record_output(batch.num_rows());
                return Ok(Some((batch, (batches, coalescer, measured, ended))));
            }
            if ended {
                return Ok(None);
            }
            match batches.next().await {
                Some(batch) => {
                    let batch = as_declared(&batch?, &coalescer.schema())?;
                    coalescer.push_batch(batch)?;
                }
                None => {
                    coalescer.finish_buffered_batch()?;
                    ended = true;
                }
            }
        }
    })
    .boxed()
}

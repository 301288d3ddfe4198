//! One task: runs its slice of a stage plan and writes the output partitions sealed. It replaces Ballista's shuffle
//! writers, which write in clear, and reports what they report: rows, batches and bytes of each partition.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition};
use ballista_executor::execution_engine::QueryStageExecutor;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::repartition::BatchPartitioner;
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use futures::StreamExt;
use parcours_cluster::failure::marked;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::keys::StillUsable;
use crate::nodes;
use crate::pool::NodePool;
use crate::scratch;
use crate::shuffle::PartitionKey;
use crate::shuffle::store::PartitionStore;
use crate::shuffle::writer::PartitionFile;
use crate::stop::Stop;
use crate::tasks::Running;

/// How the rows of a task are laid out in partitions.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// Input partition *i* becomes output partition *i*.
    PassThrough,
    /// Rows go where the hash of their key says.
    Hash(Partitioning),
}

/// Where a task stands, and the names of its output partitions.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) job: String,
    pub(crate) stage: usize,
    pub(crate) task: usize,
    pub(crate) partitions: Vec<usize>,
}

impl Place {
    /// The job-wide number of the task's *n*-th output partition.
    fn partition(&self, n: usize) -> usize {
        self.partitions.get(n).copied().unwrap_or(n)
    }

    fn key(&self, n: usize) -> PartitionKey {
        PartitionKey {
            job: self.job.clone(),
            stage: self.stage,
            partition: self.partition(n),
            task: self.task as u64,
        }
    }
}

/// A task ready to run.
pub(crate) struct Stage {
    /// The name of this executor.
    pub(crate) executor: String,
    pub(crate) place: Place,
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// How many nodes the stage's plan has where it came from, its writer included.
    pub(crate) nodes: usize,
    pub(crate) layout: Layout,
    /// Whether its keys may still be used.
    pub(crate) usable: StillUsable,
    pub(crate) store: Arc<PartitionStore>,
    pub(crate) pool: Arc<NodePool>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) running: Arc<Running>,
    /// Where it computes.
    pub(crate) threads: Handle,
    pub(crate) _watched: StoppedWhenRevoked,
}

/// Has a task stopped that computes without a pause when a class that it reads is taken back. It must be made on the
/// process's main runtime, which no task holds up, and watches for as long as it lives.
pub(crate) struct StoppedWhenRevoked(AbortHandle);

impl StoppedWhenRevoked {
    pub(crate) fn new(usable: StillUsable, stop: &Arc<Stop>) -> Self {
        let stop = stop.clone();
        let watching = tokio::spawn(async move {
            let _why = usable.revoked().await;
            stop.set();
        });
        Self(watching.abort_handle())
    }
}

impl Drop for StoppedWhenRevoked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stage {}/{} task {}",
            self.place.job, self.place.stage, self.place.task
        )
    }
}

/// The partitions that one task writes; each is opened by its first batch.
struct Outputs {
    place: Place,
    store: Arc<PartitionStore>,
    plan: Arc<dyn ExecutionPlan>,
    files: Vec<Mutex<Option<PartitionFile>>>,
}

impl Outputs {
    fn push(&self, n: usize, batch: RecordBatch) -> Result<()> {
        let mut file = self.file(n)?.lock();
        match file.as_mut() {
            Some(file) => file.push(batch),
            None => {
                let mut fresh = PartitionFile::create(&self.store, &self.place.key(n), &self.plan.schema())?;
                fresh.push(batch)?;
                *file = Some(fresh);
                Ok(())
            }
        }
    }

    fn file(&self, n: usize) -> Result<&Mutex<Option<PartitionFile>>> {
        self.files
            .get(n)
            .ok_or_else(|| DataFusionError::Internal("a row belongs to no partition".to_owned()))
    }

    /// Opens the first partition if no row opened any. Each task reports a partition: a result of none is one that no task
    /// computed, and is not taken for an empty one.
    fn open_one(&self) -> Result<()> {
        if self.files.iter().all(|file| file.lock().is_none())
            && let Some(first) = self.files.first()
        {
            let fresh = PartitionFile::create(&self.store, &self.place.key(0), &self.plan.schema())?;
            *first.lock() = Some(fresh);
        }
        Ok(())
    }

    fn finish(&self) -> Result<Vec<ShuffleWritePartition>> {
        self.open_one()?;
        let mut reports = Vec::new();
        for (n, file) in self.files.iter().enumerate() {
            let Some(file) = file.lock().take() else { continue };
            let written = file.finish()?;
            reports.push(ShuffleWritePartition {
                partition_id: self.place.partition(n) as u64,
                num_batches: written.batches,
                num_rows: written.rows,
                num_bytes: written.bytes,
                file_id: Some(self.place.task as u64),
                is_sort_shuffle: false,
            });
        }
        Ok(reports)
    }
}

impl Stage {
    /// The error as it is reported. A task that was stopped because a class was taken back says so.
    fn told(&self, error: DataFusionError) -> DataFusionError {
        let error = self.usable.refusal().unwrap_or(error);
        match scratch::failure(&error, &self.executor) {
            Some(failure) => DataFusionError::Execution(failure.to_string()),
            None => marked(error),
        }
    }

    async fn run(&self, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        let inputs = self.plan.output_partitioning().partition_count();
        let share = self.pool.enter(inputs);
        // Our own operators look for the flag there.
        let stop = self.running.stop().clone();
        let context = share.context(&context, |config| config.with_extension(stop));
        let count = match &self.layout {
            Layout::PassThrough => inputs,
            Layout::Hash(partitioning) => partitioning.partition_count(),
        };
        let outputs = Arc::new(Outputs {
            place: self.place.clone(),
            store: self.store.clone(),
            plan: self.plan.clone(),
            files: (0..count).map(|_| Mutex::new(None)).collect(),
        });
        // All inputs are drained at once: some plans feed several outputs and stand still when one is not read.
        let mut drains = JoinSet::new();
        for (input, batches) in self.inputs(&context)?.into_iter().enumerate() {
            let drained = drain(batches, input, inputs, self.layout.clone(), outputs.clone());
            // The task runs for as long as one of its drains does: one that computes ends after it was aborted.
            let running = self.running.clone();
            let drained = async move {
                let _running = running;
                drained.await
            };
            drains.spawn_on(drained, &self.threads);
        }
        while let Some(drained) = drains.join_next().await {
            drained.map_err(|error| DataFusionError::Execution(format!("a task broke off: {error}")))??;
        }
        outputs.finish()
    }
}

impl Stage {
    /// What there is to be drained: the plan's partitions. If they are in order and are to be mixed, they are merged: whoever
    /// reads what one task wrote relies on the order that the plan declares.
    fn inputs(&self, context: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
        let inputs = 0..self.plan.output_partitioning().partition_count();
        let inputs = inputs.map(|input| self.plan.execute(input, context.clone()));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        match (&self.layout, self.plan.output_ordering()) {
            (Layout::Hash(_), Some(ordering)) if inputs.len() > 1 => Ok(vec![self.merged(inputs, ordering, context)?]),
            _ => Ok(inputs),
        }
    }

    fn merged(
        &self,
        inputs: Vec<SendableRecordBatchStream>,
        ordering: &LexOrdering,
        context: &TaskContext,
    ) -> Result<SendableRecordBatchStream> {
        let consumer = format!("Stage[{}]", self.place.task);
        StreamingMergeBuilder::new()
            .with_streams(inputs)
            .with_schema(self.plan.schema())
            .with_expressions(ordering)
            .with_metrics(BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(MemoryConsumer::new(consumer).register(context.memory_pool()))
            .build()
    }
}

async fn drain(
    mut batches: SendableRecordBatchStream,
    input: usize,
    inputs: usize,
    layout: Layout,
    outputs: Arc<Outputs>,
) -> Result<()> {
    match layout {
        Layout::PassThrough => {
            while let Some(batch) = batches.next().await {
                outputs.push(input, batch?)?;
            }
        }
        Layout::Hash(partitioning) => {
            let mut partitioner = BatchPartitioner::try_new(partitioning, Default::default(), input, inputs)?;
            while let Some(batch) = batches.next().await {
                partitioner.partition(batch?, |n, batch| outputs.push(n, batch))?;
            }
        }
    }
    Ok(())
}

/// The task's status is queued just after it returns: poll then, not at the next idle interval.
pub(crate) fn nudge(wake: Arc<Notify>) {
    tokio::spawn(async move {
        wake.notify_one();
        for pause in [1, 3, 16] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            wake.notify_one();
        }
    });
}

#[async_trait::async_trait]
impl QueryStageExecutor for Stage {
    async fn execute_query_stage(&self, _: usize, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        let outcome = tokio::select! {
            biased;
            revoked = self.usable.revoked() => Err(revoked),
            outcome = self.run(context) => outcome,
        };
        let outcome = outcome.map_err(|error| self.told(error));
        nudge(self.wake.clone());
        outcome
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        // The scheduler walks the stage plan from its writer down; ours keeps no metrics of its own.
        let mut metrics = vec![MetricsSet::new()];
        metrics.extend(ballista_core::utils::collect_plan_metrics(self.plan.as_ref()));
        nodes::fitting(metrics, self.nodes)
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        ballista_core::execution_plans::collect_runtime_stats_reports(&self.plan).unwrap_or_default()
    }
}

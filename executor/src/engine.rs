//! The hook through which every task passes before it runs: the plan is checked node by node, scans get the decryption of
//! the classes that the task's grant names (a grant that the scheduler signed for this task's job and this executor), and shuffle reads and writes become sealed ones. What is not recognised in
//! full does not run in part.

use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::execution_plans::ShuffleWriterExec;
use ballista_core::execution_plans::sort_shuffle::SortShuffleWriterExec;
use ballista_executor::execution_engine::{ExecutionEngine, QueryStageExecutor};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use parcours_cluster::failure::marked;
use parcours_cluster::options::TaskOptions;
use parcours_cluster::orders::executor_name;
use parcours_cluster::task_grant::HeldGrant;
use parcours_tables::scan::open_for_reading;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::keys::TaskKeys;
use crate::nodes;
use crate::operators;
use crate::pool::NodePool;
use crate::shuffle::exchange::Exchange;
use crate::shuffle::reader::PartitionReader;
use crate::shuffle::store::PartitionStore;
use crate::stage::{Layout, Place, Stage, StoppedWhenRevoked};
use crate::stop::{ended, stoppable};
use crate::tasks::RunningTasks;

/// What every task of this process shares.
pub(crate) struct Engine {
    pub(crate) store: Arc<PartitionStore>,
    pub(crate) pool: Arc<NodePool>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) keys: Arc<TaskKeys>,
    /// This executor's id of its process start.
    pub(crate) id: String,
    pub(crate) tasks: Arc<RunningTasks>,
    pub(crate) operators: operators::Counters,
    pub(crate) wake: Arc<Notify>,
    /// Where tasks compute.
    pub(crate) threads: Handle,
    #[cfg(feature = "measure-plain")]
    pub(crate) stock: Option<Arc<crate::stock::Stock>>,
}

impl ExecutionEngine for Engine {
    fn create_query_stage_exec(
        &self,
        job: JobId,
        stage: usize,
        task: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        _work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        self.stage(job.to_string(), stage, task, partitions, &plan, config)
            .map_err(marked)
    }
}

impl Engine {
    fn stage(
        &self,
        job: String,
        stage: usize,
        task: usize,
        partitions: Vec<usize>,
        plan: &Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        self.check_goes_on(&job)?;
        let granted = self
            .keys
            .of_task(&TaskOptions::of(config)?.grant, &job, stage, &self.id)?;
        nodes::check(plan)?;
        let nodes = nodes::count(plan);
        #[cfg(feature = "measure-plain")]
        let writer = plan;
        let (plan, layout) = without_writer(plan)?;
        let running = self.tasks.enter(&job, (stage, task));
        // An order to cancel may have come since, and found no task of this number.
        self.check_goes_on(&job)?;
        let place = Place {
            job,
            stage,
            task,
            partitions,
        };
        #[cfg(feature = "measure-plain")]
        if let Some(stock) = &self.stock {
            let plan = open_for_reading(operators::put_into(plan)?, &granted.scans)?;
            let plan = vec![operators::windows_in_order(plan)?];
            let plan = datafusion::physical_plan::replace_children_if_necessary(writer.clone(), plan)?;
            let shared = (self.pool.clone(), self.wake.clone(), running);
            return Ok(Arc::new(stock.stage(place, plan, nodes, shared)?));
        }
        let plan = self.with_own_readers(plan, &granted.held)?;
        let plan = operators::put_into(plan)?;
        self.operators.count(&plan)?;
        let plan = operators::windows_in_order(open_for_reading(plan, &granted.scans)?)?;
        let plan = stoppable(plan, running.stop())?;
        tracing::debug!(query = granted.query, job = place.job, stage, task, "task starts");
        Ok(Arc::new(Stage {
            _watched: StoppedWhenRevoked::new(granted.usable.clone(), running.stop()),
            running: Arc::new(running),
            executor: executor_name(&self.id).to_owned(),
            place,
            plan,
            nodes,
            layout,
            usable: granted.usable,
            store: self.store.clone(),
            pool: self.pool.clone(),
            wake: self.wake.clone(),
            threads: self.threads.clone(),
        }))
    }

    /// # Errors
    /// If the job has ended.
    fn check_goes_on(&self, job: &str) -> Result<()> {
        match self.store.has_ended(job) {
            true => Err(ended(job)),
            false => Ok(()),
        }
    }

    fn with_own_readers(&self, plan: Arc<dyn ExecutionPlan>, grant: &Arc<HeldGrant>) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform(|node| {
            Ok(
                match PartitionReader::in_place_of(node.as_ref(), &self.exchange, grant) {
                    Some(reader) => Transformed::yes(Arc::new(reader)),
                    None => Transformed::no(node),
                },
            )
        })?;
        Ok(replaced.data)
    }
}

/// The plan below the stage's writer, and how the writer lays its rows out.
fn without_writer(plan: &Arc<dyn ExecutionPlan>) -> Result<(Arc<dyn ExecutionPlan>, Layout)> {
    let layout = if let Some(writer) = plan.downcast_ref::<SortShuffleWriterExec>() {
        Layout::Hash(writer.shuffle_output_partitioning().clone())
    } else if plan.is::<ShuffleWriterExec>() {
        Layout::PassThrough
    } else {
        return Err(DataFusionError::NotImplemented(format!(
            "this executor does not write through {}",
            plan.name()
        )));
    };
    let child = plan.children().first().map(|child| Arc::clone(child));
    let child = child.ok_or_else(|| DataFusionError::Internal("a stage has nothing to compute".to_owned()))?;
    Ok((child, layout))
}

//! The root of a plan that runs as a job: its rows are the answer.
//!
//! Ballista 55 plans the rest of a query anew after each stage, the last one included, and takes the partitions of whichever
//! stage ended last for the answer. Where a rule still finds something to change below a root that has run, another stage
//! follows it, whose rows are none. The root is therefore known by a node of its own ([`is_root`]), and no task is handed
//! out after it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// Emits the rows of its input as they come.
#[derive(Debug)]
pub(crate) struct RootExec {
    input: Arc<dyn ExecutionPlan>,
}

impl RootExec {
    /// The name of the node, on the wire, too.
    pub(crate) const NAME: &str = "RootExec";

    /// The root over the plan of an answer.
    pub(crate) fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input }
    }

    /// The root over its only input.
    pub(crate) fn again(inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        match <[_; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Self::over(input)),
            Err(inputs) => internal_err!("the root of a plan has one input, not {}", inputs.len()),
        }
    }
}

/// Whether the rows of a stage are the answer, by the plan below the node that writes them.
pub fn is_root(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RootExec>()
}

impl DisplayAs for RootExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

impl ExecutionPlan for RootExec {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
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

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(self: Arc<Self>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::again(inputs)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("the root of a plan has one input, not {}", inputs.len()),
        }
    }
}

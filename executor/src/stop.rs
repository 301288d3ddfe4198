//! Stop means stop. A task that waits for something ends when it is aborted; one that computes gives no way to abort it, so
//! it looks at a flag of its own: whenever a batch passes from one node of its plan to the next, whenever a join looks at
//! candidates, and in the loops of our own operators. The flag is set from the process's main runtime, which no task holds up,
//! when a job is cancelled or out of time, when a class that the task reads is taken back, and when the membership ends.
//!
//! What is computed from one batch by one node is not stopped: the windows of a partition, the sorting of a batch.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};
use parcours_cluster::failure::ENDED;

use crate::operators::with_filter;

/// Whether a task is to end.
#[derive(Debug)]
pub(crate) struct Stop {
    job: String,
    stopped: AtomicBool,
}

impl Stop {
    /// The flag of a task of this job, which goes on.
    pub(crate) fn of(job: &str) -> Arc<Self> {
        Arc::new(Self {
            job: job.to_owned(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Has the task end.
    pub(crate) fn set(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// An error once the task is to end.
    pub(crate) fn check(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(ended(&self.job)),
        }
    }
}

/// The error of a task whose job has ended.
pub(crate) fn ended(job: &str) -> DataFusionError {
    DataFusionError::Execution(format!("job {job} {ENDED}"))
}

/// The plan, every edge and every condition of a join of which ends when the task is stopped.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let input = looking(&node, stop)?.unwrap_or(node);
        Ok(Transformed::yes(Arc::new(Edge {
            input,
            stop: stop.clone(),
        }) as _))
    });
    wrapped.data()
}

/// The join whose condition looks at the flag, since it may be met by none of very many pairs; none for any other node.
fn looking(node: &Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let looking = |filter: &JoinFilter| {
        let condition = Condition {
            inner: Arc::clone(filter.expression()),
            stop: stop.clone(),
        };
        let columns = filter.column_indices().to_vec();
        JoinFilter::new(Arc::new(condition), columns, Arc::clone(filter.schema()))
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = join.filter().map(looking) else {
            return Ok(None);
        };
        let join = NestedLoopJoinExecBuilder::from(join)
            .with_filter(Some(filter))
            .build()?;
        return Ok(Some(Arc::new(join)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some(filter) = join.filter().map(looking) else {
            return Ok(None);
        };
        return join.builder().with_filter(Some(filter)).build_exec().map(Some);
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        let Some(filter) = join.filter().as_ref().map(looking) else {
            return Ok(None);
        };
        return with_filter(join, filter).map(Some);
    }
    Ok(None)
}

/// Between a node and the one that reads it. It has no metrics: to whoever gathers those it is not there.
#[derive(Debug)]
struct Edge {
    input: Arc<dyn ExecutionPlan>,
    stop: Arc<Stop>,
}

impl DisplayAs for Edge {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge")
    }
}

impl ExecutionPlan for Edge {
    fn name(&self) -> &'static str {
        "Edge"
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

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self {
                input,
                stop: self.stop.clone(),
            })),
            Err(_) => internal_err!("an edge has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.stop.check()?;
        Ok(Box::pin(Passing {
            inner: self.input.execute(partition, context)?,
            stop: self.stop.clone(),
            ended: false,
        }))
    }
}

/// Batches on an edge.
struct Passing {
    inner: SendableRecordBatchStream,
    stop: Arc<Stop>,
    ended: bool,
}

impl Stream for Passing {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Err(stopped) = self.stop.check() {
            self.ended = true;
            return Poll::Ready(Some(Err(stopped)));
        }
        self.inner.poll_next_unpin(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl RecordBatchStream for Passing {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

/// The condition of a join, which is looked at for some candidates at a time.
#[derive(Debug)]
struct Condition {
    inner: Arc<dyn PhysicalExpr>,
    stop: Arc<Stop>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && Arc::ptr_eq(&self.stop, &other.stop)
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Condition {
    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, candidates: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check()?;
        self.inner.evaluate(candidates)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match <[_; 1]>::try_from(children) {
            Ok([inner]) => Ok(Arc::new(Self {
                inner,
                stop: self.stop.clone(),
            })),
            Err(_) => internal_err!("a condition that can be stopped is one of a join"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests;

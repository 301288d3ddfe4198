//! Nodes that say something of the rows of their input and emit them as they come.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::projection::{ProjectionExec, make_with_child};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};

/// What a node says of the rows of its input.
pub(crate) trait Mark: fmt::Debug + Send + Sync + Sized + 'static {
    /// The name of the node, on the wire, too.
    const NAME: &str;

    /// Whether the rows of the node are in the order of its input, also in one that its columns do not show.
    const ORDERED: bool;

    /// Whether projections, filters and limits may move below the node.
    const MOVES: bool;

    /// Whether the node needs the order that its input declares.
    const NEEDS_ORDER: bool = false;

    /// What is known of the rows of the node: what is known of those of its input, unless it is said otherwise.
    fn properties(input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
        Arc::clone(input.properties())
    }
}

/// Emits the rows of its input as they come.
#[derive(Debug)]
pub(crate) struct MarkExec<M> {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// What is estimated of all rows of the input. It is asked for again and again, each time from the bottom of the plan.
    estimated: OnceLock<Arc<Statistics>>,
    mark: PhantomData<M>,
}

impl<M: Mark> MarkExec<M> {
    /// The mark over a plan.
    pub(crate) fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = M::properties(&input);
        Self {
            input,
            properties,
            estimated: OnceLock::new(),
            mark: PhantomData,
        }
    }

    /// The mark over its only input.
    pub(crate) fn again(inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        match <[_; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Self::over(input)),
            Err(inputs) => internal_err!("a {} has one input, not {}", M::NAME, inputs.len()),
        }
    }

    /// Returns the plan with the mark above each node that is such a one.
    ///
    /// # Errors
    /// If a node does not take the mark for its input.
    pub(super) fn above_each(
        plan: Arc<dyn ExecutionPlan>,
        is_one: impl Fn(&Arc<dyn ExecutionPlan>) -> bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match is_one(&node) {
            true => Ok(Transformed::yes(Arc::new(Self::over(node)) as _)),
            false => Ok(Transformed::no(node)),
        })
        .data()
    }

    /// Returns the plan without the marks above nodes of which such a one goes.
    ///
    /// # Errors
    /// If a node does not take what was below a mark for its input.
    pub(super) fn taken_off(
        plan: Arc<dyn ExecutionPlan>,
        goes: impl Fn(&Arc<dyn ExecutionPlan>) -> bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<Self>() {
            Some(mark) if goes(mark.input()) => Ok(Transformed::yes(Arc::clone(mark.input()))),
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    /// The plan below the mark.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl<M: Mark> DisplayAs for MarkExec<M> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(M::NAME)
    }
}

impl<M: Mark> ExecutionPlan for MarkExec<M> {
    fn name(&self) -> &str {
        M::NAME
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

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let ordering = self.input.output_ordering().filter(|_| M::NEEDS_ORDER);
        vec![ordering.cloned().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![M::ORDERED]
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
        match partition.is_none() && self.estimated.get().is_some() {
            true => vec![ChildStats::Skip],
            false => vec![ChildStats::At(partition)],
        }
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] if args.partition().is_some() => Ok(Arc::clone(input)),
            [input] => Ok(Arc::clone(self.estimated.get_or_init(|| Arc::clone(input)))),
            _ => internal_err!("a {} has one input, not {}", M::NAME, inputs.len()),
        }
    }

    fn supports_limit_pushdown(&self) -> bool {
        M::MOVES
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let moved = M::MOVES.then(|| make_with_child(projection, &self.input)).transpose()?;
        Ok(moved.map(|below| Arc::new(Self::over(below)) as _))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        match M::MOVES {
            true => FilterDescription::from_children(filters, &self.children()),
            false => Ok(FilterDescription::all_unsupported(&filters, &self.children())),
        }
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}

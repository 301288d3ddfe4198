//! Aggregates over groups that are numbered by whoever runs them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::GroupsAccumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

/// The values of these expressions for a batch.
pub(super) fn values<'a>(
    exprs: &'a [Arc<dyn PhysicalExpr>],
    rows: &'a RecordBatch,
) -> impl Iterator<Item = Result<ArrayRef>> + 'a {
    exprs
        .iter()
        .map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows()))
}

/// An aggregate, and the condition of the rows that count for it.
#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    function: Arc<AggregateFunctionExpr>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    /// This aggregate, if it can be computed for many groups at once and needs no order.
    pub(super) fn of(function: &Arc<AggregateFunctionExpr>, filter: Option<&Arc<dyn PhysicalExpr>>) -> Option<Self> {
        let known = function.groups_accumulator_supported() && function.order_bys().is_empty();
        known.then(|| Self {
            function: Arc::clone(function),
            arguments: function.expressions(),
            filter: filter.cloned(),
        })
    }

    /// Returns the name of its function.
    pub(super) fn name(&self) -> &str {
        self.function.fun().name()
    }

    /// What it computes of a row.
    pub(super) fn expressions(&mut self) -> impl Iterator<Item = &mut Arc<dyn PhysicalExpr>> {
        self.arguments.iter_mut().chain(&mut self.filter)
    }

    /// Its state, without a row.
    pub(super) fn begin(&self) -> Result<Box<dyn GroupsAccumulator>> {
        self.function.create_groups_accumulator()
    }

    /// Adds the rows of a batch, each to its group.
    pub(super) fn add(
        &self,
        state: &mut dyn GroupsAccumulator,
        rows: &RecordBatch,
        groups: &[usize],
        count: usize,
    ) -> Result<()> {
        let arguments = values(&self.arguments, rows).collect::<Result<Vec<_>>>()?;
        let filter = values(self.filter.as_slice(), rows).next().transpose()?;
        let filter = filter.as_ref().map(|filter| filter.as_boolean());
        state.update_batch(&arguments, groups, filter, count)
    }
}

/// Whether a grouping has its groups whole, and no more to it than its keys and aggregates.
pub(super) fn is_whole(grouping: &AggregateExec) -> bool {
    let mode = grouping.mode();
    matches!(mode, AggregateMode::Single | AggregateMode::SinglePartitioned) && is_plain(grouping)
}

/// Whether there is no more to a grouping than its keys and aggregates.
pub(super) fn is_plain(grouping: &AggregateExec) -> bool {
    grouping.group_expr().is_single() && grouping.limit_options().is_none()
}

/// The column in the type in which the plan says that it comes.
pub(super) fn as_type(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if column.data_type() == wanted {
        return Ok(column);
    }
    Ok(cast(&column, wanted)?)
}

//! An optimizer rule: conditions are pushed down as DataFusion's rule does, but for constants above an aggregate that answers
//! a row whatever its input is. DataFusion 55 takes a condition without columns for one of its keys, and pushes it below,
//! where it takes rows away, though not that one:
//!
//! ```text
//! SELECT s FROM (SELECT sum(x) AS s, 2 AS k FROM t) WHERE k > 3     -- no row; not a row of NULL
//! ```

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::below::groups_sets;

/// Pushes conditions down.
#[derive(Debug, Default)]
pub(super) struct PushedFilters(PushDownFilter);

impl OptimizerRule for PushedFilters {
    // DataFusion's, in whose place it stands.
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(filter) if is_over_totals(&filter) => self.above_totals(filter, config),
            plan => self.0.rewrite(plan, config),
        }
    }
}

impl PushedFilters {
    /// Pushes down what refers to columns, and leaves the rest where it is.
    fn above_totals(&self, filter: Filter, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let parts = split_conjunction_owned(filter.predicate.clone());
        let (of_columns, constant): (Vec<_>, Vec<_>) = parts.into_iter().partition(Expr::any_column_refs);
        let Some(constant) = conjunction(constant) else {
            return self.0.rewrite(LogicalPlan::Filter(filter), config);
        };
        let Some(of_columns) = conjunction(of_columns) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let below = LogicalPlan::Filter(Filter::try_new(of_columns, filter.input)?);
        let pushed = self.0.rewrite(below, config)?;
        let changed = pushed.transformed;
        let above = Filter::try_new(constant, Arc::new(pushed.data))?;
        Ok(Transformed::new_transformed(LogicalPlan::Filter(above), changed))
    }
}

/// Whether the input answers a row though it has none.
fn is_over_totals(filter: &Filter) -> bool {
    let answers_always = |aggregate: &Aggregate| aggregate.group_expr.is_empty() || groups_sets(aggregate);
    matches!(filter.input.as_ref(), LogicalPlan::Aggregate(aggregate) if answers_always(aggregate))
}

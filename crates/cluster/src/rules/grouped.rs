//! An optimizer rule: aggregates of distinct values are computed over groups of them, as DataFusion's rule has it, unless a
//! sum stands beside them. DataFusion 55 adds such a sum up in two steps: a sum of DECIMALs comes out in another type than
//! was declared, and one of doubles is rounded twice.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Aggregates that come out the same when they are computed in two steps.
const REPEATABLE: [&str; 2] = ["min", "max"];

/// Computes aggregates of distinct values by grouping.
#[derive(Debug, Default)]
pub(super) struct GroupedDistinct(SingleDistinctToGroupBy);

impl OptimizerRule for GroupedDistinct {
    // DataFusion's, in whose place it stands.
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::Aggregate(aggregate) if are_repeatable(aggregate) => self.0.rewrite(plan, config),
            _ => Ok(Transformed::no(plan)),
        }
    }
}

fn are_repeatable(aggregate: &Aggregate) -> bool {
    aggregate.aggr_expr.iter().all(|expr| match expr.clone().unalias() {
        Expr::AggregateFunction(function) => function.params.distinct || REPEATABLE.contains(&function.func.name()),
        _ => false,
    })
}

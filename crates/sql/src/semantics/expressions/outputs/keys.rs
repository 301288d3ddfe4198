//! An analyzer rule: nothing is grouped by twice. `GROUP BY a, a`, or by two names of one column, gives an aggregate whose
//! columns the engine counts otherwise in the logical plan than in the physical one.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Takes out keys that occur again.
#[derive(Debug, Default)]
pub(in super::super) struct UniqueKeys;

impl AnalyzerRule for UniqueKeys {
    fn name(&self) -> &str {
        "unique_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => unique(aggregate),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn unique(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let count = aggregate.group_expr.len();
    let mut keys: Vec<Expr> = Vec::with_capacity(count);
    for key in &aggregate.group_expr {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    if keys.len() == count {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let aggregate = Aggregate::try_new(aggregate.input, keys, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

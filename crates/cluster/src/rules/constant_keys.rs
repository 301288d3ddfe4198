//! An optimizer rule: a key of a join is a column or computed from some. What has become a constant since it was taken for a
//! key is a condition: DataFusion 55 drops such a key when it puts joins in another order (`EliminateCrossJoin`), so that all
//! pairs of rows came out:
//!
//! ```text
//! (SELECT upper('a') AS v FROM t) q JOIN u ON CASE WHEN q.v IS NOT NULL THEN 100 END = u.k
//! ```

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::joins::look_at;

/// Makes conditions of keys without columns.
#[derive(Debug, Default)]
pub(super) struct ConstantKeys;

impl OptimizerRule for ConstantKeys {
    fn name(&self) -> &str {
        "constant_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else {
            return Ok(Transformed::no(plan));
        };
        let is_constant = |(left, right): &(Expr, Expr)| !left.any_column_refs() || !right.any_column_refs();
        let (constant, keys): (Vec<_>, Vec<_>) = std::mem::take(&mut join.on).into_iter().partition(is_constant);
        join.on = keys;
        let changed = !constant.is_empty();
        if changed {
            look_at(&mut join, constant);
        }
        Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::execution::SessionStateBuilder;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn a_condition_that_becomes_constant_is_kept() {
        let mut rules = Optimizer::new().rules;
        let at = rules.iter().position(|rule| rule.name() == "simplify_expressions");
        rules.insert(at.unwrap() + 1, Arc::new(ConstantKeys));
        let builder = SessionStateBuilder::new().with_default_features();
        let context = SessionContext::new_with_state(builder.with_optimizer_rules(rules).build());
        for (join, rows) in [
            ("JOIN", 2),
            ("LEFT JOIN", 2),
            ("RIGHT JOIN", 3),
            ("LEFT SEMI JOIN", 1),
            ("LEFT ANTI JOIN", 0),
        ] {
            let sql = format!(
                "SELECT 1 FROM (SELECT upper('a') AS v FROM (VALUES (1)) AS t) AS q {join} (VALUES (100), (7), (100)) AS u (k) \
                 ON CASE WHEN q.v IS NOT NULL THEN 100 ELSE 0 END = u.k"
            );
            let frame = context.sql(&sql).await.unwrap();
            assert_eq!(frame.count().await.unwrap(), rows, "{join}");
        }
    }
}

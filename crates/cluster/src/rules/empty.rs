//! An optimizer rule: parts without rows are taken out of a plan as DataFusion's rule does, but for what is left of a union.
//! DataFusion 55 shows its one part under the names of the first part, which may be one that is gone:
//!
//! ```text
//! SELECT k AS a FROM t WHERE false UNION ALL SELECT DISTINCT k + 1 FROM t     -- its part has no column a
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Union};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Takes parts without rows out.
#[derive(Debug, Default)]
pub(super) struct EmptyParts(PropagateEmptyRelation);

impl OptimizerRule for EmptyParts {
    // DataFusion's, in whose place it stands.
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Union(union) = &plan
            && let Some(part) = only_part(union)
        {
            return under_names(part, union).map(Transformed::yes);
        }
        self.0.rewrite(plan, config)
    }
}

/// The part of a union that may have rows, if it is the only one.
fn only_part(union: &Union) -> Option<&Arc<LogicalPlan>> {
    let is_empty = |part: &LogicalPlan| matches!(part, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row);
    let mut parts = union.inputs.iter().filter(|part| !is_empty(part));
    parts.next().filter(|_| parts.next().is_none())
}

fn under_names(part: &Arc<LogicalPlan>, union: &Union) -> Result<LogicalPlan> {
    let columns = part.schema().iter().map(|field| Expr::Column(Column::from(field)));
    let named = columns
        .zip(union.schema.iter())
        .map(|(column, (qualifier, field))| column.alias_qualified(qualifier.cloned(), field.name()));
    let schema = Arc::clone(&union.schema);
    Projection::try_new_with_schema(named.collect(), Arc::clone(part), schema).map(LogicalPlan::Projection)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::SessionStateBuilder;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn context() -> SessionContext {
        let mut rules = Optimizer::new().rules;
        let ours = Arc::new(EmptyParts::default());
        let engines = rules.iter_mut().find(|rule| rule.name() == ours.name());
        *engines.unwrap() = ours;
        let builder = SessionStateBuilder::new().with_default_features();
        SessionContext::new_with_state(builder.with_optimizer_rules(rules).build())
    }

    #[tokio::test]
    async fn what_is_left_of_a_union_has_its_names() {
        let context = context();
        for (sql, rows) in [
            (
                "SELECT k AS a, 7 AS b FROM t WHERE false UNION ALL SELECT DISTINCT k + 1, 8 FROM t",
                2,
            ),
            (
                "SELECT k AS a, 7 AS b FROM t WHERE false UNION ALL SELECT k, 9 FROM t WHERE false",
                0,
            ),
            (
                "SELECT DISTINCT k AS a, 7 AS b FROM t UNION ALL SELECT k, 9 FROM t WHERE false UNION ALL SELECT 1, 2",
                3,
            ),
        ] {
            let sql = format!(
                "SELECT a, b FROM ({}) AS s",
                sql.replace("FROM t", "FROM (VALUES (1), (2), (2)) AS t (k)")
            );
            let frame = context.sql(&sql).await.unwrap();
            assert_eq!(frame.count().await.unwrap(), rows, "{sql}");
        }
    }
}

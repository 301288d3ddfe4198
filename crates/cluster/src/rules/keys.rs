//! An optimizer rule: rows are ordered and divided by columns. DataFusion 55 does not know an order by an expression again if
//! it computes with what a function gives, as in `ORDER BY abs(x) < 5`, and refuses its own plan: it asks for the range of the
//! function's values, of which the type is missing. What is not a column is therefore computed below the node.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Sort, SortExpr, Window};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use parcours_sql::semantics::free_column;

/// Computes what sorts, windows and aggregates go by.
#[derive(Debug, Default)]
pub(super) struct ComputedKeys;

impl OptimizerRule for ComputedKeys {
    fn name(&self) -> &str {
        "computed_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::Sort(sort) => {
                let mut keys = Keys::over(sort.input.schema());
                let mut expr = sort.expr.clone();
                keys.order(&mut expr);
                let (fetch, input) = (sort.fetch, keys.below(&sort.input)?);
                over(plan, input, |input| Ok(LogicalPlan::Sort(Sort { expr, input, fetch })))
            }
            LogicalPlan::Window(window) => {
                let mut keys = Keys::over(window.input.schema());
                let expr = keys.within(&plan, &window.window_expr)?;
                let input = keys.below(&window.input)?;
                over(plan, input, |input| {
                    Ok(LogicalPlan::Window(Window::try_new(expr, input)?))
                })
            }
            LogicalPlan::Aggregate(aggregate) => {
                let mut keys = Keys::over(aggregate.input.schema());
                let expr = keys.within(&plan, &aggregate.aggr_expr)?;
                let (by, input) = (aggregate.group_expr.clone(), keys.below(&aggregate.input)?);
                over(plan, input, |input| {
                    Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, by, expr)?))
                })
            }
            _ => Ok(Transformed::no(plan)),
        }
    }
}

/// The node that is made over the input, if there is one, with the columns that it had.
fn over(
    plan: LogicalPlan,
    input: Option<LogicalPlan>,
    make: impl FnOnce(Arc<LogicalPlan>) -> Result<LogicalPlan>,
) -> Result<Transformed<LogicalPlan>> {
    let Some(input) = input else {
        return Ok(Transformed::no(plan));
    };
    let made = make(Arc::new(input))?;
    if made.schema() == plan.schema() {
        return Ok(Transformed::yes(made));
    }
    let shown = plan.schema().iter().map(|field| Expr::Column(Column::from(field)));
    let shown = Projection::try_new(shown.collect(), Arc::new(made))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}

/// Expressions that become columns of the input of a node.
struct Keys<'a> {
    schema: &'a DFSchemaRef,
    named: Vec<(Expr, Column)>,
}

impl<'a> Keys<'a> {
    fn over(schema: &'a DFSchemaRef) -> Self {
        let named = Vec::new();
        Self { schema, named }
    }

    /// Windows and aggregates within the expressions of a node by the names of their keys.
    fn within(&mut self, plan: &LogicalPlan, exprs: &[Expr]) -> Result<Vec<Expr>> {
        let names = NamePreserver::new(plan);
        let exprs = exprs.iter().map(|expr| {
            let name = names.save(expr);
            let by_columns = expr.clone().transform_up(|mut expr| {
                match &mut expr {
                    Expr::WindowFunction(window) => {
                        window.params.partition_by.iter_mut().for_each(|key| self.name(key));
                        self.order(&mut window.params.order_by);
                    }
                    Expr::AggregateFunction(aggregate) => {
                        self.order(&mut aggregate.params.order_by);
                        // An order of DISTINCT values is one of the argument.
                        let args = aggregate.params.args.iter_mut();
                        args.for_each(|arg| self.again(arg));
                    }
                    _ => return Ok(Transformed::no(expr)),
                }
                Ok(Transformed::yes(expr))
            })?;
            Ok(name.restore(by_columns.data))
        });
        exprs.collect()
    }

    fn order(&mut self, order: &mut [SortExpr]) {
        order.iter_mut().for_each(|by| self.name(&mut by.expr));
    }

    /// Names what is not a column.
    fn name(&mut self, key: &mut Expr) {
        while let Expr::Alias(alias) = key {
            *key = std::mem::take(alias.expr.as_mut());
        }
        if matches!(key, Expr::Column(_)) {
            return;
        }
        if !self.named.iter().any(|(known, _)| known == key) {
            let taken = self.named.iter().map(|(_, column)| column);
            let column = free_column("by", self.schema, taken);
            self.named.push((key.clone(), column));
        }
        self.again(key);
    }

    /// Names what has been named.
    fn again(&self, expr: &mut Expr) {
        if let Some((_, column)) = self.named.iter().find(|(known, _)| known == expr) {
            *expr = Expr::Column(column.clone());
        }
    }

    /// The rows of the input with the columns, if there are any.
    fn below(&self, input: &Arc<LogicalPlan>) -> Result<Option<LogicalPlan>> {
        if self.named.is_empty() {
            return Ok(None);
        }
        let columns = self.schema.iter().map(|field| Expr::Column(Column::from(field)));
        let named = self.named.iter().map(|(key, column)| key.clone().alias(&column.name));
        let all = columns.chain(named).collect();
        let below = Projection::try_new(all, Arc::clone(input))?;
        Ok(Some(LogicalPlan::Projection(below)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::common::tree_node::TreeNodeRecursion;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn rows(context: &SessionContext, sql: &str) -> String {
        context.sql(sql).await.unwrap().to_string().await.unwrap()
    }

    #[tokio::test]
    async fn nodes_go_by_columns() {
        let state = SessionStateBuilder::new().with_default_features();
        let state = state.with_optimizer_rule(Arc::new(ComputedKeys)).build();
        let context = SessionContext::new_with_state(state);
        let t = "(VALUES (1, -3), (2, 7), (3, 4)) t(n, x)";
        for (sql, plain) in [
            (
                "SELECT n, rank() OVER (ORDER BY abs(x) < 5, n) AS r, count(*) OVER (PARTITION BY abs(x) < 5) AS c \
                 FROM {} ORDER BY n",
                "SELECT n, rank() OVER (ORDER BY b, n) AS r, count(*) OVER (PARTITION BY b) AS c \
                 FROM (SELECT *, abs(x) < 5 AS b FROM {}) AS s ORDER BY n",
            ),
            (
                "SELECT n FROM {} ORDER BY abs(x) < 5, n DESC LIMIT 2",
                "SELECT n FROM (SELECT n, abs(x) < 5 AS b FROM {}) AS s ORDER BY b, n DESC LIMIT 2",
            ),
            (
                "SELECT first_value(n ORDER BY abs(x) < 5 DESC, n DESC) AS f FROM {}",
                "SELECT first_value(n ORDER BY b DESC, n DESC) AS f FROM (SELECT n, abs(x) < 5 AS b FROM {}) AS s",
            ),
            (
                "SELECT array_agg(DISTINCT abs(x) ORDER BY abs(x)) AS l FROM {}",
                "SELECT array_agg(DISTINCT x ORDER BY x) AS l FROM (SELECT abs(x) AS x FROM {}) AS s",
            ),
        ] {
            let (sql, plain) = (sql.replace("{}", t), plain.replace("{}", t));
            assert_eq!(rows(&context, &sql).await, rows(&context, &plain).await, "{sql}");
            let plan = context.sql(&sql).await.unwrap().into_optimized_plan().unwrap();
            plan.apply(|node| {
                node.apply_expressions(|expr| {
                    expr.apply(|expr| {
                        let order = match expr {
                            Expr::WindowFunction(window) => window.params.order_by.as_slice(),
                            Expr::AggregateFunction(aggregate) => aggregate.params.order_by.as_slice(),
                            _ => &[],
                        };
                        let by_columns = order
                            .iter()
                            .all(|by| matches!(by.expr.clone().unalias(), Expr::Column(_)));
                        assert!(by_columns, "{plan}");
                        Ok(TreeNodeRecursion::Continue)
                    })
                })
            })
            .unwrap();
        }
    }
}

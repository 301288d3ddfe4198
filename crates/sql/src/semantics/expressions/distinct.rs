//! Aggregates of DISTINCT values in an order. A value that comes several times may have several places by anything else, so
//! that the order goes by arguments of the aggregate (PostgreSQL, DuckDB). DataFusion 55 says so when a task runs, holds the
//! two against each other with the names that they have within, and lets `count` and `sum` pass.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::each::{rewrite_plan, varies};

/// Writes the order of DISTINCT values in terms of the arguments, or refuses it.
#[derive(Debug)]
pub(super) struct DistinctOrders;

impl AnalyzerRule for DistinctOrders {
    fn name(&self) -> &str {
        "distinct_orders"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(plan, is_ordered, |expr, _| expr.transform_up(by_arguments))
    }
}

fn is_ordered(expr: &Expr) -> bool {
    matches!(expr, Expr::AggregateFunction(aggregate) if aggregate.params.distinct && !aggregate.params.order_by.is_empty())
}

fn by_arguments(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::AggregateFunction(mut aggregate) if aggregate.params.distinct => {
            let order = std::mem::take(&mut aggregate.params.order_by);
            let order = order.into_iter().filter(|by| varies(&by.expr));
            let order = order.map(|by| by_argument(by, &aggregate));
            aggregate.params.order_by = order.collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::AggregateFunction(aggregate)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn by_argument(mut by: Sort, aggregate: &AggregateFunction) -> Result<Sort> {
    let plain = unnamed(by.expr.clone())?;
    for argument in &aggregate.params.args {
        if unnamed(argument.clone())? == plain {
            by.expr = argument.clone();
            return Ok(by);
        }
    }
    plan_err!(
        "{} of DISTINCT values goes in an order of its argument: for another, write it over a subquery with DISTINCT or \
         GROUP BY",
        aggregate.func.name()
    )
}

/// The expression without names within it.
fn unnamed(expr: Expr) -> Result<Expr> {
    expr.transform_up(|expr| match expr {
        Expr::Alias(alias) => Ok(Transformed::yes(*alias.expr)),
        expr => Ok(Transformed::no(expr)),
    })
    .data()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::prelude::DataFrame;

    use super::super::testing::{numbers, rows};

    #[tokio::test]
    async fn distinct_values_go_in_an_order_of_theirs() {
        let context = numbers(true).await;
        for sql in [
            "SELECT array_agg(DISTINCT id ORDER BY id DESC) FROM n",
            "SELECT array_agg(DISTINCT id ORDER BY 1, id) FROM n",
            "SELECT count(DISTINCT id ORDER BY id) FROM n",
        ] {
            let planned = context.sql(sql).await.and_then(DataFrame::into_optimized_plan);
            assert!(planned.is_ok(), "{sql}: {planned:?}");
        }
        for sql in [
            "SELECT array_agg(DISTINCT id ORDER BY int) FROM n",
            "SELECT array_agg(DISTINCT id ORDER BY id + 1) FROM n",
            "SELECT array_agg(DISTINCT id ORDER BY id, int) FROM n",
            "SELECT string_agg(DISTINCT id, ' ' ORDER BY id) FROM n",
            "SELECT count(DISTINCT id ORDER BY int) FROM n",
        ] {
            let refusal = rows(&context, sql).await.unwrap_err().to_string();
            assert!(refusal.contains("goes in an order of its argument"), "{sql}: {refusal}");
        }
    }
}

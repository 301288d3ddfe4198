//! An optimizer rule behind all others: conditions of which the engine learns what is not so, or what it forgets.
//!
//! It works out from `CAST(t AS DATE) = DATE '2020-01-02'` that `t` is one moment in all rows that the condition leaves, and
//! drops an order by it. As TRY_CAST, which it does not look into, a cast of which several values give one says the same, since
//! it never fails. From `a = b` it works out that rows in the order of a are in that of b, and knows it no longer when the
//! condition has moved into a scan, so that a plan for rows by b is refused: the condition becomes `NOT a <> b`.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Has conditions say nothing of the values below such casts, nor of two columns.
#[derive(Debug, Default)]
pub(super) struct LossyCasts;

impl OptimizerRule for LossyCasts {
    fn name(&self) -> &str {
        "lossy_casts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let schema = filter.input.schema();
        let predicate = filter.predicate.clone().transform_up(|expr| opaque(expr, schema))?;
        let filter = match predicate.transformed {
            true => Filter::try_new(predicate.data, filter.input)?,
            false => filter,
        };
        Ok(Transformed::new_transformed(
            LogicalPlan::Filter(filter),
            predicate.transformed,
        ))
    }
}

fn opaque(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        // Nor does it look into CASE.
        Expr::Cast(Cast { expr, field })
            if !matches!(*expr, Expr::Case(_)) && is_lossy(&expr.get_type(schema)?, field.data_type()) =>
        {
            Ok(Transformed::yes(Expr::TryCast(TryCast { expr, field })))
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) if matches!((left.as_ref(), right.as_ref()), (Expr::Column(_), Expr::Column(_))) => {
            Ok(Transformed::yes(!left.not_eq(*right)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Whether a cast never fails and gives several values one.
fn is_lossy(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Float32, Float64, Int64, Time64, Timestamp, UInt64};
    match (from, to) {
        (Timestamp(..), Date32 | Time64(_)) => true,
        (Timestamp(from, _), Timestamp(to, _)) => to < from,
        (from, Boolean) => from.is_numeric(),
        (Int64 | UInt64, Float64) | (Float64, Float32) => true,
        (from, Float32) => from.is_integer(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn an_order_below_a_cast_is_kept() {
        let state = SessionStateBuilder::new().with_default_features();
        let state = state.with_optimizer_rule(Arc::new(LossyCasts)).build();
        let context = SessionContext::new_with_state(state);
        for (values, condition, expected) in [
            ("(3), (2), (1), (0)", "CAST(x AS BOOLEAN)", "123"),
            (
                "(TIMESTAMP '2020-01-02 03:00:00'), (TIMESTAMP '2020-01-02 01:00:00')",
                "CAST(x AS DATE) = DATE '2020-01-02'",
                "13",
            ),
            (
                "(9007199254740993), (9007199254740992)",
                "CAST(x AS DOUBLE) = CAST(9007199254740992 AS DOUBLE)",
                "23",
            ),
        ] {
            let last = "right(CAST(date_part('hour', x) AS VARCHAR), 1)";
            let shown = if expected == "13" {
                last
            } else {
                "right(CAST(x AS VARCHAR), 1)"
            };
            let sql = format!("SELECT {shown} AS v FROM (VALUES {values}) t(x) WHERE {condition} ORDER BY x");
            let rows = context.sql(&sql).await.unwrap().to_string().await.unwrap();
            let digits: String = rows.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits, expected, "{sql}\n{rows}");
        }
    }
}

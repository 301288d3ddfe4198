//! An optimizer rule: a date some days later is a number some days larger. SQL's `date + 30` becomes a calendar computation
//! for each row, and in a join for each pair of rows; as whole numbers the same days are added in one instruction for many.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, cast, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;

/// More days than this, some thousand years, are left to the calendar, which knows where dates end.
const MOST_DAYS: i32 = 1_000_000;

/// Adds days as numbers.
#[derive(Debug, Default)]
pub(super) struct WholeDays;

impl OptimizerRule for WholeDays {
    fn name(&self) -> &str {
        "whole_days"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if plan.inputs().is_empty() {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let counted = expr.transform_up(|expr| in_numbers(expr, &schema))?;
            Ok(counted.update_data(|expr| name.restore(expr)))
        })
    }
}

/// `date ± days` as `CAST(CAST(date AS INT) ± days AS DATE)`; any other expression as it is.
fn in_numbers(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let (date, days) = match (op, whole_days(left), whole_days(right)) {
        (Operator::Plus | Operator::Minus, None, Some(days)) => (left, days),
        (Operator::Plus, Some(days), None) => (right, days),
        _ => return Ok(Transformed::no(expr)),
    };
    if !date.get_type(schema).is_ok_and(|found| found == DataType::Date32) {
        return Ok(Transformed::no(expr));
    }
    let number = cast(date.as_ref().clone(), DataType::Int32);
    let moved = binary_expr(number, *op, lit(days));
    Ok(Transformed::yes(cast(moved, DataType::Date32)))
}

/// The days of an interval of days alone.
fn whole_days(expr: &Expr) -> Option<i32> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = expr else {
        return None;
    };
    let IntervalMonthDayNano {
        months,
        days,
        nanoseconds,
    } = *interval;
    if months != 0 || nanoseconds % NANOSECONDS_A_DAY != 0 {
        return None;
    }
    let days = days.checked_add(i32::try_from(nanoseconds / NANOSECONDS_A_DAY).ok()?)?;
    (days.abs() <= MOST_DAYS).then_some(days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::array::{Date32Array, RecordBatch};
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    fn contexts() -> [SessionContext; 2] {
        let state =
            |builder: SessionStateBuilder| SessionContext::new_with_state(builder.with_default_features().build());
        let with = SessionStateBuilder::new().with_optimizer_rule(Arc::new(WholeDays));
        [state(with), state(SessionStateBuilder::new())]
    }

    async fn answer(context: &SessionContext, sql: &str) -> (String, String) {
        let days = Date32Array::from(vec![Some(0), Some(19_000), None, Some(-800), Some(60)]);
        let batch = RecordBatch::try_from_iter([("d", Arc::new(days) as _)]).unwrap();
        context.register_batch("t", batch).unwrap();
        let frame = context.sql(sql).await.unwrap();
        let plan = frame.clone().into_optimized_plan().unwrap().to_string();
        (plan, frame.to_string().await.unwrap())
    }

    #[tokio::test]
    async fn days_are_added_as_the_calendar_adds_them() {
        for sql in [
            "SELECT d + 30, 7 + d, d - 400, d + INTERVAL '3 days' FROM t",
            "SELECT a.d, b.d FROM t AS a JOIN t AS b ON b.d BETWEEN a.d - 365 AND a.d + 60",
            "SELECT d FROM t WHERE d + 30 >= DATE '1970-01-31'",
        ] {
            let [with, without] = contexts();
            let (counted, plain) = (answer(&with, sql).await, answer(&without, sql).await);
            assert_eq!(counted.1, plain.1, "{sql}");
            assert_ne!(counted.0, plain.0, "{sql}");
        }
    }

    #[tokio::test]
    async fn months_and_hours_stay_with_the_calendar() {
        let sql = "SELECT d + INTERVAL '1 month', d + INTERVAL '5 hours' FROM t";
        let [with, without] = contexts();
        assert_eq!(answer(&with, sql).await, answer(&without, sql).await);
    }
}

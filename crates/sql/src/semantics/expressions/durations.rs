//! An analyzer rule before type coercion: the time between two timestamps beside an interval, `b - a > INTERVAL '400 days'`.
//! The engine makes an interval of both, and holds months against months before it looks at days. The interval of a constant
//! becomes a time here, with months of thirty days as in PostgreSQL; intervals that are not constants are refused.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;

use super::dates::NANOSECONDS_A_DAY;
use super::each::{compares, rewrite_plan};

/// Days of a month where a month is a time.
const DAYS_A_MONTH: i128 = 30;

/// Compares times with times.
#[derive(Debug, Default)]
pub(super) struct ComparedDurations;

impl AnalyzerRule for ComparedDurations {
    fn name(&self) -> &str {
        "compared_durations"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(
            plan,
            |expr| matches!(expr, Expr::BinaryExpr(binary) if compares(binary.op)),
            |expr, schema| {
                expr.transform_up(|expr| match expr {
                    Expr::BinaryExpr(binary) if compares(binary.op) => compared(binary, schema),
                    expr => Ok(Transformed::no(expr)),
                })
            },
        )
    }
}

fn compared(mut binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let types = (binary.left.get_type(schema), binary.right.get_type(schema));
    let changed = match types {
        (Ok(DataType::Duration(unit)), Ok(DataType::Interval(_))) => {
            *binary.right = time(&binary.right, unit)?;
            true
        }
        (Ok(DataType::Interval(_)), Ok(DataType::Duration(unit))) => {
            *binary.left = time(&binary.left, unit)?;
            true
        }
        _ => false,
    };
    Ok(Transformed::new_transformed(Expr::BinaryExpr(binary), changed))
}

/// The interval of a constant as a time of this unit.
fn time(interval: &Expr, unit: TimeUnit) -> Result<Expr> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(interval), _) = interval else {
        return plan_err!(
            "a time between two timestamps is compared with an interval that is no constant, compare numbers of days"
        );
    };
    let per = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let value = interval.map(|interval| nanoseconds(interval) / per);
    let Ok(value) = value.map(i64::try_from).transpose() else {
        return plan_err!("an interval is too long to be compared with the time between two timestamps");
    };
    Ok(lit(match unit {
        TimeUnit::Second => ScalarValue::DurationSecond(value),
        TimeUnit::Millisecond => ScalarValue::DurationMillisecond(value),
        TimeUnit::Microsecond => ScalarValue::DurationMicrosecond(value),
        TimeUnit::Nanosecond => ScalarValue::DurationNanosecond(value),
    }))
}

fn nanoseconds(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * DAYS_A_MONTH + i128::from(interval.days);
    days * i128::from(NANOSECONDS_A_DAY) + i128::from(interval.nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, rows};

    #[tokio::test]
    async fn a_time_is_compared_with_an_interval() {
        let context = context(true);
        for (condition, holds) in [
            ("b - a > INTERVAL '400 days'", "true"),
            ("b - a > INTERVAL '13 months'", "true"),
            ("b - a < INTERVAL '2 years'", "true"),
            ("INTERVAL '367 days' <= b - a", "true"),
            ("b - a = INTERVAL '401 days'", "true"),
            ("b - a > INTERVAL '401 days'", "false"),
        ] {
            let table = "(VALUES (TIMESTAMP '2020-01-01 00:00:00', TIMESTAMP '2021-02-05 00:00:00')) AS t (a, b)";
            let sql = format!("SELECT {condition} FROM {table}");
            assert_eq!(rows(&context, &sql).await.ok().as_deref(), Some(holds), "{condition}");
        }
    }
}

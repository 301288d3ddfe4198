//! An analyzer rule before type coercion: frames of windows by a distance, `RANGE BETWEEN … PRECEDING`. The distance is of the
//! kind that the order needs: an interval along dates and timestamps, a number along numbers. The engine takes a number along
//! dates for months, and any text for a distance.
//!
//! Frames only move on, as the engine looks for them (DataFusion 55, `WindowFrameStateRange`). Three months before the 30th
//! of May at noon is later than three months before the 31st in the morning, both the 28th of February: along timestamps,
//! months are therefore refused. Along dates both are the same day.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::dates::{INTERVAL, MICROSECONDS, NANOSECONDS_A_DAY};
use super::each::rewrite_plan;

/// Refuses frames whose distance does not fit what they are ordered by.
#[derive(Debug, Default)]
pub(super) struct FittingFrames;

impl AnalyzerRule for FittingFrames {
    fn name(&self) -> &str {
        "fitting_frames"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(
            plan,
            |expr| matches!(expr, Expr::WindowFunction(window) if is_range(&window.params)),
            |expr, schema| {
                expr.transform_up(|expr| match expr {
                    Expr::WindowFunction(window) => fitting(*window, schema),
                    expr => Ok(Transformed::no(expr)),
                })
            },
        )
    }
}

/// The distances of a frame as they are written, if it has some.
fn distances(frame: &WindowFrame) -> impl Iterator<Item = &String> {
    let bounds = [&frame.start_bound, &frame.end_bound];
    let far = bounds.into_iter().filter_map(|bound| match bound {
        WindowFrameBound::Preceding(ScalarValue::Utf8(Some(far)))
        | WindowFrameBound::Following(ScalarValue::Utf8(Some(far))) => Some(far),
        _ => None,
    });
    far.filter(|_| frame.units == WindowFrameUnits::Range)
}

fn is_range(params: &WindowFunctionParams) -> bool {
    params.window_frame.units == WindowFrameUnits::Range && !params.order_by.is_empty()
}

fn fitting(mut window: WindowFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let params = &mut window.params;
    let far: Vec<_> = distances(&params.window_frame).cloned().collect();
    if far.is_empty() {
        let changed = by_groups(params, schema)?;
        return Ok(Transformed::new_transformed(
            Expr::WindowFunction(Box::new(window)),
            changed,
        ));
    }
    let Some(by) = params.order_by.first_mut().filter(|_| !far.is_empty()) else {
        return Ok(Transformed::no(Expr::WindowFunction(Box::new(window))));
    };
    let of = by.expr.get_type(schema)?;
    for far in &far {
        fits(far, &of)?;
    }
    let wider = match &of {
        // Hours before a date are hours before its midnight.
        DataType::Date32 if far.iter().any(|far| has_hours(far)) => Some(MICROSECONDS),
        // The engine would wrap where the distance leads out of the type.
        of if of.is_integer() && of.primitive_width() < Some(8) => Some(DataType::Int64),
        _ => None,
    };
    let changed = wider.is_some();
    if let Some(wider) = wider {
        by.expr = cast(std::mem::take(&mut by.expr), wider);
    }
    let window = Expr::WindowFunction(Box::new(window));
    Ok(Transformed::new_transformed(window, changed))
}

/// Makes a frame by groups of peers of one by RANGE along durations, along which the engine has no such frame. Without a
/// distance both are the same. Returns whether it did.
fn by_groups(params: &mut WindowFunctionParams, schema: &DFSchema) -> Result<bool> {
    for by in &params.order_by {
        if matches!(by.expr.get_type(schema)?, DataType::Duration(_) | DataType::Interval(_)) {
            let unbounded = ScalarValue::UInt64(None);
            let bound = |of: &WindowFrameBound| match of {
                WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
                WindowFrameBound::Preceding(_) => WindowFrameBound::Preceding(unbounded.clone()),
                WindowFrameBound::Following(_) => WindowFrameBound::Following(unbounded.clone()),
            };
            let frame = &params.window_frame;
            let (start, end) = (bound(&frame.start_bound), bound(&frame.end_bound));
            params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
            return Ok(true);
        }
    }
    Ok(false)
}

fn fits(far: &str, along: &DataType) -> Result<()> {
    let number = far.trim().parse::<f64>().is_ok();
    match along {
        _ if far.trim().starts_with('-') => plan_err!("the distance of a RANGE frame is negative"),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) if number => {
            plan_err!("a RANGE frame along dates or timestamps has a number as its distance, write INTERVAL '7' DAY")
        }
        DataType::Timestamp(..) if parts(far).is_some_and(|parts| parts.months != 0) => plan_err!(
            "a RANGE of months along timestamps is not available: order by the date, or write the distance in days"
        ),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Ok(()),
        along if along.is_numeric() && number => Ok(()),
        along if along.is_numeric() => {
            plan_err!("a RANGE frame along numbers has an interval as its distance, write a number")
        }
        _ => plan_err!("a RANGE frame with a distance is along numbers, dates or timestamps alone"),
    }
}

/// Whether the interval is more than whole days.
fn has_hours(far: &str) -> bool {
    parts(far).is_some_and(|parts| parts.nanoseconds % NANOSECONDS_A_DAY != 0)
}

fn parts(interval: &str) -> Option<IntervalMonthDayNano> {
    match ScalarValue::try_from_string(interval.to_owned(), &INTERVAL) {
        Ok(ScalarValue::IntervalMonthDayNano(parts)) => parts,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, context, failures, plan};

    const ROWS: &str = "FROM (VALUES (1, DATE '2020-01-31', 1.0, 127), (2, DATE '2020-02-01', 1.25, 126), \
        (3, DATE '2020-02-01', 1.5, -128), (4, DATE '2020-03-01', 1.5, 3), (5, NULL, NULL, NULL), \
        (6, DATE '2021-01-01', 2.5, 4)) AS t (id, d, x, i) ORDER BY id";

    /// What windows over the rows count or add up, the expected values by DuckDB.
    #[tokio::test]
    async fn distances_are_as_elsewhere() {
        for (window, answer) in [
            (
                "count(*) OVER (ORDER BY d RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW)",
                "1 3 3 1 1 1",
            ),
            (
                "count(*) OVER (ORDER BY d RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND INTERVAL '1 month' FOLLOWING)",
                "3 3 3 1 1 1",
            ),
            (
                "count(*) OVER (ORDER BY d DESC RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW)",
                "3 3 3 1 1 1",
            ),
            (
                "count(*) OVER (ORDER BY d RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1 day' PRECEDING)",
                "0 1 1 3 6 4",
            ),
            (
                "sum(x) OVER (ORDER BY x RANGE BETWEEN 0.5 PRECEDING AND 0.25 FOLLOWING)",
                "2.25 5.25 5.25 5.25 NULL 2.5",
            ),
            (
                "sum(x) OVER (ORDER BY CAST(x AS DECIMAL(10, 2)) RANGE BETWEEN 0.5 PRECEDING AND 0.25 FOLLOWING)",
                "2.25 5.25 5.25 5.25 NULL 2.5",
            ),
            (
                "count(*) OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)",
                "1 2 3 3 2 3",
            ),
            (
                "count(*) OVER (ORDER BY CAST(i AS TINYINT) RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
                "2 2 1 2 1 2",
            ),
        ] {
            let sql = format!(
                "SELECT string_agg(CAST(n AS TEXT), ' ' ORDER BY id) FROM (SELECT id, coalesce(CAST({window} AS TEXT), 'NULL') AS n {ROWS})"
            );
            answers(&context(true), &[(&sql, answer)]).await;
        }
    }

    #[tokio::test]
    async fn distances_that_do_not_fit_are_refused() {
        let number = "a RANGE frame along dates or timestamps has a number as its distance, write INTERVAL '7' DAY";
        for (window, message) in [
            ("ORDER BY d RANGE BETWEEN 7 PRECEDING AND CURRENT ROW", number),
            (
                "ORDER BY CAST(d AS TIMESTAMP) RANGE BETWEEN CURRENT ROW AND 7 FOLLOWING",
                number,
            ),
            (
                "ORDER BY x RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW",
                "write a number",
            ),
            (
                "ORDER BY CAST(d AS TIMESTAMP) RANGE BETWEEN INTERVAL '1 year' PRECEDING AND CURRENT ROW",
                "order by the date",
            ),
            (
                "ORDER BY 'a' RANGE BETWEEN 7 PRECEDING AND CURRENT ROW",
                "along numbers, dates or timestamps alone",
            ),
        ] {
            let sql = format!("SELECT count(*) OVER ({window}) {ROWS}");
            failures(&context(true), &[(&sql, message)]).await;
        }
    }

    #[tokio::test]
    async fn other_frames_are_the_engines() {
        let (ours, theirs) = (context(true), context(false));
        for window in [
            "ORDER BY id",
            "ORDER BY d RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            "ORDER BY d RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW",
            "ORDER BY id RANGE BETWEEN 7 PRECEDING AND CURRENT ROW",
            "ORDER BY id ROWS BETWEEN 7 PRECEDING AND CURRENT ROW",
        ] {
            let sql = format!("SELECT count(*) OVER ({window}) {ROWS}");
            assert_eq!(plan(&ours, &sql).await, plan(&theirs, &sql).await, "{sql}");
        }
    }
}

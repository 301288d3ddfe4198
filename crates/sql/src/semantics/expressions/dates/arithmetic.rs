//! Operators between dates, timestamps, intervals and numbers, planned where the engine's own would be of another type or
//! cannot be planned.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Alias, Cast, Placeholder, ScalarFunction, TryCast};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::super::alike::alike;
use super::super::each::compares;
use super::super::overflow::{Operation, moved_date};
use super::intervals::{INTERVAL, NANOSECONDS_A_DAY, Scaled, function};
use super::{MICROSECONDS, refuse_numbers};

/// Plans arithmetic and comparisons of dates.
#[derive(Debug, Default)]
pub(in super::super) struct DateArithmetic;

impl ExprPlanner for DateArithmetic {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(operator) = operator(&expr.op) else {
            return Ok(PlannerResult::Original(expr));
        };
        if !may_be_temporal(&expr.left, schema) && !may_be_temporal(&expr.right, schema) {
            return Ok(PlannerResult::Original(expr));
        }
        let types = [expr.left.get_type(schema)?, expr.right.get_type(schema)?];
        if compares(operator) {
            refuse_numbers(types.iter(), "compared with")?;
            return Ok(PlannerResult::Original(expr));
        }
        Ok(match planned(operator, &mut expr, &types)? {
            Some(planned) => PlannerResult::Planned(planned),
            None => PlannerResult::Original(expr),
        })
    }
}

fn operator(operator: &BinaryOperator) -> Option<Operator> {
    Some(match operator {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

/// False for what is certainly no date, timestamp or interval. Types of long sums are worked out for dates alone.
fn may_be_temporal(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(column) => schema.data_type(column).map_or(true, DataType::is_temporal),
        Expr::Literal(value, _) => value.data_type().is_temporal(),
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => field.data_type().is_temporal(),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            op.is_numerical_operators() && (may_be_temporal(left, schema) || may_be_temporal(right, schema))
        }
        Expr::Negative(one) => may_be_temporal(one, schema),
        Expr::Alias(Alias { expr, .. }) => may_be_temporal(expr, schema),
        _ => true,
    }
}

fn planned(operator: Operator, expr: &mut RawBinaryExpr, types: &[DataType; 2]) -> Result<Option<Expr>> {
    use DataType::{Date32, Interval, Timestamp};
    let [left, right] = types;
    let (l, r) = (&mut expr.left, &mut expr.right);
    Ok(match (operator, left, right) {
        (Operator::Plus, Date32, days) if is_days(days, r) => {
            Some(moved_date(Operation::Add, take(l), bigint(r, days)))
        }
        (Operator::Minus, Date32, days) if is_days(days, r) => {
            Some(moved_date(Operation::Subtract, take(l), bigint(r, days)))
        }
        (Operator::Plus, days, Date32) if is_days(days, l) => {
            let days = bigint(l, days);
            Some(moved_date(Operation::Add, days, take(r)))
        }
        (Operator::Plus | Operator::Minus, Date32, Interval(_)) if !has_whole_days(r) => {
            Some(binary_expr(cast(take(l), MICROSECONDS), operator, take(r)))
        }
        (Operator::Plus, Interval(_), Date32) if !has_whole_days(l) => {
            Some(binary_expr(take(l), operator, cast(take(r), MICROSECONDS)))
        }
        (Operator::Minus, Date32, Timestamp(..)) | (Operator::Minus, Timestamp(..), Date32) => {
            let (types, parts) = (types.as_slice(), vec![take(l), take(r)]);
            let mut parts = alike(parts, types, false).data.into_iter();
            parts
                .next()
                .zip(parts.next())
                .map(|(left, right)| binary_expr(left, operator, right))
        }
        (Operator::Multiply | Operator::Divide, Interval(_), by) if is_factor(by, r) => {
            let args = vec![interval(l, left), factor(r, by)];
            Some(scaled(operator, args))
        }
        (Operator::Multiply, by, Interval(_)) if is_factor(by, l) => {
            let args = vec![factor(l, by), interval(r, right)];
            Some(scaled(operator, args))
        }
        _ => None,
    })
}

/// Whether it is a number of days, the constant NULL, or a parameter of which nothing is known.
fn is_days(of: &DataType, expr: &Expr) -> bool {
    of.is_integer() || of.is_null() && matches!(expr, Expr::Literal(..) | Expr::Placeholder(_))
}

/// Whether it is a number, or a parameter of which nothing is known.
fn is_factor(of: &DataType, expr: &Expr) -> bool {
    of.is_numeric() || of.is_null() && matches!(expr, Expr::Placeholder(_))
}

fn take<T: Default>(part: &mut T) -> T {
    std::mem::take(part)
}

fn bigint(expr: &mut Expr, of: &DataType) -> Expr {
    match (expr, of) {
        (Expr::Placeholder(parameter), DataType::Null) => typed(parameter, DataType::Int64),
        (expr, DataType::Int64) => take(expr),
        (expr, _) => cast(take(expr), DataType::Int64),
    }
}

/// A parameter of a type that is known now.
fn typed(parameter: &mut Placeholder, of: DataType) -> Expr {
    let field = Field::new(&parameter.id, of, true);
    Expr::Placeholder(Placeholder::new_with_field(
        take(&mut parameter.id),
        Some(Arc::new(field)),
    ))
}

fn interval(expr: &mut Expr, of: &DataType) -> Expr {
    match *of == INTERVAL {
        true => take(expr),
        false => cast(take(expr), INTERVAL),
    }
}

/// A number by which an interval is multiplied or divided.
fn factor(expr: &mut Expr, of: &DataType) -> Expr {
    match (expr, of) {
        (expr, of) if of.is_integer() => bigint(expr, of),
        (Expr::Placeholder(parameter), DataType::Null) => typed(parameter, DataType::Float64),
        (expr, DataType::Float64) => take(expr),
        (expr, _) => cast(take(expr), DataType::Float64),
    }
}

fn scaled(operator: Operator, args: Vec<Expr>) -> Expr {
    let function = function(operator == Operator::Divide);
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// Whether it is a constant without hours, which leads from a date to a date.
fn has_whole_days(interval: &Expr) -> bool {
    match interval {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { nanoseconds, .. })), _) => {
            nanoseconds % NANOSECONDS_A_DAY == 0
        }
        Expr::Literal(value, _) => value.is_null() || matches!(value, ScalarValue::IntervalYearMonth(_)),
        Expr::Negative(one) => has_whole_days(one),
        Expr::Alias(Alias { expr, .. }) | Expr::Cast(Cast { expr, .. }) => has_whole_days(expr),
        // Some number of times a constant of days.
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<Scaled>() => {
            let whole = |arg: &Expr| matches!(arg, Expr::Literal(ScalarValue::Int64(_), _)) || has_whole_days(arg);
            func.name() == function(false).name() && args.iter().all(whole)
        }
        _ => false,
    }
}

//! Expressions in which floats meet: comparisons, lists, DISTINCT in aggregates, windows.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, Case, Cast, InList, InSubquery, ScalarFunction, SetComparison, WindowFunction,
};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery, and, binary_expr, or,
};

use super::super::each::compares;
use super::function::positive;
use super::{is_float, make_all_positive, make_positive};

/// Functions whose values may be a not-a-number with a sign, beside `/` and `%`.
const NOT_ALWAYS_NUMBERS: [&str; 8] = ["acos", "asin", "ln", "log", "log10", "log2", "power", "sqrt"];

/// Whether the expression looks at two values, one of which may be a float.
pub(super) fn concerned(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => compares(*op),
        Expr::Between(_) | Expr::InList(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => true,
        Expr::WindowFunction(_) => true,
        Expr::AggregateFunction(aggregate) => looks_for_equals(aggregate),
        Expr::Case(Case { expr, .. }) => expr.is_some(),
        Expr::ScalarFunction(ScalarFunction { func, .. }) => func.name() == "nullif",
        _ => false,
    }
}

fn looks_for_equals(aggregate: &AggregateFunction) -> bool {
    aggregate.params.distinct || ["approx_distinct", "mode"].contains(&aggregate.func.name())
}

/// The expression where equal floats are equal.
pub(super) fn of_one_zero(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !concerned(&expr) {
        return Ok(Transformed::no(expr));
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match is_float(&left.get_type(schema)?) {
            true => Ok(compared(*left, op, *right)),
            false => Ok(Transformed::no(binary_expr(*left, op, *right))),
        },
        Expr::Between(between) if is_float(&between.expr.get_type(schema)?) => Ok(within_bounds(between)),
        Expr::InList(list) if is_float(&list.expr.get_type(schema)?) => Ok(in_list(list)),
        Expr::WindowFunction(mut window) => {
            let changed = in_window(&mut window, schema)?;
            Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
        }
        Expr::AggregateFunction(mut aggregate) => {
            let changed = all_positive(aggregate.params.args.iter_mut(), schema)?;
            Ok(Transformed::new_transformed(
                Expr::AggregateFunction(aggregate),
                changed,
            ))
        }
        Expr::Case(mut case) => {
            let whens = case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
            let changed = all_positive(case.expr.iter_mut().map(AsMut::as_mut).chain(whens), schema)?;
            Ok(Transformed::new_transformed(Expr::Case(case), changed))
        }
        Expr::ScalarFunction(mut function) => {
            let changed = all_positive(function.args.iter_mut(), schema)?;
            Ok(Transformed::new_transformed(Expr::ScalarFunction(function), changed))
        }
        Expr::InSubquery(mut within) => {
            let changed = make_positive(&mut within.expr, schema)?;
            within.subquery = positive_rows(within.subquery)?;
            Ok(Transformed::new_transformed(
                Expr::InSubquery(InSubquery { ..within }),
                changed,
            ))
        }
        Expr::SetComparison(mut among) => {
            let changed = make_positive(&mut among.expr, schema)?;
            among.subquery = positive_rows(among.subquery)?;
            Ok(Transformed::new_transformed(
                Expr::SetComparison(SetComparison { ..among }),
                changed,
            ))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn all_positive<'a>(parts: impl Iterator<Item = &'a mut Expr>, schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for part in parts {
        changed |= make_positive(part, schema)?;
    }
    Ok(changed)
}

fn in_window(window: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let params = &mut window.params;
    let mut changed = all_positive(params.partition_by.iter_mut(), schema)?;
    changed |= make_all_positive(params.order_by.iter_mut(), schema)?;
    if params.distinct {
        changed |= all_positive(params.args.iter_mut(), schema)?;
    }
    Ok(changed)
}

/// The number that a constant is, as a float.
pub(super) fn constant(expr: &Expr) -> Option<f64> {
    let value = match expr {
        Expr::Literal(value, _) => value,
        Expr::Cast(Cast { expr, field }) if is_float(field.data_type()) => match expr.as_ref() {
            Expr::Literal(value, _) if value.data_type().is_numeric() => value,
            _ => return None,
        },
        _ => return None,
    };
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number,
        _ => None,
    }
}

fn compared(left: Expr, op: Operator, right: Expr) -> Transformed<Expr> {
    match (constant(&left), constant(&right)) {
        (None, Some(number)) => with_constant(left, op, right, number),
        (Some(number), None) => match op.swap() {
            Some(op) => with_constant(right, op, left, number),
            None => Transformed::yes(binary_expr(positive(left), op, positive(right))),
        },
        _ => Transformed::yes(binary_expr(positive(left), op, positive(right))),
    }
}

/// A comparison with a constant, of which the zero is chosen that lies on the right side of the other.
fn with_constant(expr: Expr, op: Operator, literal: Expr, number: f64) -> Transformed<Expr> {
    let expr = if may_have_sign(&expr) { positive(expr) } else { expr };
    if number.is_nan() {
        return Transformed::yes(binary_expr(positive(expr), op, positive(literal)));
    }
    if number != 0.0 {
        return Transformed::no(binary_expr(expr, op, literal));
    }
    let below = signed(&literal, -0.0);
    let above = signed(&literal, 0.0);
    Transformed::yes(match op {
        Operator::Lt | Operator::GtEq => binary_expr(expr, op, below),
        Operator::LtEq | Operator::Gt => binary_expr(expr, op, above),
        Operator::Eq if matches!(expr, Expr::Column(_)) => and(expr.clone().gt_eq(below), expr.lt_eq(above)),
        Operator::NotEq if matches!(expr, Expr::Column(_)) => or(expr.clone().lt(below), expr.gt(above)),
        _ => binary_expr(positive(expr), op, above),
    })
}

/// Whether it may be a not-a-number that the processor made, which has a sign and would be less than all numbers.
fn may_have_sign(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) => {
            matches!(op, Operator::Divide | Operator::Modulo) && constant(right).is_none_or(|by| by == 0.0)
        }
        Expr::ScalarFunction(ScalarFunction { func, .. }) => NOT_ALWAYS_NUMBERS.contains(&func.name()),
        _ => false,
    }
}

/// A zero of the constant's type.
fn signed(constant: &Expr, zero: f64) -> Expr {
    let single = match constant {
        Expr::Literal(value, _) => value.data_type() == DataType::Float32,
        Expr::Cast(Cast { field, .. }) => *field.data_type() == DataType::Float32,
        _ => false,
    };
    let value = match single {
        true => ScalarValue::Float32(Some(zero as f32)),
        false => ScalarValue::Float64(Some(zero)),
    };
    Expr::Literal(value, None)
}

fn within_bounds(between: Between) -> Transformed<Expr> {
    let Between {
        expr,
        negated,
        low,
        high,
    } = between;
    let bounds = constant(&low).zip(constant(&high));
    let numbers = bounds.filter(|(low, high)| !low.is_nan() && !high.is_nan() && !may_have_sign(&expr));
    let (expr, low, high) = match numbers {
        Some((least, most)) => (
            *expr,
            if least == 0.0 { signed(&low, -0.0) } else { *low },
            if most == 0.0 { signed(&high, 0.0) } else { *high },
        ),
        None => (positive(*expr), positive(*low), positive(*high)),
    };
    let [expr, low, high] = [expr, low, high].map(Box::new);
    Transformed::yes(Expr::Between(Between::new(expr, negated, low, high)))
}

fn in_list(list: InList) -> Transformed<Expr> {
    let InList { expr, list, negated } = list;
    let constants: Option<Vec<_>> = list.iter().map(constant).collect();
    let plain = constants.filter(|all| !all.iter().any(|number| number.is_nan()) && !may_have_sign(&expr));
    let (expr, list) = match plain {
        Some(constants) => {
            let both = list
                .into_iter()
                .zip(constants)
                .flat_map(|(literal, number)| match number == 0.0 {
                    true => vec![signed(&literal, -0.0), signed(&literal, 0.0)],
                    false => vec![literal],
                });
            (expr, both.collect())
        }
        None => (Box::new(positive(*expr)), list.into_iter().map(positive).collect()),
    };
    Transformed::yes(Expr::InList(InList::new(expr, list, negated)))
}

/// A subquery of one column, made positive if that is a float.
fn positive_rows(subquery: Subquery) -> Result<Subquery> {
    let schema = subquery.subquery.schema();
    let (relation, field) = schema.qualified_field(0);
    if !is_float(field.data_type()) {
        return Ok(subquery);
    }
    let (relation, name) = (relation.cloned(), field.name().clone());
    let column = Expr::Column(Column::new(relation.clone(), name.clone()));
    let exprs = vec![positive(column).alias_qualified(relation, name)];
    let projection = Projection::try_new(exprs, Arc::clone(&subquery.subquery))?;
    Ok(subquery.with_plan(Arc::new(LogicalPlan::Projection(projection))))
}

//! Joins on bindings, of which two NULLs are the same binding. The engine has such joins, but adds equalities of other columns to
//! their keys later on, of which two NULLs are then the same, too. So they are made of common equalities:
//!
//! ```text
//! a.x = b.x                                                          -- NULL has no row on one of the sides
//! coalesce(a.x, 0) = coalesce(b.x, 0) AND (a.x IS NULL) = (b.x IS NULL)
//! ```

use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Between, Cast, InList, Like, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

/// The conditions under which two columns hold the same binding. `known` says that there is no row whose binding is NULL on one
/// of the sides.
pub(super) fn alike(
    (left, left_schema): (&Column, &DFSchema),
    (right, right_schema): (&Column, &DFSchema),
    known: bool,
) -> Result<Vec<Expr>> {
    let nullable = left_schema.nullable(left)? && right_schema.nullable(right)?;
    let data_type = left_schema.data_type(left)?;
    let (left, right) = (Expr::Column(left.clone()), Expr::Column(right.clone()));
    if known || !nullable {
        // What knows how tables lie looks for equalities of columns.
        return Ok(vec![left.eq(right)]);
    }
    let some = lit(ScalarValue::new_default(data_type)?);
    let value = |expr: &Expr| coalesce(vec![expr.clone(), some.clone()]);
    Ok(vec![value(&left).eq(value(&right)), left.is_null().eq(right.is_null())])
}

/// Whether a condition holds for no row when an outer column is NULL.
pub(super) fn never_holds(condition: &Expr, column: &Column) -> bool {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == Operator::And => {
            never_holds(left, column) || never_holds(right, column)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == Operator::Or => {
            never_holds(left, column) && never_holds(right, column)
        }
        Expr::IsNotNull(expr) | Expr::IsTrue(expr) | Expr::IsFalse(expr) => is_null(expr, column),
        Expr::InList(InList { expr, .. }) => is_null(expr, column),
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => is_null(expr, column) || (!negated && (is_null(low, column) || is_null(high, column))),
        condition => is_null(condition, column),
    }
}

/// Whether an expression is NULL when an outer column is.
fn is_null(expr: &Expr, column: &Column) -> bool {
    match expr {
        Expr::OuterReferenceColumn(_, outer) => outer == column,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.returns_null_on_null() => {
            is_null(left, column) || is_null(right, column)
        }
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => is_null(expr, column),
        Expr::Negative(expr) | Expr::Not(expr) => is_null(expr, column),
        Expr::Like(Like { expr, pattern, .. }) => is_null(expr, column) || is_null(pattern, column),
        _ => false,
    }
}

//! `NOT EXISTS (…) IS TRUE` is `NOT (EXISTS (…) IS TRUE)`, as NOT is of everything else. The parser takes the first two words
//! together, before it looks at what follows.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::{bracketed, taken};

/// Gives NOT its place.
pub(super) fn rewrite(expr: &mut Expr) {
    let Some(exists) = first_operand(expr) else {
        return;
    };
    let Expr::Exists {
        negated: negated @ true,
        ..
    } = exists
    else {
        return;
    };
    *negated = false;
    let inner = taken(expr);
    *expr = Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(bracketed(inner)),
    };
}

/// The first operand of what binds tighter than NOT.
fn first_operand(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::IsTrue(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsUnknown(operand)
        | Expr::IsNotUnknown(operand)
        | Expr::IsNull(operand)
        | Expr::IsNotNull(operand)
        | Expr::IsDistinctFrom(operand, _)
        | Expr::IsNotDistinctFrom(operand, _) => Some(operand),
        Expr::BinaryOp { left, op, .. }
            if !matches!(op, BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor) =>
        {
            Some(left)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn not_binds_looser_than_what_follows() {
        for (sql, expected) in [
            (
                "SELECT 1 AS n FROM t WHERE NOT EXISTS (SELECT 1 FROM u) IS NOT UNKNOWN",
                "WHERE NOT (EXISTS (SELECT 1 FROM u) IS NOT UNKNOWN)",
            ),
            (
                "SELECT 1 AS n FROM t WHERE NOT EXISTS (SELECT 1 FROM u) = b",
                "WHERE NOT (EXISTS (SELECT 1 FROM u) = b)",
            ),
            (
                "SELECT 1 AS n FROM t WHERE (NOT EXISTS (SELECT 1 FROM u)) IS TRUE AND NOT EXISTS (SELECT 1 FROM u) AND b",
                "WHERE (NOT EXISTS (SELECT 1 FROM u)) IS TRUE AND NOT EXISTS (SELECT 1 FROM u) AND b",
            ),
        ] {
            let text = prepared(sql);
            assert!(text.ends_with(expected), "{text}");
        }
    }
}

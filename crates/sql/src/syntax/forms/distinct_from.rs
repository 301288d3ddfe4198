//! `a IS DISTINCT FROM b AND c`. The parser takes everything behind FROM for the second operand, as if `b AND c` were in
//! brackets; SQL binds IS closer than NOT, AND and OR. What it took too much of is put back to where it belongs.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::binary;

/// Binds the second operand of each IS DISTINCT FROM of a condition as SQL does.
pub(super) fn rewrite(expr: &mut Expr) {
    if takes_too_much(expr) {
        let all = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = bound(flat(all));
    }
}

/// Whether a condition, looked at without what is in brackets, has such an operand.
fn takes_too_much(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { left, op, right } if is_connective(op) => takes_too_much(left) || takes_too_much(right),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => takes_too_much(expr),
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
            matches!(right.as_ref(), Expr::BinaryOp { op, .. } if is_connective(op)) || takes_too_much(right)
        }
        _ => false,
    }
}

fn is_connective(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// A condition as it was written: its first operand, and the others with what connects each to the one before.
type Flat = (Expr, Vec<(BinaryOperator, Expr)>);

fn flat(expr: Expr) -> Flat {
    let first = |inner: Expr, wrap: &dyn Fn(Box<Expr>) -> Expr| {
        let (first, others) = flat(inner);
        (wrap(Box::new(first)), others)
    };
    match expr {
        Expr::BinaryOp { left, op, right } if is_connective(&op) => {
            let ((first, mut others), (next, more)) = (flat(*left), flat(*right));
            others.push((op, next));
            others.extend(more);
            (first, others)
        }
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => first(*expr, &|expr| Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        }),
        Expr::IsDistinctFrom(left, right) => first(*right, &|right| Expr::IsDistinctFrom(left.clone(), right)),
        Expr::IsNotDistinctFrom(left, right) => first(*right, &|right| Expr::IsNotDistinctFrom(left.clone(), right)),
        expr => (expr, Vec::new()),
    }
}

/// The condition with AND bound closer than OR.
fn bound((first, others): Flat) -> Expr {
    let mut alternatives = Vec::new();
    let mut all = first;
    for (op, next) in others {
        all = match op {
            BinaryOperator::And => binary(all, op, next),
            _ => {
                alternatives.push(all);
                next
            }
        };
    }
    alternatives.push(all);
    let joined = alternatives.into_iter().reduce(|a, b| binary(a, BinaryOperator::Or, b));
    joined.unwrap_or_else(|| Expr::value(Value::Null))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn read(text: &str) -> Expr {
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap();
        parser.parse_expr().unwrap()
    }

    #[test]
    fn conditions_behind_it_are_conditions_of_their_own() {
        for (text, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            (
                "p AND a IS NOT DISTINCT FROM b OR c",
                "(p AND (a IS NOT DISTINCT FROM b)) OR c",
            ),
            ("NOT a IS DISTINCT FROM b AND c", "(NOT (a IS DISTINCT FROM b)) AND c"),
            (
                "a IS DISTINCT FROM b OR c IS DISTINCT FROM d AND e",
                "(a IS DISTINCT FROM b) OR ((c IS DISTINCT FROM d) AND e)",
            ),
            ("a IS DISTINCT FROM (b AND c)", "a IS DISTINCT FROM (b AND c)"),
            ("a IS DISTINCT FROM b + 1 AND c", "(a IS DISTINCT FROM b + 1) AND c"),
        ] {
            let (mut found, mut meant) = (read(text), read(meant));
            rewrite(&mut found);
            unbracket(&mut meant);
            unbracket(&mut found);
            assert_eq!(
                format!("{found:#?}").replace(char::is_numeric, ""),
                format!("{meant:#?}").replace(char::is_numeric, ""),
                "{text}"
            );
        }
    }

    /// Takes brackets away, once they have said what belongs together.
    fn unbracket(expr: &mut Expr) {
        if let Expr::Nested(inner) = expr {
            *expr = std::mem::replace(inner, Expr::value(Value::Null));
            return unbracket(expr);
        }
        match expr {
            Expr::BinaryOp { left, right, .. }
            | Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right) => {
                unbracket(left);
                unbracket(right);
            }
            Expr::UnaryOp { expr, .. } => unbracket(expr),
            _ => {}
        }
    }
}

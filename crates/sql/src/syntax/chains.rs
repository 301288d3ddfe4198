//! Chains of operators, which the parser builds in a loop, to the left and as deep as they are long.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

/// The longest chain of operators that cannot be balanced, as `a + b + …`.
pub const MAX_CHAIN: usize = 256;

/// The longest chain of `AND` or `OR` that is left as it is.
const MAX_UNBALANCED: usize = 50;

/// The operator of a chain that is too long; the chain is followed to the left, where the parser lets it grow in a
/// loop.
pub(super) fn chained(expr: &Expr) -> Option<String> {
    let (mut at, mut length) = (expr, 0);
    while let Some(left) = first_operand(at) {
        at = left;
        length += 1;
        if length > MAX_CHAIN {
            return Some(match expr {
                Expr::BinaryOp { op, .. } => op.to_string(),
                _ => "an operator".to_owned(),
            });
        }
    }
    None
}

/// The operand that stands first in an operator's text.
pub(super) fn first_operand(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::BinaryOp { left, .. }
        | Expr::AnyOp { left, .. }
        | Expr::AllOp { left, .. }
        | Expr::IsDistinctFrom(left, _)
        | Expr::IsNotDistinctFrom(left, _) => Some(left),
        Expr::IsFalse(expr)
        | Expr::IsNotFalse(expr)
        | Expr::IsTrue(expr)
        | Expr::IsNotTrue(expr)
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::IsUnknown(expr)
        | Expr::IsNotUnknown(expr)
        | Expr::IsNormalized { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::InSubquery { expr, .. }
        | Expr::InUnnest { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::SimilarTo { expr, .. }
        | Expr::RLike { expr, .. }
        | Expr::UnaryOp { expr, .. }
        | Expr::Cast { expr, .. }
        | Expr::Collate { expr, .. }
        | Expr::OuterJoin(expr) => Some(expr),
        Expr::AtTimeZone { timestamp, .. } => Some(timestamp),
        Expr::JsonAccess { value, .. } => Some(value),
        Expr::CompoundFieldAccess { root, .. } => Some(root),
        _ => None,
    }
}

/// Balances a long chain of `AND` or of `OR`: both are associative, and the order of the terms stays.
pub(super) fn balance(expr: &mut Expr) {
    let op = match expr {
        Expr::BinaryOp { op, .. } if matches!(op, BinaryOperator::And | BinaryOperator::Or) => op.clone(),
        _ => return,
    };
    if length(expr, &op) > MAX_UNBALANCED {
        let terms = terms(std::mem::replace(expr, Expr::Tuple(Vec::new())), &op);
        if let Some(tree) = joined_by(&op, terms) {
            *expr = tree;
        }
    }
}

fn length(expr: &Expr, wanted: &BinaryOperator) -> usize {
    let (mut at, mut length) = (expr, 0);
    while let Expr::BinaryOp { left, op, .. } = at
        && op == wanted
    {
        at = left;
        length += 1;
    }
    length
}

fn terms(expr: Expr, wanted: &BinaryOperator) -> Vec<Expr> {
    let mut terms = Vec::new();
    let mut rest = expr;
    loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == *wanted => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                terms.reverse();
                return terms;
            }
        }
    }
}

/// Returns the terms joined by an associative operator, as a tree that is as flat as it can be; nothing of no terms.
pub(crate) fn joined_by(op: &BinaryOperator, mut terms: Vec<Expr>) -> Option<Expr> {
    if terms.len() < 2 {
        return terms.pop();
    }
    let right = terms.split_off(terms.len() / 2);
    Some(Expr::BinaryOp {
        left: Box::new(joined_by(op, terms)?),
        op: op.clone(),
        right: Box::new(joined_by(op, right)?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::ast::{SetExpr, Statement};

    use super::*;
    use crate::syntax::limits::check;
    use crate::syntax::testing::parsed;

    fn refused(sql: &str) -> String {
        check(&mut parsed(sql)).unwrap_err().to_string()
    }

    fn deepest(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + deepest(left).max(deepest(right)),
            _ => 0,
        }
    }

    #[test]
    fn chains_of_or_are_balanced_and_say_the_same() {
        let sql = format!(
            "SELECT a FROM t WHERE {}",
            (0..2_000)
                .map(|n| format!("a = {n} AND b"))
                .collect::<Vec<_>>()
                .join(" OR ")
        );
        let mut statement = parsed(&sql);
        check(&mut statement).unwrap();
        assert_eq!(statement.to_string(), sql);
        let Statement::Query(query) = &statement else {
            unreachable!()
        };
        let SetExpr::Select(select) = query.body.as_ref() else {
            unreachable!()
        };
        assert!(deepest(select.selection.as_ref().unwrap()) < 20);
    }

    #[test]
    fn other_chains_are_refused_by_the_operator() {
        assert!(refused(&format!("SELECT {}", vec!["1"; 300].join(" + "))).contains("+ is chained"));
        assert!(refused(&format!("SELECT x{}", "::INT".repeat(300))).contains("chained"));
        check(&mut parsed(&format!("SELECT {}", vec!["1"; 200].join(" * ")))).unwrap();
    }
}

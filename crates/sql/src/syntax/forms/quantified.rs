//! `= ANY (SELECT …)` is `IN`, and `<> ALL (SELECT …)` is `NOT IN`: the engine knows more about these. Other
//! comparisons with `ANY` and `ALL` are left.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::taken;
use crate::syntax::refusal::Checked;

/// Rewrites a comparison with every row of a query.
pub(super) fn rewrite(expr: &mut Expr) -> Checked {
    let negated = match expr {
        Expr::AnyOp {
            compare_op: BinaryOperator::Eq,
            right,
            ..
        } if matches!(right.as_ref(), Expr::Subquery(_)) => false,
        Expr::AllOp {
            compare_op: BinaryOperator::NotEq,
            right,
            ..
        } if matches!(right.as_ref(), Expr::Subquery(_)) => true,
        _ => return Ok(()),
    };
    if let Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } = expr
        && let Expr::Subquery(subquery) = taken(right)
    {
        *expr = Expr::InSubquery {
            expr: Box::new(taken(left)),
            subquery,
            negated,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn any_and_all_are_in_and_not_in() {
        let context = session(
            "CREATE TABLE t (a INT) AS VALUES (1), (2), (3);
             CREATE TABLE u (b INT) AS VALUES (2), (2);
             CREATE TABLE n (b INT) AS VALUES (2), (NULL)",
        )
        .await;
        for (sql, expected) in [
            ("SELECT a FROM t WHERE a = ANY (SELECT b FROM u)", "a|2"),
            ("SELECT a FROM t WHERE a = SOME (SELECT b FROM n)", "a|2"),
            ("SELECT a FROM t WHERE a <> ALL (SELECT b FROM u)", "a|1|3"),
            ("SELECT a FROM t WHERE a <> ALL (SELECT b FROM n)", "a"),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[test]
    fn others_are_left() {
        for sql in [
            "SELECT a FROM t WHERE a > ANY(SELECT b FROM u)",
            "SELECT a FROM t WHERE a = ALL(SELECT b FROM u)",
            "SELECT a FROM t WHERE a = ANY(l)",
        ] {
            assert_eq!(prepared(sql), sql);
        }
    }
}

//! Comparisons of rows: `(a, b) = (c, d)`, `(a, b) < (c, d)`, `(a, b) IN ((1, 2), (3, 4))` become comparisons of their
//! elements.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::row_queries::IN_QUERY;
use super::{MAX_COPIED, binary, bracketed, may_copy};
use crate::syntax::chains::joined_by;
use crate::syntax::refusal::{Checked, Refusal, refuse};

/// Rewrites a comparison of rows.
pub(super) fn rewrite(expr: &mut Expr) -> Checked {
    match expr {
        Expr::BinaryOp { left, op, right } if compares(op) => match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(a), Expr::Tuple(b)) => {
                let op = op.clone();
                *expr = compared(a, &op, b)?;
                Ok(())
            }
            (Expr::Tuple(_), Expr::Subquery(_)) | (Expr::Subquery(_), Expr::Tuple(_)) => {
                refuse("a row cannot be compared with a query, write (a, b) IN (SELECT …)")
            }
            _ => Ok(()),
        },
        Expr::InList {
            expr: row,
            list,
            negated,
        } => match row.as_ref() {
            Expr::Tuple(row) => {
                let negated = *negated;
                *expr = one_of(row, list, negated)?;
                Ok(())
            }
            _ => Ok(()),
        },
        Expr::InSubquery { expr: row, .. } if matches!(row.as_ref(), Expr::Tuple(_)) => refuse(IN_QUERY),
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } if matches!(left.as_ref(), Expr::Tuple(_)) => {
            refuse("ANY and ALL take a single value, compare rows by IN or EXISTS")
        }
        Expr::Between { expr: row, .. } if matches!(row.as_ref(), Expr::Tuple(_)) => {
            refuse("BETWEEN takes a single value, write (a, b) >= (c, d) AND (a, b) <= (e, f)")
        }
        _ => Ok(()),
    }
}

fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

fn compared(a: &[Expr], op: &BinaryOperator, b: &[Expr]) -> Result<Expr, Refusal> {
    if a.len() != b.len() || a.is_empty() {
        return refuse("rows that are compared need as many elements as each other");
    }
    let each = |op: &BinaryOperator| {
        let pairs = a.iter().zip(b);
        pairs
            .map(|(a, b)| binary(a.clone(), op.clone(), b.clone()))
            .collect::<Vec<_>>()
    };
    let compared = match op {
        BinaryOperator::Eq => joined_by(&BinaryOperator::And, each(op)),
        BinaryOperator::NotEq => joined_by(&BinaryOperator::Or, each(op)),
        _ => {
            may_copy(a.iter().chain(b), MAX_COPIED / MAX_ORDERED)?;
            ordered(a, op, b)
        }
    };
    compared
        .map(bracketed)
        .map_or_else(|| refuse("rows without elements cannot be compared"), Ok)
}

/// The most characters of two rows that are compared by order: each element is copied, and each level of comparisons
/// within comparisons would double the whole.
const MAX_ORDERED: usize = 1_000;

/// Returns `a1 < b1 OR (a1 = b1 AND (a2 < b2 OR …))`, where only the last elements may be equal for `<=`.
fn ordered(a: &[Expr], op: &BinaryOperator, b: &[Expr]) -> Option<Expr> {
    let strict = match op {
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        _ => BinaryOperator::Gt,
    };
    let mut pairs = a.iter().zip(b).rev();
    let (last_a, last_b) = pairs.next()?;
    let last = binary(last_a.clone(), op.clone(), last_b.clone());
    Some(pairs.fold(last, |rest, (a, b)| {
        let equal = binary(a.clone(), BinaryOperator::Eq, b.clone());
        let both = bracketed(binary(equal, BinaryOperator::And, bracketed(rest)));
        binary(binary(a.clone(), strict.clone(), b.clone()), BinaryOperator::Or, both)
    }))
}

fn one_of(row: &[Expr], list: &[Expr], negated: bool) -> Result<Expr, Refusal> {
    may_copy(row, list.len())?;
    let mut alternatives = Vec::with_capacity(list.len());
    for other in list {
        let Expr::Tuple(other) = other else {
            return refuse("a row is compared with rows, as in (a, b) IN ((1, 2), (3, 4))");
        };
        alternatives.push(compared(row, &BinaryOperator::Eq, other)?);
    }
    let Some(any) = joined_by(&BinaryOperator::Or, alternatives) else {
        return refuse("IN needs at least one row");
    };
    Ok(match negated {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(bracketed(any)),
        },
        false => bracketed(any),
    })
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn rows_compare_by_their_elements() {
        let context = session(
            "CREATE TABLE t (n INT, a INT, b INT) AS VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, NULL), (5, NULL, 1);
             CREATE TABLE u (x INT, y INT) AS VALUES (1, 2), (2, 1), (2, NULL)",
        )
        .await;
        for (condition, expected) in [
            ("(a, b) = (1, 2)", "n|2"),
            ("(a, b) <> (1, 2)", "n|1|3|4|5"),
            ("(a, b) < (2, 1)", "n|1|2"),
            ("(a, b) <= (2, 1)", "n|1|2|3"),
            ("(a, b) > (1, 1)", "n|2|3|4"),
            ("(a, b) IN ((1, 1), (2, 1))", "n|1|3"),
            ("(a, b) NOT IN ((1, 1), (3, 1))", "n|2|3|4"),
            ("(a, b) IN (SELECT x, y FROM u)", "n|2|3"),
            ("n > 2 AND (a, b) IN (SELECT x, y FROM u)", "n|3"),
            ("n = 1 OR (a, b) IN (SELECT x, y FROM u)", "n|1|2|3"),
            ("(a, b) = ANY (SELECT x, y FROM u)", "n|2|3"),
            ("(a + 1, n) IN (SELECT x, max(y) FROM u GROUP BY x)", "n|1"),
            ("(a, b) IN (SELECT x, y FROM u WHERE u.x = t.a)", "n|2|3"),
            ("(a, b) IN (SELECT x AS b, y AS a FROM u)", "n|2|3"),
            ("(a, b) IN (SELECT y AS b, x AS a FROM u)", "n|2|3"),
            ("(a, b) IN (SELECT * FROM u)", "n|2|3"),
            ("(a, b) IN (SELECT x, y FROM u UNION SELECT n, n FROM t)", "n|1|2|3"),
            ("(a, b) IN (VALUES (1, 1))", "n|1"),
        ] {
            let sql = format!("SELECT n FROM t WHERE {condition}");
            assert_eq!(answer(&context, &sql).await, expected, "{condition}");
        }
        let on = "SELECT n, x FROM t JOIN u ON t.a = u.x AND (t.n, t.b) IN (SELECT 3, 1) WHERE u.y = 1";
        assert_eq!(answer(&context, on).await, "n,x|3,2");
    }

    #[test]
    fn where_unknown_would_not_be_false_a_query_of_rows_is_refused() {
        for sql in [
            "SELECT n FROM t WHERE (a, b) NOT IN (SELECT x, y FROM u)",
            "SELECT n FROM t WHERE NOT ((a, b) IN (SELECT x, y FROM u))",
            "SELECT (a, b) IN (SELECT x, y FROM u) AS i FROM t",
            "SELECT n FROM t WHERE ((a, b) IN (SELECT x, y FROM u)) IS NULL",
            "SELECT n FROM t WHERE (a, b) <> ALL (SELECT x, y FROM u)",
        ] {
            assert!(
                prepared(sql).starts_with("refused: (a, b) IN (SELECT …)"),
                "{sql}: {}",
                prepared(sql)
            );
        }
        for (sql, says) in [
            ("SELECT n FROM t WHERE (a, b) = (1, 2, 3)", "as many elements"),
            ("SELECT n FROM t WHERE (a, b) = (SELECT 1, 2)", "IN (SELECT …)"),
            ("SELECT n FROM t WHERE (a, b) IN (1, 2)", "compared with rows"),
        ] {
            assert!(prepared(sql).contains(says), "{sql}: {}", prepared(sql));
        }
    }
}

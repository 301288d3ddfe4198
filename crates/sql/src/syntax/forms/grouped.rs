//! `GROUP BY ALL`, written out: the engine groups by what is in the list, and does not find it again in HAVING, QUALIFY and
//! ORDER BY. A HAVING without a group is that of the one group of all rows.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Select, SelectItem, UnaryOperator, Value,
};

use super::{binary, bracketed};
use crate::syntax::aggregates::Calls;
use crate::syntax::built::call;

/// Rewrites the grouping of a `SELECT`.
pub(super) fn rewrite(select: &mut Select) {
    if let GroupByExpr::All(modifiers) = &select.group_by
        && modifiers.is_empty()
        && let Some(keys) = keys(&select.projection)
    {
        select.group_by = GroupByExpr::Expressions(keys, Vec::new());
    }
    if let Some(condition) = select.having.take_if(|_| !groups(&select.group_by)) {
        select.having = Some(
            match Calls::of(&select.projection).aggregates || Calls::of(&condition).aggregates {
                true => condition,
                false => of_all_rows(condition),
            },
        );
    }
}

fn groups(group_by: &GroupByExpr) -> bool {
    match group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    }
}

/// What a list groups by: all that is no aggregate, but constants. `None` if that is nothing, or if it cannot be told.
fn keys(projection: &[SelectItem]) -> Option<Vec<Expr>> {
    let mut keys = Vec::new();
    for item in projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
            return None;
        };
        let calls = Calls::of(expr);
        if calls.windows {
            return None;
        }
        if !calls.aggregates && !is_constant(expr) {
            keys.push(expr.clone());
        }
    }
    (!keys.is_empty()).then_some(keys)
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Nested(expr) => is_constant(expr),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_constant(expr),
        _ => false,
    }
}

/// `count(*) >= 0 AND (condition)`, of which the first makes one group of all rows.
fn of_all_rows(condition: Expr) -> Expr {
    let count = call("count", vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
    let zero = Expr::Value(Value::Number("0".to_owned(), false).into());
    let any = binary(count, BinaryOperator::GtEq, zero);
    binary(any, BinaryOperator::And, bracketed(condition))
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[test]
    fn all_is_written_out() {
        for (sql, expected) in [
            (
                "SELECT a, b + 1 AS c, sum(d) AS s, 3 AS n FROM t GROUP BY ALL",
                "GROUP BY a, b + 1",
            ),
            ("SELECT sum(d) AS s FROM t GROUP BY ALL", "GROUP BY ALL"),
            ("SELECT *, sum(d) AS s FROM t GROUP BY ALL", "GROUP BY ALL"),
            (
                "SELECT a, (SELECT max(b) FROM u) AS m FROM t GROUP BY ALL",
                "GROUP BY a, (SELECT max(b) FROM u)",
            ),
        ] {
            let text = prepared(sql);
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn keys_are_found_again() {
        let context = session("CREATE TABLE t (a INT, b INT) AS VALUES (1, 10), (1, 20), (2, 30)").await;
        for (sql, expected) in [
            (
                "SELECT a, sum(b) AS s FROM t GROUP BY ALL HAVING a + 1 > 2 ORDER BY -a",
                "a,s|2,30",
            ),
            (
                "SELECT abs(a) AS x, max(b) AS m FROM t GROUP BY ALL ORDER BY abs(a) + 1 DESC",
                "x,m|2,30|1,20",
            ),
            (
                "SELECT a FROM t GROUP BY ALL QUALIFY rank() OVER (ORDER BY a DESC) = 1",
                "a|2",
            ),
            ("SELECT 7 AS n FROM t HAVING true", "n|7"),
            ("SELECT 7 AS n FROM t WHERE a > 5 HAVING 1 < 2", "n|7"),
            ("SELECT 7 AS n FROM t HAVING false", "n"),
            ("SELECT max(a) AS n FROM t HAVING min(a) > 3", "n"),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}

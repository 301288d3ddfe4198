//! `nullif(a, b)` is of the type of `a`, as it is NULL or `a`. The engine makes both of one type and answers that.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

use super::binary;
use crate::syntax::built::{case_when, plain_arguments};

/// Rewrites `nullif(a, b)` to `CASE WHEN a = b THEN NULL ELSE a END`. One within the first argument of another is left to the
/// engine: what is written twice at each level would double the statement.
pub(super) fn rewrite(expr: &mut Expr) {
    let Some((value, other)) = arguments(expr) else { return };
    if matches!(value, Expr::Function(_) | Expr::Case { .. } | Expr::Subquery(_)) {
        return;
    }
    let condition = binary(bracketed(value.clone()), BinaryOperator::Eq, bracketed(other));
    *expr = case_when(condition, Expr::value(Value::Null), value);
}

fn bracketed(expr: Expr) -> Expr {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => expr,
        expr => Expr::Nested(Box::new(expr)),
    }
}

fn arguments(expr: &Expr) -> Option<(Expr, Expr)> {
    let Expr::Function(function) = expr else { return None };
    if !function.name.to_string().eq_ignore_ascii_case("nullif") {
        return None;
    }
    match plain_arguments(function)?.as_slice() {
        [value, other] => Some(((*value).clone(), (*other).clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn it_is_of_the_type_of_what_comes_first() {
        let context = session("CREATE TABLE t (a INT, b DOUBLE) AS VALUES (1, 1.0), (2, 1.0), (NULL, 1.0)").await;
        let sql = "SELECT arrow_typeof(nullif(a, b)) || ' ' || coalesce(CAST(nullif(a, b) AS VARCHAR), '-') FROM t ORDER BY a";
        let rows = answer(&context, sql).await;
        assert_eq!(format!("{rows:?}").matches("Int32").count(), 3, "{rows:?}");
    }
}

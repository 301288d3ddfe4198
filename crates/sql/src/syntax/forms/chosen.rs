//! `nvl`, `ifnull` and `nvl2` choose between values as `coalesce` and `CASE` do. The engine's functions of these names take
//! few types, so that dates come out as texts and decimals as doubles.

use datafusion::sql::sqlparser::ast::Expr;

use super::bracketed;
use crate::syntax::built::{case_when, plain_arguments, rename};

/// Rewrites `nvl(a, b)` to `coalesce(a, b)`, and `nvl2(a, b, c)` to `CASE WHEN a IS NOT NULL THEN b ELSE c END`.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = function.name.to_string().to_lowercase();
    let Some(arguments) = plain_arguments(function) else {
        return;
    };
    match (name.as_str(), arguments.as_slice()) {
        ("nvl" | "ifnull", [_, _]) => rename(function, "coalesce"),
        ("nvl2", [tested, known, unknown]) => {
            let condition = Expr::IsNotNull(Box::new(bracketed((*tested).clone())));
            *expr = case_when(condition, (*known).clone(), (*unknown).clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn values_keep_their_types() {
        let context =
            session("CREATE TABLE t AS SELECT CAST(column1 AS DATE) AS d, column2 AS b FROM (VALUES ('2024-01-02', true), (NULL, NULL))").await;
        let sql = "SELECT arrow_typeof(nvl(d, d)) || arrow_typeof(ifnull(b, false)) || nvl2(b, 1, 2) FROM t ORDER BY d";
        let rows = format!("{:?}", answer(&context, sql).await);
        assert!(
            rows.contains("Date32Boolean1") && rows.contains("Date32Boolean2"),
            "{rows}"
        );
    }
}

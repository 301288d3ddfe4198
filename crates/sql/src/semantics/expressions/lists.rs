//! `x IN (…)` with values that differ from row to row. DataFusion 55 takes an element for a constant that gives one value over
//! no rows, as CASE and what is made of it do (`try_evaluate_constant_list`), so that `x IN (nullif(y, 3), 5)` missed the rows
//! where x is y. Such elements are compared one by one:
//!
//! ```text
//! x IN (y, 5, 7)          x IN (5, 7) OR x = y
//! x NOT IN (y, 5, 7)      x NOT IN (5, 7) AND x <> y
//! ```

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, in_list};
use datafusion::optimizer::AnalyzerRule;

use super::each::{rewrite_plan, varies};

/// Takes elements that are no constants out of lists.
#[derive(Debug)]
pub(super) struct ConstantLists;

impl AnalyzerRule for ConstantLists {
    fn name(&self) -> &str {
        "constant_lists"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(plan, has_varying, |expr, _| {
            expr.transform_up(|expr| match expr {
                Expr::InList(list) if is_varying(&list) => Ok(Transformed::yes(apart(list))),
                expr => Ok(Transformed::no(expr)),
            })
        })
    }
}

fn has_varying(expr: &Expr) -> bool {
    matches!(expr, Expr::InList(list) if is_varying(list))
}

/// Whether the list has an element that is no constant. What is volatile on the left is computed once.
fn is_varying(list: &InList) -> bool {
    !list.expr.is_volatile() && list.list.iter().any(varies)
}

fn apart(InList { expr, list, negated }: InList) -> Expr {
    let (equal, joined) = match negated {
        true => (Operator::NotEq, Operator::And),
        false => (Operator::Eq, Operator::Or),
    };
    let (varying, constant): (Vec<_>, Vec<_>) = list.into_iter().partition(varies);
    let constant = (!constant.is_empty()).then(|| in_list((*expr).clone(), constant, negated));
    let varying = varying
        .into_iter()
        .map(|element| binary_expr((*expr).clone(), equal, element));
    let parts = constant.into_iter().chain(varying);
    parts
        .reduce(|left, right| binary_expr(left, joined, right))
        .unwrap_or(*expr)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, context};

    const ROWS: &str = "FROM (VALUES (1, 1, 3), (2, 3, 3), (3, 5, 1), (4, NULL, 4), (5, 7, NULL)) AS t (id, x, y)";

    #[tokio::test]
    async fn elements_may_differ_from_row_to_row() {
        let context = context(true);
        for (condition, ids) in [
            ("x IN (nullif(y, 1), 5)", "2 3"),
            ("x IN (CASE y WHEN 3 THEN 1 END, 7)", "1 5"),
            ("true IN (CASE WHEN y = 3 THEN x = 1 END, false)", "1"),
            ("x NOT IN (nullif(y, 1), 5)", "1"),
            ("(x NOT IN (coalesce(y, 0), 5, 9)) IS NOT FALSE", "1 4 5"),
            ("x IN (y)", "2"),
            ("x IN (y, y + 4, NULL)", "2 3"),
        ] {
            let sql = format!("SELECT string_agg(CAST(id AS TEXT), ' ' ORDER BY id) {ROWS} WHERE {condition}");
            answers(&context, &[(&sql, ids)]).await;
        }
    }
}

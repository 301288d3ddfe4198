//! Names of what aggregates and windows compute. The engine names an expression without its casts, so that `max(m)` and
//! `max(CAST(m AS DOUBLE))` would have one name, which it refuses. While they are planned, what they are of is named with its
//! casts here.

mod casts;
mod declared;
mod keys;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};

pub(super) use casts::{PlainCasts, function};
pub(crate) use declared::DeclaredNames;
pub(super) use keys::{KeysOfSets, UniqueKeys, keys_below};

/// Longer names are cut: what they tell apart is mostly in front.
const LONGEST: usize = 200;

/// Has names of aggregates and windows tell casts apart.
#[derive(Debug, Default)]
pub(super) struct NamedCasts;

impl ExprPlanner for NamedCasts {
    fn plan_aggregate(&self, mut expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        // What is grouped by has no name of its own, and is looked for as it stands.
        if expr.func.name() != "grouping" {
            for arg in &mut expr.args {
                name_casts(arg)?;
            }
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        for part in expr.args.iter_mut().chain(&mut expr.partition_by) {
            name_casts(part)?;
        }
        for key in &mut expr.order_by {
            name_casts(&mut key.expr)?;
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// Gives the expression its whole text as its name if there is a cast in it.
fn name_casts(expr: &mut Expr) -> Result<()> {
    let with_casts = expr.exists(|part| Ok(matches!(part, Expr::Cast(_) | Expr::TryCast(_))))?;
    // A cast of a constant is a constant of another kind, DATE '2020-01-31' among them.
    if with_casts && !matches!(expr, Expr::Alias(_)) && expr.any_column_refs() {
        let name: String = expr.to_string().chars().take(LONGEST).collect();
        *expr = std::mem::take(expr).alias(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::{answers, numbers, same_plans};

    #[tokio::test]
    async fn casts_are_told_apart() {
        let context = numbers(true).await;
        answers(
            &context,
            &[
                ("SELECT max(int) AS a, max(CAST(int AS DOUBLE)) AS b FROM n", "2147483647 2147483647.0"),
                ("SELECT max(x) AS a, max(CAST(x AS INT)) AS b, max(TRY_CAST(x AS BIGINT)) AS c FROM n", "1.5 2 2"),
                (
                    "SELECT id, rank() OVER (ORDER BY x), rank() OVER (ORDER BY CAST(x AS INT)) FROM n ORDER BY id",
                    "1 2 2 | 2 1 1 | 3 4 4 | 4 3 3",
                ),
                (
                    "SELECT int AS g, max(CAST(x AS INT)) AS a, max(x) AS b FROM n GROUP BY int HAVING max(CAST(x AS INT)) > 0",
                    "7 2 1.5",
                ),
                ("SELECT d AS a, CAST(d AS TIMESTAMP) AS b FROM n WHERE id = 1", "0001-01-01 0001-01-01T00:00:00"),
                (
                    "SELECT d, named_cast(CAST(d AS TIMESTAMP), 'a') AS a, named_cast(CAST(d AS TEXT), 'b') AS b, max(id) \
                     FROM n WHERE id = 1 GROUP BY d, named_cast(CAST(d AS TIMESTAMP), 'a'), named_cast(CAST(d AS TEXT), 'b')",
                    "0001-01-01 0001-01-01T00:00:00 0001-01-01 1",
                ),
                (
                    "SELECT x, named_cast(CAST(x AS INT), 'a') AS a, max(id) FROM n WHERE id > 3 \
                     GROUP BY ROLLUP (x, named_cast(CAST(x AS INT), 'a')) ORDER BY 1, 2",
                    "1.5 2 4 | 1.5 NULL 4 | NULL NULL 4",
                ),
                ("SELECT int AS a, int AS b, count(*) FROM n WHERE id > 3 GROUP BY a, b, int", "7 7 1"),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn what_has_no_casts_is_as_before() {
        let (ours, theirs) = (numbers(true).await, numbers(false).await);
        let statements = [
            "SELECT max(id), count(*), sum(int) OVER (PARTITION BY id ORDER BY d) FROM n GROUP BY id, int, d",
            "SELECT count(DISTINCT id), max(d) FILTER (WHERE d > DATE '2020-01-31') FROM n",
        ];
        same_plans([&ours, &theirs], &statements).await;
    }
}

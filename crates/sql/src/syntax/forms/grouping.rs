//! `GROUP BY … WITH ROLLUP` and `WITH CUBE`, whose modifier the engine drops, and `ROLLUP` and `CUBE` over rows of
//! columns, which become the grouping sets that they stand for.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, GroupByWithModifier, Select};

use crate::syntax::refusal::{Checked, refuse};

/// The most elements of a `CUBE` that is written out: it has two to that power of sets.
const MAX_CUBE: usize = 8;

/// Rewrites the grouping of a `SELECT`.
pub(super) fn rewrite(select: &mut Select) -> Checked {
    let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by else {
        return Ok(());
    };
    // Other modifiers have been refused.
    let single = |key: Expr| vec![key];
    match modifiers.pop() {
        Some(GroupByWithModifier::Rollup) => *keys = vec![Expr::Rollup(keys.drain(..).map(single).collect())],
        Some(GroupByWithModifier::Cube) => *keys = vec![Expr::Cube(keys.drain(..).map(single).collect())],
        _ => {}
    }
    keys.iter_mut().try_for_each(composite)
}

fn composite(key: &mut Expr) -> Checked {
    let of_rows = |elements: &[Vec<Expr>]| elements.iter().any(|element| element.len() != 1);
    match key {
        Expr::Rollup(elements) if of_rows(elements) => {
            let beginnings = (0..=elements.len()).rev().filter_map(|n| elements.get(..n));
            *key = Expr::GroupingSets(beginnings.map(<[Vec<Expr>]>::concat).collect());
        }
        Expr::Cube(elements) if of_rows(elements) => {
            if elements.len() > MAX_CUBE {
                return refuse(format!(
                    "CUBE of more than {MAX_CUBE} elements is not supported, use GROUPING SETS"
                ));
            }
            let chosen = |set: usize| {
                let elements = elements.iter().enumerate();
                elements
                    .filter(move |(at, _)| set & (1 << at) != 0)
                    .flat_map(|(_, element)| element.clone())
            };
            *key = Expr::GroupingSets(
                (0..1_usize << elements.len())
                    .rev()
                    .map(|set| chosen(set).collect())
                    .collect(),
            );
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn rollup_and_cube_in_every_spelling() {
        let context = session("CREATE TABLE t (a INT, b INT, c INT) AS VALUES (1, 1, 1), (1, 2, 1), (2, 1, 1)").await;
        for (sql, expected) in [
            (
                "SELECT a, count(*) AS n FROM t GROUP BY a WITH ROLLUP",
                "a,n|1,2|2,1|NULL,3",
            ),
            (
                "SELECT a, b, count(*) AS n FROM t GROUP BY a, b WITH CUBE",
                "a,b,n|1,1,1|1,2,1|1,NULL,2|2,1,1|2,NULL,1|NULL,1,2|NULL,2,1|NULL,NULL,3",
            ),
            (
                "SELECT a, b, count(*) AS n FROM t GROUP BY ROLLUP ((a, b), c) HAVING count(*) = 3",
                "a,b,n|NULL,NULL,3",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[test]
    fn rows_become_grouping_sets() {
        assert_eq!(
            prepared("SELECT a FROM t GROUP BY ROLLUP ((a, b), c)"),
            "SELECT a FROM t GROUP BY GROUPING SETS ((a, b, c), (a, b), ())"
        );
        assert_eq!(
            prepared("SELECT a FROM t GROUP BY CUBE ((a, b), c)"),
            "SELECT a FROM t GROUP BY GROUPING SETS ((a, b, c), (c), (a, b), ())"
        );
    }
}

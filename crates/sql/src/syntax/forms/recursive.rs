//! `WITH RECURSIVE`: of a query that is a `UNION` the engine drops what stands around it, `WITH`, `ORDER BY` and
//! `LIMIT`, without a word. A query that does not name itself gets brackets, and is planned like any other; one that
//! does is refused.

use datafusion::sql::sqlparser::ast::{Cte, ObjectName, ObjectNamePart, Query, SetExpr, SetOperator};

use crate::syntax::built::{empty_select, query_of};
use crate::syntax::names::compared;
use crate::syntax::refusal::{Checked, refuse};
use crate::syntax::walk::{Pass, walk};

/// Rewrites the queries of a `WITH RECURSIVE`.
pub(super) fn rewrite(query: &mut Query) -> Checked {
    match query.with.as_mut().filter(|with| with.recursive) {
        Some(with) => with.cte_tables.iter_mut().try_for_each(named),
        None => Ok(()),
    }
}

fn named(cte: &mut Cte) -> Checked {
    let dropped = cte.query.with.is_some()
        || cte.query.order_by.is_some()
        || cte.query.limit_clause.is_some()
        || cte.query.fetch.is_some();
    let united = matches!(
        *cte.query.body,
        SetExpr::SetOperation {
            op: SetOperator::Union,
            ..
        }
    );
    if !dropped || !united {
        return Ok(());
    }
    let mut itself = Itself {
        name: compared(&cte.alias.name),
        found: false,
    };
    walk(&mut cte.query, &mut itself)?;
    if itself.found {
        return refuse(
            "WITH, ORDER BY and LIMIT in a query that names itself are not supported, write them outside of it",
        );
    }
    let none = query_of(SetExpr::Select(Box::new(empty_select())));
    let inner = std::mem::replace(cte.query.as_mut(), none);
    *cte.query = query_of(SetExpr::Query(Box::new(inner)));
    Ok(())
}

/// Whether a query mentions a table of its own name.
struct Itself {
    name: String,
    found: bool,
}

impl Pass for Itself {
    fn relation(&mut self, relation: &mut ObjectName) -> Checked {
        if let [ObjectNamePart::Identifier(name)] = relation.0.as_slice() {
            self.found |= compared(name) == self.name;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn what_stands_around_a_union_is_kept_or_refused() {
        let context = session("CREATE TABLE t (a INT) AS VALUES (1), (2), (3)").await;
        for (sql, expected) in [
            (
                "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT sum(n) AS s FROM r",
                "s|10",
            ),
            (
                "WITH RECURSIVE c AS (SELECT a FROM t UNION ALL SELECT a + 10 FROM t ORDER BY a DESC LIMIT 2) SELECT a FROM c",
                "a|12|13",
            ),
            (
                "WITH RECURSIVE c(x) AS (WITH d AS (SELECT 7 AS a) SELECT a FROM d UNION ALL SELECT 8) SELECT x FROM c",
                "x|7|8",
            ),
            (
                "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9 LIMIT 3) SELECT n FROM r",
                "error: WITH, ORDER BY and LIMIT in a query that names itself are not supported, write them outside of it",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}

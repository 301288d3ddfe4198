//! Queries within queries within queries. The engine plans a derived table on the stack of the one around it, a hundred
//! kilobytes for each, and overflows two megabytes at eighteen; only before a query in brackets does it see to more
//! stack. So every query that is deeper than a few gets brackets, `(SELECT …)` becomes `((SELECT …))`, which mean
//! nothing.

use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement};

use super::built::{empty_select, query_of};
use super::refusal::Checked;
use super::walk::{Pass, walk};

/// How deep queries may be without brackets.
pub(super) const SHALLOW: usize = 4;

/// Puts the deep queries of a statement into brackets.
pub(super) fn bracket(statement: &mut Statement) -> Checked {
    walk(statement, &mut Deep::default())
}

#[derive(Default)]
struct Deep {
    depth: usize,
    /// The queries of `WITH RECURSIVE` that are a `UNION`, by address: the engine looks for it.
    recursive: Vec<*const Query>,
}

impl Pass for Deep {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        self.depth += 1;
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive) {
            let queries = with.cte_tables.iter().map(|cte| cte.query.as_ref());
            let unions = queries.filter(|query| matches!(*query.body, SetExpr::SetOperation { .. }));
            self.recursive.extend(unions.map(std::ptr::from_ref));
        }
        Ok(())
    }

    fn leave_query(&mut self, query: &mut Query) -> Checked {
        self.depth -= 1;
        let address = std::ptr::from_ref::<Query>(query);
        if let Some(at) = self.recursive.iter().rposition(|recursive| *recursive == address) {
            self.recursive.swap_remove(at);
        } else if self.depth >= SHALLOW {
            let none = SetExpr::Select(Box::new(empty_select()));
            let inner = std::mem::replace(query, query_of(none));
            *query.body = SetExpr::Query(Box::new(inner));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::syntax::testing::{answer, session};

    /// Answers a statement on a thread with little stack.
    fn on_a_small_stack(sql: String) -> String {
        let small = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let context = session("CREATE TABLE t (a INT) AS VALUES (1), (2)").await;
                answer(&context, &sql).await
            })
        });
        small.unwrap().join().unwrap()
    }

    #[test]
    fn what_the_parser_takes_is_planned_on_a_small_stack() {
        let nested = |begin: &str, within: &str, end: &str, times: usize| {
            format!("{}{within}{}", begin.repeat(times), end.repeat(times))
        };
        for (sql, expected) in [
            (nested("SELECT a FROM (", "SELECT a FROM t", ") x", 22), "a|1|2"),
            (
                nested("WITH c AS (", "SELECT a FROM t", ") SELECT a FROM c", 22),
                "a|1|2",
            ),
            (
                nested("WITH RECURSIVE c AS (", "SELECT a FROM t", ") SELECT a FROM c", 22),
                "a|1|2",
            ),
            (nested("SELECT a FROM t WHERE a IN (", "SELECT 2", ")", 9), "a|2"),
            (
                nested("SELECT a FROM (SELECT a FROM t WHERE a IN (", "SELECT 2", ")) x", 6),
                "a|2",
            ),
            (nested("SELECT a FROM t UNION (", "SELECT 3", ")", 20), "a|1|2|3"),
        ] {
            assert_eq!(on_a_small_stack(sql.clone()), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_deeper_than_the_parser_takes_is_refused() {
        for times in [25, 40, 60, 120] {
            let sql = format!(
                "{}SELECT a FROM t{}",
                "SELECT a FROM (".repeat(times),
                ") x".repeat(times)
            );
            let said = on_a_small_stack(sql);
            assert!(said == "a|1|2" || said.starts_with("error"), "{said}");
        }
        let joins = format!(
            "SELECT count(*) AS n FROM {}t z{}",
            "(t CROSS JOIN ".repeat(40),
            ")".repeat(40)
        );
        let said = on_a_small_stack(joins);
        assert!(said.starts_with("error"), "{said}");
    }
}

//! Aggregates and windows where there is no group yet or no longer a row: refused by name, since the engine's own
//! messages are about its plans.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, JoinConstraint, Query, Select, TableWithJoins, VisitMut};

use super::aggregates::is_aggregate;
use super::refusal::{Checked, Refusal};
use super::using::constraint_mut;
use super::walk::{Pass, walk};

/// Refuses windows and aggregates where they have no place.
pub(super) fn check(query: &mut Query) -> Checked {
    walk(query, &mut Clauses)
}

struct Clauses;

impl Pass for Clauses {
    fn enter_select(&mut self, select: &mut Select) -> Checked {
        for from in &mut select.from {
            joined(from)?;
        }
        neither("WHERE", &mut select.selection)?;
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            neither("GROUP BY", keys)?;
        }
        walk(&mut select.having, &mut Find::new("HAVING", false))
    }
}

fn joined(from: &mut TableWithJoins) -> Checked {
    for join in &mut from.joins {
        if let Some(JoinConstraint::On(condition)) = constraint_mut(&mut join.join_operator) {
            neither("JOIN … ON", condition)?;
        }
    }
    Ok(())
}

fn neither(clause: &'static str, part: &mut impl VisitMut) -> Checked {
    walk(part, &mut Find::new(clause, true))
}

struct Find {
    clause: &'static str,
    /// Whether aggregates are misplaced as well as windows.
    aggregates: bool,
    /// How many subqueries are around: they have clauses of their own.
    queries: usize,
}

impl Find {
    fn new(clause: &'static str, aggregates: bool) -> Self {
        Self {
            clause,
            aggregates,
            queries: 0,
        }
    }
}

impl Pass for Find {
    fn enter_query(&mut self, _: &mut Query) -> Checked {
        self.queries += 1;
        Ok(())
    }

    fn leave_query(&mut self, _: &mut Query) -> Checked {
        self.queries -= 1;
        Ok(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        let Expr::Function(function) = expr else {
            return Ok(());
        };
        let clause = self.clause;
        if self.queries == 0 && function.over.is_some() {
            return Err(Refusal::invalid(format!(
                "window functions are not allowed in {clause}, use QUALIFY or a subquery"
            )));
        }
        if self.aggregates && self.queries == 0 && is_aggregate(function) {
            return Err(Refusal::invalid(format!(
                "aggregate functions are not allowed in {clause}, use HAVING or a subquery"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn windows_and_aggregates_are_refused_where_there_is_none() {
        for (sql, says) in [
            (
                "SELECT a FROM t WHERE row_number() OVER () = 1",
                "window functions are not allowed in WHERE",
            ),
            (
                "SELECT a FROM t GROUP BY a HAVING rank() OVER () = 1",
                "window functions are not allowed in HAVING",
            ),
            (
                "SELECT a FROM t WHERE count(*) > 1",
                "aggregate functions are not allowed in WHERE",
            ),
            (
                "SELECT 1 FROM t JOIN u ON max(t.a) = u.a",
                "aggregate functions are not allowed in JOIN … ON",
            ),
            (
                "SELECT 1 FROM t GROUP BY sum(a)",
                "aggregate functions are not allowed in GROUP BY",
            ),
        ] {
            let said = prepared(sql);
            assert!(said.starts_with(&format!("refused: {says}")), "{sql}: {said}");
        }
        let within = "SELECT a FROM t WHERE b = (SELECT max(b) FROM t)";
        assert_eq!(prepared(within), within);
    }
}

//! The size of a parsed statement. Long chains of `AND` and `OR` are balanced, since a tree of a thousand levels costs
//! every pass over it a thousand frames of stack; other chains, nesting, joins, set operations and `WITH` are bounded.
//! Runs first: everything after it may recurse.

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins};

use super::chains::{MAX_CHAIN, balance, chained};
use super::deep::SHALLOW;
use super::refusal::{Checked, Refusal};
use super::walk::{Pass, walk};

/// The deepest tree of expressions and subqueries.
pub const MAX_DEPTH: usize = 400;

/// The most names in one `WITH`.
pub const MAX_WITH: usize = 200;

/// The most operands of set operations in one query.
pub const MAX_OPERANDS: usize = 500;

/// The most joins in one `FROM`.
pub const MAX_JOINS: usize = 100;

/// The most joins in brackets within each other. Each takes eighty kilobytes of the planner's stack, which grows only
/// at queries (see [`super::deep`]): within deep ones there may be one.
const MAX_BRACKETS: usize = 8;

/// Balances what can be balanced and refuses what is too large.
pub(crate) fn check(statement: &mut Statement) -> Checked {
    walk(statement, &mut Limits::default())
}

#[derive(Default)]
struct Limits {
    depth: usize,
    /// The joins in brackets that are around, for every query that is around.
    brackets: Vec<usize>,
}

impl Pass for Limits {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        if query.with.as_ref().is_some_and(|with| with.cte_tables.len() > MAX_WITH) {
            return too_large(format!("WITH has more than {MAX_WITH} names, split the statement"));
        }
        if operands(&query.body) > MAX_OPERANDS {
            return too_large(format!(
                "more than {MAX_OPERANDS} queries are united, use VALUES or split the statement"
            ));
        }
        self.brackets.push(0);
        self.deeper()
    }

    fn leave_query(&mut self, _: &mut Query) -> Checked {
        self.brackets.pop();
        self.depth -= 1;
        Ok(())
    }

    fn enter_select(&mut self, select: &mut Select) -> Checked {
        select.from.iter_mut().for_each(flatten);
        let joins: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
        joined(joins.saturating_sub(1))
    }

    fn enter_factor(&mut self, factor: &mut TableFactor) -> Checked {
        if is_pivot(factor) {
            return self.deeper();
        }
        let TableFactor::NestedJoin {
            table_with_joins: inner,
            ..
        } = factor
        else {
            return Ok(());
        };
        flatten(inner);
        joined(inner.joins.len())?;
        self.bracket()
    }

    fn leave_factor(&mut self, factor: &mut TableFactor) -> Checked {
        match (factor, self.brackets.last_mut()) {
            (TableFactor::NestedJoin { .. }, Some(here)) => *here -= 1,
            (factor, _) if is_pivot(factor) => self.depth -= 1,
            _ => {}
        }
        Ok(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        balance(expr);
        if let Some(operator) = chained(expr) {
            return too_large(format!(
                "{operator} is chained more than {MAX_CHAIN} times, split the expression"
            ));
        }
        self.deeper()
    }

    fn leave_expr(&mut self, _: &mut Expr) -> Checked {
        self.depth -= 1;
        Ok(())
    }
}

impl Limits {
    fn bracket(&mut self) -> Checked {
        let queries = self.brackets.len();
        let Some(here) = self.brackets.last_mut() else {
            return Ok(());
        };
        *here += 1;
        let (here, all): (usize, usize) = (*here, self.brackets.iter().sum());
        match (queries > SHALLOW && here > 1) || (queries <= SHALLOW && all > MAX_BRACKETS) {
            true => too_large("joins in brackets are nested too deep, join from left to right".to_owned()),
            false => Ok(()),
        }
    }

    fn deeper(&mut self) -> Checked {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => too_large(format!(
                "expressions and subqueries are nested more than {MAX_DEPTH} deep, name parts of it with WITH"
            )),
            false => Ok(()),
        }
    }
}

/// Whether it is a table around another one.
fn is_pivot(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Pivot { .. } | TableFactor::Unpivot { .. })
}

/// `(a JOIN b …) JOIN c …` is `a JOIN b … JOIN c …`.
fn flatten(from: &mut TableWithJoins) {
    while let TableFactor::NestedJoin {
        table_with_joins: inner,
        alias: None,
    } = &mut from.relation
    {
        let mut joins = std::mem::take(&mut inner.joins);
        joins.append(&mut from.joins);
        from.joins = joins;
        let TableWithJoins { relation, joins: _ } = inner.as_mut();
        from.relation = std::mem::replace(relation, nothing());
    }
}

/// What stands in the place of a table that is moved.
fn nothing() -> TableFactor {
    TableFactor::UNNEST {
        alias: None,
        array_exprs: Vec::new(),
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}

fn too_large(message: String) -> Checked {
    Err(Refusal::too_large(message))
}

fn joined(joins: usize) -> Checked {
    match joins > MAX_JOINS {
        true => too_large(format!("FROM has more than {MAX_JOINS} joins, split the statement")),
        false => Ok(()),
    }
}

/// The operands of the set operations of one query, counted without recursion.
fn operands(body: &SetExpr) -> usize {
    let mut count = 0;
    let mut left_over = vec![body];
    while let Some(expr) = left_over.pop() {
        match expr {
            SetExpr::SetOperation { left, right, .. } => left_over.extend([left.as_ref(), right.as_ref()]),
            _ => count += 1,
        }
    }
    count
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::syntax::testing::parsed;

    fn refused(sql: &str) -> String {
        check(&mut parsed(sql)).unwrap_err().to_string()
    }

    #[test]
    fn joins_operands_and_names_are_bounded() {
        assert!(refused(&format!("SELECT 1 FROM {}", vec!["t"; 102].join(" CROSS JOIN "))).contains("joins"));
        assert!(refused(&format!("SELECT 1 FROM {}", vec!["t"; 102].join(", "))).contains("joins"));
        assert!(refused(&vec!["SELECT 1"; 501].join(" UNION ALL ")).contains("united"));
        let with = (0..201).map(|n| format!("c{n} AS (SELECT 1)")).collect::<Vec<_>>();
        assert!(refused(&format!("WITH {} SELECT 1", with.join(", "))).contains("WITH"));
    }

    #[test]
    fn brackets_of_joins_are_flattened_to_the_left_and_bounded_to_the_right() {
        let left = format!("SELECT 1 FROM {}t{}", "(".repeat(20), " CROSS JOIN t)".repeat(20));
        let mut statement = parsed(&left);
        check(&mut statement).unwrap();
        assert_eq!(
            statement.to_string(),
            format!("SELECT 1 FROM t{}", " CROSS JOIN t".repeat(20))
        );
        let right = |times: usize| format!("SELECT 1 FROM {}t{}", "t CROSS JOIN (".repeat(times), ")".repeat(times));
        check(&mut parsed(&right(7))).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(refused(&right(10)).contains("brackets"));
        let deep = format!("{}{}{}", "SELECT (".repeat(4), right(3), ")".repeat(4));
        assert!(refused(&deep).contains("brackets"));
    }

    #[test]
    fn what_is_refused_leaves_a_small_stack_whole() {
        let small = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
            let chain = vec!["1"; 4_900].join("+");
            let sql = format!("SELECT {chain}");
            crate::syntax::check_text(&sql).unwrap();
            assert!(refused(&sql).contains("chained"));
        });
        small.unwrap().join().unwrap();
    }
}

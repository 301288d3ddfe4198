//! The size of a parsed statement. Long chains of `AND` and `OR` are balanced, since a tree of a thousand levels costs
//! every pass over it a thousand frames of stack; other chains, nesting, joins, set operations and `WITH` are bounded.
//! Runs first: everything after it may recurse.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins,
};

use super::deep::SHALLOW;
use super::refusal::{Checked, Refusal};
use super::walk::{Pass, walk};

/// The deepest tree of expressions and subqueries.
pub const MAX_DEPTH: usize = 400;

/// The longest chain of operators that cannot be balanced, as `a + b + …`.
pub const MAX_CHAIN: usize = 256;

/// The longest chain of `AND` or `OR` that is left as it is.
const MAX_UNBALANCED: usize = 50;

/// The most names in one `WITH`.
pub const MAX_WITH: usize = 200;

/// The most operands of set operations in one query.
pub const MAX_OPERANDS: usize = 500;

/// The most joins in one `FROM`.
pub const MAX_JOINS: usize = 100;

/// The most joins in brackets within each other. Each takes eighty kilobytes of the planner's stack, which grows only at
/// queries (see [`super::deep`]): within deep ones there may be one.
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
        if let (TableFactor::NestedJoin { .. }, Some(here)) = (factor, self.brackets.last_mut()) {
            *here -= 1;
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
        match queries > SHALLOW && here > 1 || queries <= SHALLOW && all > MAX_BRACKETS {
            true => too_large("joins in brackets are nested too deep, join from left to right".to_owned()),
            false => Ok(()),
        }
    }

    fn deeper(&mut self) -> Checked {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => too_large(format!(
                "expressions and subqueries are nested more than {MAX_DEPTH} deep, name parts of the statement with WITH"
            )),
            false => Ok(()),
        }
    }
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

/// The operator of a chain that is too long; the chain is followed to the left, where the parser lets it grow in a loop.
fn chained(expr: &Expr) -> Option<String> {
    let (mut at, mut length) = (expr, 0);
    while let Some(left) = first_operand(at) {
        at = left;
        length += 1;
        if length > MAX_CHAIN {
            return Some(match expr {
                Expr::BinaryOp { op, .. } => op.to_string(),
                _ => "an operator".to_owned(),
            });
        }
    }
    None
}

/// The operand that stands first in an operator's text.
fn first_operand(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::BinaryOp { left, .. }
        | Expr::AnyOp { left, .. }
        | Expr::AllOp { left, .. }
        | Expr::IsDistinctFrom(left, _)
        | Expr::IsNotDistinctFrom(left, _) => Some(left),
        Expr::IsFalse(expr)
        | Expr::IsNotFalse(expr)
        | Expr::IsTrue(expr)
        | Expr::IsNotTrue(expr)
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::IsUnknown(expr)
        | Expr::IsNotUnknown(expr)
        | Expr::IsNormalized { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::InSubquery { expr, .. }
        | Expr::InUnnest { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::SimilarTo { expr, .. }
        | Expr::RLike { expr, .. }
        | Expr::UnaryOp { expr, .. }
        | Expr::Cast { expr, .. }
        | Expr::Collate { expr, .. }
        | Expr::OuterJoin(expr) => Some(expr),
        Expr::AtTimeZone { timestamp, .. } => Some(timestamp),
        Expr::JsonAccess { value, .. } => Some(value),
        Expr::CompoundFieldAccess { root, .. } => Some(root),
        _ => None,
    }
}

/// Balances a long chain of `AND` or of `OR`: both are associative, and the order of the terms stays.
fn balance(expr: &mut Expr) {
    let op = match expr {
        Expr::BinaryOp { op, .. } if matches!(op, BinaryOperator::And | BinaryOperator::Or) => op.clone(),
        _ => return,
    };
    if length(expr, &op) > MAX_UNBALANCED {
        let terms = terms(std::mem::replace(expr, Expr::Tuple(Vec::new())), &op);
        if let Some(tree) = joined_by(&op, terms) {
            *expr = tree;
        }
    }
}

fn length(expr: &Expr, wanted: &BinaryOperator) -> usize {
    let (mut at, mut length) = (expr, 0);
    while let Expr::BinaryOp { left, op, .. } = at
        && op == wanted
    {
        at = left;
        length += 1;
    }
    length
}

fn terms(expr: Expr, wanted: &BinaryOperator) -> Vec<Expr> {
    let mut terms = Vec::new();
    let mut rest = expr;
    loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == *wanted => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                terms.reverse();
                return terms;
            }
        }
    }
}

/// Returns the terms joined by an associative operator, as a tree that is as flat as it can be; nothing of no terms.
pub(crate) fn joined_by(op: &BinaryOperator, mut terms: Vec<Expr>) -> Option<Expr> {
    if terms.len() < 2 {
        return terms.pop();
    }
    let right = terms.split_off(terms.len() / 2);
    Some(Expr::BinaryOp {
        left: Box::new(joined_by(op, terms)?),
        op: op.clone(),
        right: Box::new(joined_by(op, right)?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::syntax::testing::parsed;

    fn refused(sql: &str) -> String {
        check(&mut parsed(sql)).unwrap_err().to_string()
    }

    fn deepest(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + deepest(left).max(deepest(right)),
            _ => 0,
        }
    }

    #[test]
    fn chains_of_or_are_balanced_and_say_the_same() {
        let sql = format!(
            "SELECT a FROM t WHERE {}",
            (0..2_000)
                .map(|n| format!("a = {n} AND b"))
                .collect::<Vec<_>>()
                .join(" OR ")
        );
        let mut statement = parsed(&sql);
        check(&mut statement).unwrap();
        assert_eq!(statement.to_string(), sql);
        let Statement::Query(query) = &statement else {
            unreachable!()
        };
        let SetExpr::Select(select) = query.body.as_ref() else {
            unreachable!()
        };
        assert!(deepest(select.selection.as_ref().unwrap()) < 20);
    }

    #[test]
    fn other_chains_are_refused_by_the_operator() {
        assert!(refused(&format!("SELECT {}", vec!["1"; 300].join(" + "))).contains("+ is chained"));
        assert!(refused(&format!("SELECT x{}", "::INT".repeat(300))).contains("chained"));
        check(&mut parsed(&format!("SELECT {}", vec!["1"; 200].join(" * ")))).unwrap();
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

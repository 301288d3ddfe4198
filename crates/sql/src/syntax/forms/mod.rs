//! Forms that are written another way before the engine plans them, each in a file of its own. They change what a query
//! looks like and never what it means; what cannot be rewritten exactly is refused by name.

mod chosen;
mod clauses;
mod collected;
mod concatenated;
mod containment;
mod distinct_from;
mod extract;
mod grouped;
mod grouping;
mod likes;
mod not_exists;
mod nullif;
mod orders;
pub(super) mod pivot;
mod quantified;
mod recursive;
mod row_queries;
mod rows;
mod texts;
mod units;
mod windows;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, Select, Statement, TableFactor};

use super::refusal::{Checked, Refusal};
use super::walk::{Pass, walk};

/// Rewrites every form of a statement.
pub(super) fn rewrite(statement: &mut Statement) -> Checked {
    walk(statement, &mut Forms)
}

struct Forms;

impl Pass for Forms {
    fn enter_query(&mut self, query: &mut Query) -> Checked {
        recursive::rewrite(query)?;
        orders::of_query(query);
        windows::of_order(query)?;
        clauses::of_query(query)
    }

    fn enter_select(&mut self, select: &mut Select) -> Checked {
        orders::of_select(select);
        windows::of_select(select)?;
        clauses::of_select(select);
        grouped::rewrite(select);
        grouping::rewrite(select)?;
        row_queries::rewrite(select)
    }

    fn enter_factor(&mut self, factor: &mut TableFactor) -> Checked {
        pivot::rewrite(factor)
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        distinct_from::rewrite(expr);
        quantified::rewrite(expr)
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> Checked {
        concatenated::rewrite(expr);
        orders::of_call(expr);
        units::rewrite(expr);
        texts::rewrite(expr);
        extract::rewrite(expr);
        chosen::rewrite(expr);
        containment::rewrite(expr);
        not_exists::rewrite(expr);
        nullif::rewrite(expr);
        collected::rewrite(expr)?;
        likes::rewrite(expr)?;
        rows::rewrite(expr)
    }
}

/// Returns `left op right`.
fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// Returns the expression in brackets: what is put in the place of another keeps its place in the text.
fn bracketed(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

/// Takes an expression out of its place.
fn taken(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Tuple(Vec::new()))
}

/// The most characters that copies of an operand may come to.
const MAX_COPIED: usize = 1 << 20;

/// Refuses to copy operands so often that a short statement becomes a large one.
fn may_copy<'a>(operands: impl IntoIterator<Item = &'a Expr>, times: usize) -> Checked {
    let length: usize = operands.into_iter().map(|operand| operand.to_string().len()).sum();
    match length.saturating_mul(times) > MAX_COPIED {
        true => Err(Refusal::too_large(
            "an operand that is compared with many values is too large, name it in a subquery",
        )),
        false => Ok(()),
    }
}

//! Which clauses a statement may have. Every struct of the tree is taken apart field by field, without `..`: a clause
//! that the parser takes and the engine drops cannot pass, and a field that a new version of the parser adds breaks the
//! build. What the engine honours is allowed, and what is written another way before planning (see [`super::forms`]);
//! the rest is refused by name, with the nearest form that works. Nothing is changed here.

mod expr;
mod foreign;
mod function;
mod operators;
mod query;
mod relation;
mod select;

use datafusion::sql::sqlparser::ast::Query;

use super::refusal::Checked;

/// Refuses a query with a clause or an expression that is not honoured.
pub(crate) fn check(query: &Query) -> Checked {
    query::query(query)
}

#[cfg(test)]
mod tests;

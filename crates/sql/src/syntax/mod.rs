//! Syntax trees: which clauses are honoured, and forms that are rewritten before the engine plans them. A statement's
//! text is checked by [`check_text`], parsed without its hints (see [`without_hints`]), and prepared by [`prepare`].
//! What cannot be told from the text, and the columns of the tables that it names, is refused by name or left to the engine,
//! never guessed.

mod aggregates;
mod built;
pub mod casts;
mod chains;
mod columns;
mod deep;
mod elements;
mod expansion;
mod forms;
mod hints;
mod limits;
mod lists;
mod misplaced;
mod names;
mod parameters;
mod refusal;
mod set_all;
mod surface;
mod text;
mod using;
mod walk;

use datafusion::sql::sqlparser::ast::Statement;

pub use columns::Tables;
pub use hints::without_hints;
pub(crate) use names::declared as declared_name;
pub use parameters::parameters;
pub use refusal::Refusal;
pub use text::check_text;

/// The alias of the first operand of `EXCEPT ALL` and `INTERSECT ALL`, by which the analyzer knows the operation again.
pub(crate) const ALL_LEFT: &str = "__all_left";

/// The alias of the second operand of `EXCEPT ALL` and `INTERSECT ALL`.
pub(crate) const ALL_RIGHT: &str = "__all_right";

/// Checks a parsed query against the surface and rewrites forms that the engine reads otherwise. Called once for the
/// statement below any EXPLAIN, whose text [`check_text`] has passed. What is no query is left as it is.
pub fn prepare(statement: &mut Statement, tables: &dyn Tables) -> Result<(), Refusal> {
    if let Statement::Explain { statement, .. } = statement {
        return prepare(statement, tables);
    }
    // First, since everything else recurses.
    limits::check(statement)?;
    lists::unmark(statement)?;
    let Statement::Query(query) = statement else {
        return Ok(());
    };
    surface::check(query)?;
    misplaced::check(query)?;
    expansion::check(statement)?;
    // Names are the texts of what was written, not of what it becomes.
    names::give(statement)?;
    if let Statement::Query(query) = statement {
        casts::distinguish_casts(query);
    }
    columns::write_out(statement, tables)?;
    using::write_out(statement)?;
    forms::rewrite(statement)?;
    elements::as_arguments(statement)?;
    set_all::mark(statement)?;
    deep::bracket(statement)
}

#[cfg(test)]
pub(crate) mod testing;

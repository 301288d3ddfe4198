//! Analyzer rules: what a statement means, where the engine's own reading differs from the SQL standard and PostgreSQL.

pub mod expressions;
pub mod grown;
pub mod refusals;
pub mod set_all;
mod subqueries;
pub mod ties;

pub use subqueries::{subquery_functions, subquery_rules};

use datafusion::common::{Column, DFSchema};

/// Returns a column for what a rule computes below a node, of a name that neither the input has nor one of those that are
/// `taken`. `of` says what it is for.
pub fn free_column<'a>(of: &str, schema: &DFSchema, taken: impl Iterator<Item = &'a Column> + Clone) -> Column {
    let mut n = taken.clone().count();
    loop {
        let column = Column::from_name(format!("__{of}_{n}"));
        if !taken.clone().any(|known| *known == column) && !schema.has_column_with_unqualified_name(&column.name) {
            return column;
        }
        n += 1;
    }
}

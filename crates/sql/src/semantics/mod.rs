//! Analyzer rules: what a statement means, where the engine's own reading differs from the SQL standard and PostgreSQL.

pub mod expressions;
pub mod refusals;
pub mod set_all;
mod subqueries;
pub mod ties;

pub use subqueries::{subquery_functions, subquery_rules};

//! Analyzer rules: what a statement means, where the engine's own reading differs from the SQL standard and PostgreSQL.

mod subqueries;

pub use subqueries::{subquery_functions, subquery_rules};

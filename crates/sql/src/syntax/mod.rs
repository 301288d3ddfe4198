//! Syntax trees: which clauses are honoured, and forms that are rewritten before the engine plans them.

pub mod casts;

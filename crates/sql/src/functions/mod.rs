//! SQL functions beside the engine's, and those that take the place of the engine's where its own give wrong answers.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Returns scalar functions.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    Vec::new()
}

/// Returns aggregate functions.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    Vec::new()
}

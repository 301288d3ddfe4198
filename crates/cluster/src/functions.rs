//! The SQL functions of a session: the engine's, and those of `parcours-sql` beside or in the place of them. A plan travels
//! with the names of its functions, so that scheduler and executors must know the same ones; both ask here.

use std::collections::HashMap;
use std::sync::Arc;

use ballista_core::extension::{ballista_aggregate_functions, ballista_scalar_functions};
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use crate::windows::window_functions;

/// Returns the scalar functions; a later one takes the place of an earlier one of its name.
pub(crate) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = ballista_scalar_functions();
    functions.extend(parcours_sql::functions::scalar_functions());
    functions.extend(parcours_sql::semantics::expressions::internal_functions());
    functions.extend(parcours_sql::semantics::subquery_functions());
    functions
}

/// Returns the aggregate functions; a later one takes the place of an earlier one of its name.
pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = ballista_aggregate_functions();
    functions.extend(parcours_sql::functions::aggregate_functions());
    functions
}

/// Returns the functions by name, as an executor of Ballista looks them up. Its own default lacks the functions of lists.
pub fn registry() -> BallistaFunctionRegistry {
    fn by_name<T>(functions: Vec<Arc<T>>, name: impl Fn(&T) -> &str) -> HashMap<String, Arc<T>> {
        let named = functions.into_iter();
        named.map(|function| (name(&function).to_owned(), function)).collect()
    }
    BallistaFunctionRegistry {
        scalar_functions: by_name(scalar_functions(), ScalarUDF::name),
        aggregate_functions: by_name(aggregate_functions(), AggregateUDF::name),
        window_functions: by_name(window_functions(), |function| function.name()),
        ..BallistaFunctionRegistry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{engine_config, engine_state};
    use datafusion::execution::FunctionRegistry;

    /// A function that the scheduler plans and an executor does not know would fail each query that uses it.
    #[test]
    fn executors_know_every_function_of_a_session() {
        let state = engine_state(engine_config(), Arc::default());
        let registry = registry();
        let state = state.ok();
        let names = |of: fn(&dyn FunctionRegistry) -> std::collections::HashSet<String>| {
            state.as_ref().map(|state| of(state)).unwrap_or_default()
        };
        let mut checked = 0;
        for name in names(|known| known.udfs()) {
            let canonical = state.as_ref().and_then(|state| state.udf(&name).ok());
            assert!(
                canonical.is_some_and(|known| registry.udf(known.name()).is_ok()),
                "{name}"
            );
            checked += 1;
        }
        for name in names(|known| known.udafs()) {
            let canonical = state.as_ref().and_then(|state| state.udaf(&name).ok());
            assert!(
                canonical.is_some_and(|known| registry.udaf(known.name()).is_ok()),
                "{name}"
            );
            checked += 1;
        }
        for name in names(|known| known.udwfs()) {
            let canonical = state.as_ref().and_then(|state| state.udwf(&name).ok());
            assert!(
                canonical.is_some_and(|known| registry.udwf(known.name()).is_ok()),
                "{name}"
            );
            checked += 1;
        }
        assert!(checked > 200, "{checked} functions");
    }
}

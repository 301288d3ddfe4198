//! Plans that optimizing leaves as they are. Ballista 55 optimizes the plan of a query again after each stage, and what is
//! changed in a stage that has run is lost ([`super::root`]). The engine's rules are run until they find nothing more.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::same_names::MOVES_FILTERS;
use crate::deadline;

/// How often the rules are run at most. Two passes are enough for every plan of the tests.
const MAX_PASSES: usize = 4;

/// Returns the plan after as many passes of the engine's rules as change something.
pub(super) fn settled(plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
    let rules = repeatable();
    settled_by(plan, |plan| {
        rules.iter().try_fold(plan, |plan, rule| {
            deadline::check()?;
            rule.optimize(plan, options)
        })
    })
}

/// Returns the plan after as many passes as change something.
fn settled_by(
    mut plan: Arc<dyn ExecutionPlan>,
    mut pass: impl FnMut(Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut shown = told(&plan);
    for _ in 0..MAX_PASSES {
        plan = pass(plan)?;
        let now = told(&plan);
        if now == shown {
            break;
        }
        shown = now;
    }
    Ok(plan)
}

/// The rules that Ballista runs again: a filter that is pushed into a scan twice is evaluated twice.
fn repeatable() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| rule.name() != MOVES_FILTERS);
    rules
}

fn told(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(true).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    #[test]
    fn passes_go_on_as_long_as_they_change_something() {
        for changes in 0..MAX_PASSES {
            let mut passes = 0;
            let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
            let settled = settled_by(empty, |plan| {
                passes += 1;
                match passes <= changes {
                    true => Ok(Arc::new(CoalescePartitionsExec::new(plan)) as _),
                    false => Ok(plan),
                }
            });
            let steps = told(&settled.unwrap()).lines().count();
            assert_eq!((passes, steps), (changes + 1, changes + 1));
        }
    }

    #[test]
    fn every_rule_is_run_again_but_the_one_that_moves_filters() {
        let all = PhysicalOptimizer::new().rules.len();
        let again = repeatable();
        assert!(all > 1 && again.iter().all(|rule| rule.name() != MOVES_FILTERS));
        let moving = PhysicalOptimizer::new().rules;
        let moving = moving.iter().filter(|rule| rule.name() == MOVES_FILTERS).count();
        assert_eq!(again.len() + moving, all);
    }
}

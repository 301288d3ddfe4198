//! Plans that optimizing leaves as they are. Ballista 55 optimizes the plan of a query again after each stage, and what is
//! changed in a stage that has run is lost ([`super::root`]). The engine's rules are run until they find nothing more.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::same_names::MOVES_FILTERS;

/// How often the rules are run at most. Two passes are enough for every plan of the tests.
const MAX_PASSES: usize = 4;

/// Returns the plan after as many passes of the engine's rules as change something.
pub(super) fn settled(mut plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
    let rules = repeatable();
    let mut shown = told(&plan);
    for _ in 0..MAX_PASSES {
        plan = rules.iter().try_fold(plan, |plan, rule| rule.optimize(plan, options))?;
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

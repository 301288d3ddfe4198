//! What expressions mean: numbers, dates, frames of windows, names of outputs, and in which order conditions are looked at.
//! Each file is one subject. A session takes the rules at the places that the functions here name, and knows the internal
//! functions on every node, since a physical plan travels with their names.

mod alike;
mod casts;
mod dates;
mod distinct;
mod durations;
mod each;
mod floats;
mod frames;
mod guards;
mod joined;
mod lists;
mod lossy;
mod moments;
mod null_safe;
mod outputs;
mod overflow;
mod subscripts;
#[cfg(test)]
mod testing;

#[cfg(test)]
pub(crate) use outputs::DeclaredNames;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::{ExprPlanner, TypePlanner};
use datafusion::optimizer::{AnalyzerRule, OptimizerRule};

/// Rules over the plan as the statement says it, before the engine makes types fit each other.
pub fn before_coercion() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(outputs::UniqueKeys),
        Arc::new(outputs::KeysOfSets),
        Arc::new(casts::RoundingCasts),
        Arc::new(alike::AlikeTypes),
        Arc::new(durations::ComparedDurations),
        Arc::new(frames::FittingFrames),
    ]
}

/// Rules over the plan when types fit each other.
pub fn after_coercion() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(lists::ConstantLists),
        Arc::new(distinct::DistinctOrders),
        Arc::new(outputs::PlainCasts),
        Arc::new(moments::TextsOfMoments),
        Arc::new(joined::BoundedTexts),
        Arc::new(floats::OneZero),
        Arc::new(overflow::Checks),
        Arc::new(guards::GuardedConditions),
        Arc::new(null_safe::NullSafeConditions),
        Arc::new(outputs::DeclaredNames),
    ]
}

/// Adds the rules of the optimizer to others: one over constants that have been computed and conditions that have been
/// moved, before what occurs several times is computed once (of that the range is not known), and two behind all of them.
pub fn add_optimizer_rules(rules: &mut Vec<Arc<dyn OptimizerRule + Send + Sync>>) {
    let common = |rule: &Arc<dyn OptimizerRule + Send + Sync>| rule.name() == "common_sub_expression_eliminate";
    let before = rules.iter().position(common).unwrap_or(rules.len());
    rules.insert(before, Arc::new(overflow::Unchecks));
    rules.push(Arc::new(guards::GuardedConditions));
    rules.push(Arc::new(lossy::LossyCasts));
}

/// The functions that the rules put into plans.
pub fn internal_functions() -> Vec<Arc<ScalarUDF>> {
    overflow::functions()
        .chain(dates::functions())
        .chain([
            casts::function(),
            moments::function(),
            floats::function(),
            joined::function(),
            outputs::function(),
        ])
        .collect()
}

/// What plans operators whose type here is not the engine's. They come before the engine's own planners.
pub fn expression_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(dates::DateArithmetic),
        Arc::new(outputs::NamedCasts),
        Arc::new(subscripts::Subscripts),
    ]
}

/// What plans the types that a statement names.
pub fn type_planner() -> Arc<dyn TypePlanner> {
    Arc::new(dates::Microseconds)
}

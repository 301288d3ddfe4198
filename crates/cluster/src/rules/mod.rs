//! Optimizer rules that know how tables lie: by patient, in shards. They are rules over logical plans, because adaptive
//! planning drops physical ones.

mod below;
mod constant_keys;
mod constants;
mod days;
mod distinct;
mod empty;
mod filters;
mod grouped;
mod joins;
mod keys;
mod patient;
mod series;
mod unions;
mod windows;

use std::sync::Arc;

use datafusion::optimizer::OptimizerRule;
pub(crate) use windows::WholeWindows;

/// The engines' rules with ours among them.
pub fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = ballista_core::optimizer::ballista_default_optimizer_rules();
    // It takes columns out of ORDER BY that it believes to depend on others: DataFusion 55 carries the dependencies of one side
    // of a join over to what is grouped above it, where they do not hold.
    rules.retain(|rule| rule.name() != "eliminate_duplicated_expr");
    let place = |rules: &[Arc<dyn OptimizerRule + Send + Sync>], name: &str| {
        let found = rules.iter().position(|rule| rule.name() == name);
        found.unwrap_or(rules.len())
    };
    // In the place of the engine's of the same names.
    let ours: [Arc<dyn OptimizerRule + Send + Sync>; 3] = [
        Arc::new(empty::EmptyParts::default()),
        Arc::new(filters::PushedFilters::default()),
        Arc::new(grouped::GroupedDistinct::default()),
    ];
    for rule in ours {
        if let Some(engines) = rules.iter_mut().find(|engines| engines.name() == rule.name()) {
            *engines = rule;
        }
    }
    // Where conditions on dates can still be simplified, and pushed down.
    let at = place(&rules, "simplify_expressions");
    rules.insert(at, Arc::new(days::WholeDays));
    // Where expressions have become constants, before joins are put in another order.
    let at = place(&rules, "simplify_expressions");
    rules.insert(rules.len().min(at + 1), Arc::new(constant_keys::ConstantKeys));
    // Before the one that it goes further than.
    let at = place(&rules, "single_distinct_aggregation_to_group_by");
    rules.insert(at, Arc::new(distinct::DistinctPatients));
    // Behind the one that finds keys in conditions, which would undo it.
    let at = place(&rules, "eliminate_group_by_constant");
    rules.insert(at, Arc::new(joins::PatientJoins));
    // Where constants have been computed, and conditions are where they stay.
    rules.push(Arc::new(constants::VaryingOrders));
    rules.push(Arc::new(keys::ComputedKeys));
    parcours_sql::semantics::expressions::add_optimizer_rules(&mut rules);
    rules.push(Arc::new(series::WholeSeries));
    // Last, since the engine's rules see through its own union only.
    rules.push(Arc::new(unions::PlacedUnions));
    rules
}

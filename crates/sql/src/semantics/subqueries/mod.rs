//! An analyzer rule: subqueries become joins. Every scalar subquery, `EXISTS`, `IN` and quantified comparison, and every LATERAL
//! join, is replaced by plain joins, groupings and windows that answer as SQL's three-valued logic asks, wherever it stands.
//! What the engine makes of them itself is wrong or refused in too many places: `NOT IN`, aggregates that always have a row,
//! several rows where one is meant, inequalities, subqueries in SELECT, CASE or ON.
//!
//! The method is that of Neumann and Kemper ("Unnesting arbitrary queries"), with the short cuts that tables of patients need.
//! From the cheapest to the dearest:
//!
//! 1. A subquery that gives one row of expressions only, is these expressions (`one_row`).
//! 2. `EXISTS` and `IN` as conditions of a WHERE are semi joins and anti joins; the correlated conditions of the subquery are
//!    pulled up into the join (`pull`, `predicate`).
//! 3. What does not refer to the row outside is computed once, and cross joined (`value`, `aggregates`).
//! 4. What is correlated by equality is grouped by the inner columns and left joined, as `u.p = t.p` groups `u` by `p`.
//! 5. Anything else is computed for each distinct binding of the outer columns, which is pushed down the subquery to where it is
//!    needed (`domain`, `push`), grouped by it, and left joined. The rows outside are read twice for that; where they would be
//!    other ones the second time, they are numbered instead (`numbered`).
//!
//! The plan above sees the same columns as before. A plan without subqueries is not touched. Subqueries of which no plan can be
//! made are refused, with what to write instead.

mod aggregates;
mod alike;
mod detached;
mod domain;
mod exists;
mod lateral;
mod limits;
mod membership;
mod numbered;
mod on;
mod one_row;
mod order;
mod outer;
mod predicate;
mod prune;
mod pull;
mod pulled;
mod push;
mod push_joins;
mod quantified;
mod rows;
mod single;
mod site;
mod statement;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

pub(crate) use self::limits::row_number;
use self::single::single_value;
use self::statement::Statement;

/// The rules that take subqueries out of plans, to be run after the engine's own analyzer rules.
///
/// `single_row` is the aggregate that answers its only row, NULL without rows, and fails at a second one.
pub fn subquery_rules(single_row: Arc<AggregateUDF>) -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![Arc::new(SubqueriesToJoins { single_row })]
}

/// The functions that plans without subqueries call, which executors have to know as well.
pub fn subquery_functions() -> Vec<Arc<ScalarUDF>> {
    vec![single_value()]
}

/// Turns the subqueries of a plan into joins.
#[derive(Debug)]
struct SubqueriesToJoins {
    single_row: Arc<AggregateUDF>,
}

impl AnalyzerRule for SubqueriesToJoins {
    fn name(&self) -> &str {
        "subqueries_to_joins"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !statement::holds_subqueries(&plan)? {
            return Ok(plan);
        }
        let plan = Statement::new(Arc::clone(&self.single_row)).without_subqueries(plan)?;
        outer::refuse_dangling(&plan)?;
        Ok(plan)
    }
}

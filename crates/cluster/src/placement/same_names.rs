//! Filters move only through nodes whose columns have different names.
//!
//! A filter that moves to the input of a node has its columns looked up there by name, not by position (DataFusion 55,
//! `FilterRemapper`). Where both sides of a join have a column of one name, the filter may reach the other side and
//! vanish: `t.g IS NULL` above `t RIGHT JOIN u` filtered `u.g`. While the engine's rule runs, a mark stands above each node
//! that has two columns of one name or reads them from an input ([`SafePushdown`]). What a filter means is not lost by
//! that: the logical plan, whose columns carry the names of their tables, had its filters moved as far as they may go.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::marks::{Mark, MarkExec};
use crate::deadline::watched_physical;

/// The name of the engine's rule that moves filters into scans.
pub(super) const MOVES_FILTERS: &str = "FilterPushdown";

/// The mark of a node through which no filter moves.
#[derive(Debug)]
struct SameNames;

type SameNamesExec = MarkExec<SameNames>;

impl Mark for SameNames {
    const NAME: &str = "SameNamesExec";
    const ORDERED: bool = true;
    const MOVES: bool = false;
}

/// The engine's rule, over a plan in which it mistakes no column for another of its name.
#[derive(Debug)]
struct SafePushdown(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for SafePushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let marked = SameNamesExec::above_each(plan, |node| has_same_names(node) || reads_same_names(node))?;
        SameNamesExec::taken_off(self.0.optimize(marked, options)?, |_| true)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Returns the session with its physical rules, which look at the deadline of planning, the one that moves filters as above.
///
/// # Errors
/// If the session is not one of the engine's own.
pub(super) fn with_safe_pushdown(session: &dyn Session) -> Result<SessionState> {
    let state = session.as_any().downcast_ref::<SessionState>();
    let state = state.ok_or_else(|| DataFusionError::Internal("the session has no state".to_owned()))?;
    let rules = state.physical_optimizers().iter().map(|rule| match rule.name() {
        MOVES_FILTERS => Arc::new(SafePushdown(Arc::clone(rule))) as _,
        _ => Arc::clone(rule),
    });
    let rules = rules.map(watched_physical).collect();
    Ok(SessionStateBuilder::new_from_existing(state.clone())
        .with_physical_optimizer_rules(rules)
        .build())
}

/// Whether two columns of a plan have one name.
fn has_same_names(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = plan.schema();
    let mut names = HashSet::new();
    schema.fields().iter().any(|field| !names.insert(field.name()))
}

fn reads_same_names(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.children().into_iter().any(has_same_names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_plan::displayable;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::physical_plan::limit::LocalLimitExec;
    use datafusion::physical_plan::projection::ProjectionExec;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    const CONDITIONS: [&str; 3] = ["t.g IS NULL", "t.g IS NULL OR t.g = 3", "array_has([t.g, 1], 2)"];

    /// Notes the plans that it is given.
    #[derive(Debug, Default)]
    struct Notes(parking_lot::Mutex<Vec<String>>);

    impl PhysicalOptimizerRule for Notes {
        fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
            self.0.lock().push(displayable(plan.as_ref()).indent(true).to_string());
            Ok(plan)
        }

        fn name(&self) -> &str {
            MOVES_FILTERS
        }

        fn schema_check(&self) -> bool {
            true
        }
    }

    fn leaf(names: &[&str]) -> Arc<dyn ExecutionPlan> {
        let fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Int64, true))
            .collect();
        Arc::new(EmptyExec::new(Arc::new(Schema::new(fields))))
    }

    /// Above what has a name twice, nothing moves below the mark; rows come in their order.
    #[test]
    fn nothing_moves_below_a_mark() {
        let mark = Arc::new(SameNamesExec::over(leaf(&["g", "g"]))) as Arc<dyn ExecutionPlan>;
        assert!(!mark.supports_limit_pushdown());
        assert_eq!(mark.maintains_input_order(), [true]);
        let column = (Arc::new(Column::new("g", 1)) as _, "h".to_owned());
        let projection = ProjectionExec::try_new(vec![column], Arc::clone(&mark)).unwrap();
        assert!(mark.try_swapping_with_projection(&projection).unwrap().is_none());
    }

    /// A mark stands above what has a name twice, and above what reads it, and nowhere else.
    #[test]
    fn what_has_or_reads_a_name_twice_is_marked() {
        let notes = Arc::new(Notes::default());
        let rule = SafePushdown(Arc::clone(&notes) as _);
        let limited = |plan| Arc::new(LocalLimitExec::new(plan, 3)) as Arc<dyn ExecutionPlan>;
        let first = |plan: Arc<dyn ExecutionPlan>| {
            let column = Arc::new(Column::new("g", 0)) as _;
            Arc::new(ProjectionExec::try_new(vec![(column, "h".to_owned())], plan).unwrap()) as Arc<dyn ExecutionPlan>
        };
        let plans = [limited(first(leaf(&["g", "p"]))), limited(first(leaf(&["g", "g"])))];
        for plan in plans {
            let optimized = rule.optimize(Arc::clone(&plan), &ConfigOptions::default()).unwrap();
            let shown = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
            assert_eq!(shown(&optimized), shown(&plan));
        }
        let marks = |shown: &String| -> Vec<String> {
            let names = shown
                .lines()
                .map(|line| line.trim().split([':', ' ']).next().unwrap().to_owned());
            names.collect()
        };
        let noted = notes.0.lock();
        let marked: Vec<Vec<String>> = noted.iter().map(marks).collect();
        assert_eq!(marked[0], ["LocalLimitExec", "ProjectionExec", "EmptyExec"]);
        let both = [
            "LocalLimitExec",
            "SameNamesExec",
            "ProjectionExec",
            "SameNamesExec",
            "EmptyExec",
        ];
        assert_eq!(marked[1], both);
    }

    #[test]
    fn the_engines_rule_is_the_one_that_is_guarded() {
        let state = SessionContext::new().state();
        let guarded = with_safe_pushdown(&state).unwrap();
        let told = |state: &SessionState| -> Vec<String> {
            state
                .physical_optimizers()
                .iter()
                .map(|rule| format!("{rule:?}"))
                .collect()
        };
        let (before, after) = (told(&state), told(&guarded));
        assert!(after.iter().all(|rule| rule.starts_with("Watched(")), "{after:?}");
        let after = after
            .into_iter()
            .map(|rule| rule["Watched(".len()..rule.len() - 1].to_owned());
        let after: Vec<String> = after.collect();
        assert_eq!(before.len(), after.len());
        let changed: Vec<&String> = after
            .iter()
            .zip(&before)
            .filter(|(a, b)| a != b)
            .map(|(a, _)| a)
            .collect();
        assert!(
            changed.len() == 1 && changed[0].starts_with("SafePushdown"),
            "{changed:?}"
        );
    }

    async fn planned(ctx: &SessionContext, sql: &str) -> Result<Arc<dyn ExecutionPlan>> {
        let state = with_safe_pushdown(&ctx.state())?;
        let plan = state.create_logical_plan(sql).await?;
        state.create_physical_plan(&plan).await
    }

    /// Filters above the side of an outer join that is filled with NULLs, where the other side has a column of its name.
    #[tokio::test]
    async fn a_filter_stays_above_the_outer_join() -> Result<()> {
        let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        for table in ["t", "u"] {
            let rows = "VALUES (1, 1), (2, NULL), (3, 3), (4, 4)";
            let create = format!("CREATE TABLE {table} AS SELECT column1 AS p, column2 AS g FROM ({rows})");
            ctx.sql(&create).await?.collect().await?;
        }
        for condition in CONDITIONS {
            let join = "SELECT u.g, t.g AS h FROM t RIGHT JOIN u ON u.p = t.p + 1";
            let plan = planned(&ctx, &format!("{join} WHERE {condition}")).await?;
            let shown = displayable(plan.as_ref()).indent(true).to_string();
            let filter = shown.find("FilterExec").unwrap();
            assert!(filter < shown.find("JoinExec").unwrap(), "{shown}");
            assert!(!shown.contains("SameNamesExec"), "{shown}");
        }
        Ok(())
    }
}

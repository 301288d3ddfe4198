//! From the logical union to the one at work. Everything else is planned as the engine does.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use parcours_sql::semantics::grown;

use super::root::RootExec;
use super::settled::settled;
use super::unions::{logical::PlacedUnion, physical};
use super::unordered::marked;
use super::{joins, limits, same_names};
use crate::deadline;
use crate::elsewhere::in_place;
use crate::failure::{Cause, Failure};

/// The most steps of a plan within each other. Threads have a stack of 32 MiB, and whatever walks a plan takes some
/// kilobytes of it for each step.
const MAX_STEPS: usize = 800;

/// The engine's planner, which knows the union, too.
#[derive(Debug, Default)]
pub(crate) struct Planner;

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let state = same_names::with_safe_pushdown(session)?;
        let plan = plan.clone();
        in_place(session.config(), async move { planned(&plan, &state).await }).await
    }
}

/// Plans as the engine does, and makes of it what is sound when it is split.
async fn planned(plan: &LogicalPlan, session: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    grown::check_optimized(plan).map_err(|refusal| too_large(refusal.message()))?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Unions)]);
    let plan = planner.create_physical_plan(plan, session).await?;
    // Ballista plans with rules of its own, and has joins decided later.
    let plan = marked(joins::in_one_task(plan)?)?;
    deadline::check()?;
    let plan = settled(plan, session.config_options())?;
    check_steps(steps(&plan))?;
    let plan = if is_once(session) { limits::marked(plan)? } else { plan };
    Ok(Arc::new(RootExec::over(plan)))
}

fn too_large(message: &str) -> DataFusionError {
    DataFusionError::Execution(Failure::new(Cause::Invalid, message).to_string())
}

/// Refuses a plan that is too deep.
fn check_steps(steps: usize) -> Result<()> {
    if steps <= MAX_STEPS {
        return Ok(());
    }
    Err(too_large(&format!(
        "the steps of the query are nested more than {MAX_STEPS} deep, nest fewer subqueries or joins"
    )))
}

/// Whether the query is planned once, before it runs.
fn is_once(session: &dyn Session) -> bool {
    session.config().get_extension::<PlannedOnce>().is_some()
}

/// The steps of a plan that are within each other.
fn steps(plan: &Arc<dyn ExecutionPlan>) -> usize {
    1 + plan.children().into_iter().map(steps).max().unwrap_or(0)
}

/// An extension of a session's configuration, in which a query is planned once, before it runs. Every union then runs in one
/// task: nothing about its parts can be mistaken.
#[derive(Debug)]
pub struct PlannedOnce;

struct Unions;

#[async_trait::async_trait]
impl ExtensionPlanner for Unions {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        parts: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if node.as_any().is::<PlacedUnion>() {
            physical::union(parts.to_vec(), is_once(session)).map(Some)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    #[tokio::test]
    async fn the_longest_way_down_counts() {
        let context = SessionContext::new();
        let of = async |sql: &str| {
            let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            steps(&plan)
        };
        let (one, union) = (
            of("SELECT 1 AS n").await,
            of("SELECT 1 AS n UNION ALL SELECT 2 AS n").await,
        );
        assert!(one >= 1 && union == one + 1, "{one} {union}");
        assert!(check_steps(MAX_STEPS).is_ok());
        assert!(check_steps(MAX_STEPS + 1).is_err() && check_steps(2 * MAX_STEPS).is_err());
    }

    #[test]
    fn a_session_says_whether_its_queries_are_planned_once() {
        let session = |config: SessionConfig| SessionContext::new_with_config(config).state();
        assert!(!is_once(&session(SessionConfig::new())));
        assert!(is_once(&session(
            SessionConfig::new().with_extension(Arc::new(PlannedOnce))
        )));
    }
}

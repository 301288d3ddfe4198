//! From the logical union to the one at work. Everything else is planned as the engine does.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::joins;
use super::root::RootExec;
use super::settled::settled;
use super::unions::{logical::PlacedUnion, physical};

/// The engine's planner, which knows the union, too.
#[derive(Debug, Default)]
pub(crate) struct Planner;

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Unions)]);
        let plan = joins::in_one_task(planner.create_physical_plan(plan, session).await?)?;
        let plan = settled(plan, session.config_options())?;
        Ok(Arc::new(RootExec::over(plan)))
    }
}

/// An extension of a session's configuration, in which every union runs in one task: nothing about its parts can then be
/// mistaken.
#[derive(Debug)]
pub struct UnionsInOneTask;

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
            let all_in_one_task = session.config().get_extension::<UnionsInOneTask>().is_some();
            physical::union(parts.to_vec(), all_in_one_task).map(Some)
        } else {
            Ok(None)
        }
    }
}

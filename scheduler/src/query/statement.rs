//! A statement that was planned and admitted for one person: the only thing that can be run.

use arrow::datatypes::{Field, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use parcours_identity::Principal;

use super::planner::Admitted;
use crate::port::PlannedStatement;

/// Where a statement's answer is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On executors.
    Cluster,
    /// In the scheduler, which has the catalog: descriptions of tables, explanations of plans. No data is read.
    Here,
}

/// A planned and admitted statement. Made by [`super::planner`] only. Its text and plan hold literals, so that it has no
/// form for logs but its owner.
pub struct Statement {
    pub(super) owner: Principal,
    pub(super) sql: String,
    pub(super) plan: LogicalPlan,
    pub(super) schema: SchemaRef,
    pub(super) parameters: Vec<Field>,
    pub(super) run: Where,
    /// The plan as it was admitted; none before its parameters are bound, or if each run has another.
    pub(super) admitted: Option<Admitted>,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl PlannedStatement for Statement {
    fn sql(&self) -> &str {
        &self.sql
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn parameters(&self) -> &[Field] {
        &self.parameters
    }
}

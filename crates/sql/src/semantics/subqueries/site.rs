//! Where a subquery stands: the rows outside it, and what has been joined to them so far.

use std::sync::Arc;

use datafusion::common::{Column, DFSchemaRef, NullEquality, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan, Projection};

use super::outer::{add_references, references};

/// The rows that a subquery may refer to.
pub(super) struct Site {
    /// The rows themselves.
    pub(super) base: Arc<LogicalPlan>,
    /// The rows with the answers of subqueries beside them. Each row of `base` is in it once, or not at all.
    pub(super) plan: LogicalPlan,
}

impl Site {
    pub(super) fn new(base: Arc<LogicalPlan>) -> Self {
        let plan = base.as_ref().clone();
        Self { base, plan }
    }

    pub(super) fn schema(&self) -> &DFSchemaRef {
        self.plan.schema()
    }

    /// The columns of the rows outside that a subquery and expressions over it refer to.
    pub(super) fn level(&self, plan: &LogicalPlan, exprs: &[Expr]) -> Result<Vec<Column>> {
        let mut found = references(plan, self.schema())?;
        for expr in exprs {
            add_references(expr, self.schema(), &mut found)?;
        }
        Ok(found)
    }

    /// Puts a table beside the rows that has exactly one row.
    pub(super) fn cross_join(&mut self, table: LogicalPlan) -> Result<()> {
        self.plan = joined(self.take(), table, JoinType::Inner, Vec::new())?;
        Ok(())
    }

    /// Puts a table beside the rows of which at most one row fits each.
    pub(super) fn left_join(&mut self, table: LogicalPlan, conditions: Vec<Expr>) -> Result<()> {
        self.plan = joined(self.take(), table, JoinType::Left, conditions)?;
        Ok(())
    }

    /// Keeps the rows to which there is a row in a table, or to which there is none.
    pub(super) fn keep(&mut self, table: LogicalPlan, conditions: Vec<Expr>, unless: bool) -> Result<()> {
        self.plan = joined(self.take(), table, semi(unless), conditions)?;
        Ok(())
    }

    pub(super) fn take(&mut self) -> LogicalPlan {
        std::mem::take(&mut self.plan)
    }
}

/// The join that keeps rows to which there is one on the right, or to which there is none.
pub(super) fn semi(unless: bool) -> JoinType {
    match unless {
        true => JoinType::LeftAnti,
        false => JoinType::LeftSemi,
    }
}

/// A join on conditions. Equalities among them become keys in the optimizer.
pub(super) fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    conditions: Vec<Expr>,
) -> Result<LogicalPlan> {
    Join::try_new(
        Arc::new(left),
        Arc::new(right),
        Vec::new(),
        conjunction(conditions),
        join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )
    .map(LogicalPlan::Join)
}

/// A plan with these columns and no others.
pub(super) fn only(plan: LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    let schema = plan.schema();
    let same = schema.fields().len() == columns.len()
        && schema
            .iter()
            .zip(columns)
            .all(|((table, field), column)| table == column.relation.as_ref() && field.name() == &column.name);
    if same {
        return Ok(plan);
    }
    let columns = columns.iter().cloned().map(Expr::Column);
    Projection::try_new(columns.collect(), Arc::new(plan)).map(LogicalPlan::Projection)
}

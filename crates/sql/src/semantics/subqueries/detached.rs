//! What is left of a subquery, from which conditions have been pulled up, as a table to join.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::outer::bind_to_schema;
use super::pulled::Pulled;
use super::site::Site;
use super::statement::Statement;

/// What is left of a subquery as a table of its own.
pub(super) struct Detached {
    pub(super) plan: LogicalPlan,
    /// The columns that were asked for.
    pub(super) columns: Vec<Column>,
}

impl Statement {
    /// What is left of a subquery as a table with these columns, and the conditions of the join with the rows outside.
    pub(super) fn detached(
        &mut self,
        pulled: &mut Pulled,
        columns: Vec<Column>,
        site: &Site,
    ) -> Result<(Detached, Vec<Expr>)> {
        let needed = pulled.needed();
        let exprs = columns.iter().chain(&needed).cloned().map(Expr::Column).collect();
        let (plan, mut names) = self.table(std::mem::take(&mut pulled.plan), exprs)?;
        let carried = names.split_off(columns.len());
        pulled.replace(&|column| {
            let at = needed.iter().position(|known| known == column)?;
            carried.get(at).cloned().map(Expr::Column)
        })?;
        let equal = pulled.keys.drain(..).map(|(inner, outer)| outer.eq(inner));
        let conditions = equal.chain(pulled.others.drain(..)).chain(pulled.conditions.drain(..));
        let conditions = conditions.map(|condition| bind_to_schema(condition, site.schema()));
        let detached = Detached { plan, columns: names };
        Ok((detached, conditions.collect::<Result<_>>()?))
    }
}

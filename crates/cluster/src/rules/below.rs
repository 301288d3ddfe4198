//! What a column is one node further down.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

/// The input of a projection, a grouping or an alias, and what the column of it is there: an expression, or the column under
/// its name there. None for any other node, for what a grouping computes, and for the keys of GROUPING SETS: in the rows of
/// some sets they are NULL.
pub(super) fn below<'a>(plan: &'a LogicalPlan, column: &Column) -> Result<Option<(&'a LogicalPlan, Expr)>> {
    let (input, expr) = match plan {
        LogicalPlan::Projection(projection) => {
            let at = projection.schema.index_of_column(column)?;
            (&projection.input, projection.expr.get(at).cloned())
        }
        LogicalPlan::Aggregate(aggregate) if !groups_sets(aggregate) => {
            let at = aggregate.schema.index_of_column(column)?;
            (&aggregate.input, aggregate.group_expr.get(at).cloned())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let at = alias.schema.index_of_column(column)?;
            let below = Column::from(alias.input.schema().qualified_field(at));
            (&alias.input, Some(Expr::Column(below)))
        }
        _ => return Ok(None),
    };
    Ok(expr.map(|expr| (input.as_ref(), expr.unalias())))
}

/// Whether an aggregate is one of GROUPING SETS.
pub(super) fn groups_sets(aggregate: &Aggregate) -> bool {
    let is_set = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
    aggregate.group_expr.iter().any(is_set)
}

//! Subqueries that nobody can compute: those that refer to the row outside them, and that the optimizer could not turn into a
//! join. The engine would break down over each of them without a word that helps.

use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::errors::of_planning;
use crate::port::QueryError;

/// Refuses an optimized plan in which a subquery still refers to rows outside it.
pub fn refuse_dangling(plan: &LogicalPlan) -> Result<(), QueryError> {
    match dangles(plan) {
        Ok(false) => Ok(()),
        Ok(true) => Err(QueryError::Unsupported {
            message: "a subquery refers to rows outside it from where this cannot be turned into a join, such as the \
                      argument of an aggregate or a LATERAL with a LIMIT: compute it by patient in FROM, and join it"
                .to_owned(),
        }),
        Err(error) => Err(of_planning(&error)),
    }
}

fn dangles(plan: &LogicalPlan) -> EngineResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(refers_outside(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// What the optimizer leaves of a subquery that it could not resolve; one that refers to nothing outside is computed first.
fn refers_outside(expr: &Expr) -> bool {
    match expr {
        Expr::OuterReferenceColumn(..) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => true,
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        _ => false,
    }
}

//! What is left of a plan when only the distinct values of some columns are asked for. The optimizer would find most of it, but
//! only in a plan that has doubled with each subquery over the answer of another.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, Projection, SubqueryAlias};

use super::outer::has;

/// A plan with the same distinct values of these columns, and with few others.
pub(super) fn pruned(plan: &Arc<LogicalPlan>, needed: &[Column]) -> Result<Arc<LogicalPlan>> {
    if needed.is_empty() || !needed.iter().all(|column| has(plan.schema(), column)) {
        return Ok(Arc::clone(plan));
    }
    Ok(match plan.as_ref() {
        LogicalPlan::Projection(projection) => {
            let kept = projection.expr.iter().zip(projection.schema.columns());
            let kept = kept.filter(|(_, column)| needed.contains(column));
            let kept: Vec<Expr> = kept.map(|(expr, _)| expr.clone()).collect();
            let input = pruned(&projection.input, &with_columns_of(&[], &kept))?;
            Arc::new(LogicalPlan::Projection(Projection::try_new(kept, input)?))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let columns = alias.input.schema().columns().into_iter().zip(alias.schema.columns());
            let below = columns
                .filter(|(_, above)| needed.contains(above))
                .map(|(below, _)| below);
            let below: Vec<Column> = below.collect();
            let input = pruned(&alias.input, &below)?;
            Arc::new(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(
                input,
                alias.alias.clone(),
            )?))
        }
        LogicalPlan::Filter(filter) => {
            let needed = with_columns_of(needed, std::slice::from_ref(&filter.predicate));
            let input = pruned(&filter.input, &needed)?;
            Arc::new(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), input)?))
        }
        LogicalPlan::Join(join) => {
            return pruned_join(join, needed).map(|pruned| pruned.unwrap_or_else(|| Arc::clone(plan)));
        }
        _ => Arc::clone(plan),
    })
}

fn pruned_join(join: &Join, needed: &[Column]) -> Result<Option<Arc<LogicalPlan>>> {
    let of = |columns: &[Column], side: &LogicalPlan| {
        let columns = columns.iter().filter(|column| has(side.schema(), column));
        columns.cloned().collect::<Vec<_>>()
    };
    let from_right = !of(needed, &join.right).is_empty();
    match join.join_type {
        // A row of the left side comes once or several times, but it comes.
        JoinType::Left if !from_right => return pruned(&join.left, needed).map(Some),
        JoinType::Left | JoinType::Inner | JoinType::LeftSemi | JoinType::LeftAnti => {}
        _ => return Ok(None),
    }
    let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
    let exprs: Vec<Expr> = keys.chain(&join.filter).cloned().collect();
    let all = with_columns_of(needed, &exprs);
    let (left, right) = (of(&all, &join.left), of(&all, &join.right));
    if left.is_empty() || right.is_empty() || left.len() + right.len() < all.len() {
        return Ok(None);
    }
    let plan = Join::try_new(
        pruned(&join.left, &left)?,
        pruned(&join.right, &right)?,
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(Some(Arc::new(LogicalPlan::Join(plan))))
}

/// Columns, and those of expressions.
fn with_columns_of(columns: &[Column], exprs: &[Expr]) -> Vec<Column> {
    let mut all = columns.to_vec();
    for column in exprs.iter().flat_map(Expr::column_refs) {
        if !all.contains(column) {
            all.push(column.clone());
        }
    }
    all
}

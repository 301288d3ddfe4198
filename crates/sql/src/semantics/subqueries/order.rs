//! Subqueries in ORDER BY. They may refer to columns that are not selected, which have to be looked at below the selection.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Sort};

use super::outer::{has, references, replace_columns};
use super::site::only;
use super::statement::{Statement, holds};

impl Statement {
    /// An order by subqueries.
    pub(super) fn sort(&mut self, mut sort: Sort) -> Result<LogicalPlan> {
        let LogicalPlan::Projection(projection) = sort.input.as_ref() else {
            return self.expressions(LogicalPlan::Sort(sort));
        };
        let columns = sort.input.schema().columns();
        let mut exprs = projection.expr.clone();
        let number = self.number();
        for (at, key) in sort.expr.iter_mut().enumerate() {
            if !holds(&key.expr)? || !refers_below(&key.expr, projection)? {
                continue;
            }
            let name = format!("__sub_{number}_{at}");
            let below = replace_columns(std::mem::take(&mut key.expr), &|column| {
                let at = projection.schema.maybe_index_of_column(column)?;
                projection.expr.get(at).cloned().map(Expr::unalias)
            })?;
            exprs.push(below.alias(&name));
            key.expr = Expr::Column(Column::from_name(name));
        }
        if exprs.len() > projection.expr.len() {
            let input = Projection::try_new(exprs, Arc::clone(&projection.input))?;
            sort.input = Arc::new(self.expressions(LogicalPlan::Projection(input))?);
        }
        let mut left = false;
        for key in &sort.expr {
            left |= holds(&key.expr)?;
        }
        let plan = match left {
            true => self.expressions(LogicalPlan::Sort(sort))?,
            false => LogicalPlan::Sort(sort),
        };
        only(plan, &columns)
    }
}

/// Whether subqueries refer to columns that are below a selection alone.
fn refers_below(expr: &Expr, projection: &Projection) -> Result<bool> {
    let mut found = false;
    let below: &DFSchema = projection.input.schema();
    expr.apply(|expr| {
        let (Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. })) = expr
        else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let columns = references(&subquery.subquery, below)?;
        found |= columns.iter().any(|column| !has(&projection.schema, column));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

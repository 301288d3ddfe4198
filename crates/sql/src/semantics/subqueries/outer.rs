//! References to rows outside a subquery: which there are, and what takes their place. The engine writes them as columns without
//! saying how far outside they point; a reference belongs to the nearest query around it that has the column.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Whether a schema has this very column: a name without a table does not mean one with a table.
pub(super) fn has(schema: &DFSchema, column: &Column) -> bool {
    schema
        .iter()
        .any(|(table, field)| table == column.relation.as_ref() && field.name() == &column.name)
}

/// The columns of `schema` that a plan refers to from inside, its own subqueries included.
pub(super) fn references(plan: &LogicalPlan, schema: &DFSchema) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            add_references(expr, schema, &mut found)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// All columns that a plan refers to from inside, however far outside they are.
pub(super) fn all_references(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr
                    && !found.contains(column)
                {
                    found.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// Adds the columns of `schema` that an expression refers to from inside.
pub(super) fn add_references(expr: &Expr, schema: &DFSchema, found: &mut Vec<Column>) -> Result<()> {
    expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr
            && !found.contains(column)
            && has(schema, column)
        {
            found.push(column.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether an expression refers to one of these columns from inside.
pub(super) fn refers(expr: &Expr, level: &[Column]) -> Result<bool> {
    expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(_, column) if level.contains(column))))
}

/// Whether a plan refers to one of these columns from inside.
pub(super) fn plan_refers(plan: &LogicalPlan, level: &[Column]) -> Result<bool> {
    plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found = refers(expr, level)?;
            Ok(match found {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })?;
        Ok(found)
    })
}

/// Whether a plan refers to any row outside it.
pub(super) fn is_correlated(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(node.contains_outer_reference()))
}

/// Puts what `to` answers in the place of references to rows outside; None leaves them.
pub(super) fn bind(expr: Expr, to: &dyn Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    expr.transform_up(|expr| {
        let bound = match &expr {
            Expr::OuterReferenceColumn(_, column) => to(column),
            _ => None,
        };
        Ok(bound.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })
    .data()
}

/// Puts columns in the place of references to the rows that have them.
pub(super) fn bind_to_schema(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    bind(expr, &|column| {
        has(schema, column).then(|| Expr::Column(column.clone()))
    })
}

/// What an expression over the rows outside is inside a subquery.
pub(super) fn as_outer(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let field = schema.field_from_column(&column)?;
            let outer = Expr::OuterReferenceColumn(field.clone(), column);
            Ok(Transformed::yes(outer))
        }
        expr => Ok(Transformed::no(expr)),
    })
    .data()
}

/// Puts expressions in the place of columns; None leaves them.
pub(super) fn replace_columns(expr: Expr, to: &dyn Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    expr.transform_up(|expr| {
        let replaced = match &expr {
            Expr::Column(column) => to(column),
            _ => None,
        };
        Ok(replaced.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })
    .data()
}

/// Refuses a plan that refers to rows that no query around it has, such as a column that is not grouped by.
pub(super) fn refuse_dangling(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                Expr::OuterReferenceColumn(_, column) => plan_err!(
                    "a subquery refers to {column}, which the query around it does not have at this place: \
                     add it to GROUP BY, or join the subquery in FROM"
                ),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

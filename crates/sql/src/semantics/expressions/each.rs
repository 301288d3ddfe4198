//! How a rule goes through a plan: node by node, subqueries included, and only where an expression concerns it, so that any
//! other statement costs one look at its expressions.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

/// What the expressions of a node see: the columns of its inputs, or of the table that it reads.
pub(super) fn schema_of(node: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = node {
        let table = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&table);
    }
    Ok(schema)
}

/// Whether an operator holds two values against each other.
pub(super) fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// Whether some part of the expression is so.
pub(super) fn any(expr: &Expr, concerned: &impl Fn(&Expr) -> bool) -> Result<bool> {
    expr.exists(|part| Ok(concerned(part)))
}

/// Whether the expression may have another value in another row, or when it is computed again.
pub(super) fn varies(expr: &Expr) -> bool {
    expr.any_column_refs() || expr.contains_outer() || expr.is_volatile()
}

/// Returns the type that a CAST or a TRY_CAST asks for; of any other expression `None`.
pub(super) fn target(expr: &Expr) -> Option<&DataType> {
    match expr {
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => Some(field.data_type()),
        _ => None,
    }
}

/// Rewrites those expressions of the node of which a part concerns the rule. They keep their names.
pub(super) fn rewrite_node(
    node: LogicalPlan,
    concerned: &impl Fn(&Expr) -> bool,
    rewrite: &mut impl FnMut(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= any(expr, concerned)?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(Transformed::no(node));
    }
    let schema = schema_of(&node)?;
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        if !any(&expr, concerned)? {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        Ok(rewrite(expr, &schema)?.update_data(|expr| name.restore(expr)))
    })
}

/// The same for every node of the plan and of its subqueries. Types may change: they are worked out again from below.
pub(super) fn rewrite_plan(
    plan: LogicalPlan,
    concerned: impl Fn(&Expr) -> bool,
    mut rewrite: impl FnMut(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let mut changed = false;
    plan.transform_up_with_subqueries(|node| {
        let node = rewrite_node(node, &concerned, &mut rewrite)?;
        changed |= node.transformed;
        match changed {
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })
    .data()
}

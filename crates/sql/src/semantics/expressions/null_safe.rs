//! `IS NOT DISTINCT FROM` in conditions. DataFusion 55 makes it the key of a join that takes NULL for equal to NULL, and
//! says so once for all keys of the join: beside a key of `=` that is added later, or joined with others into one tree of
//! joins, either loses pairs of NULLs or finds some that are none. Said by two equalities, it is right with any other key:
//!
//! ```text
//! a.x IS NOT DISTINCT FROM b.x
//! CASE WHEN a.x IS NULL THEN 0 ELSE a.x END = CASE WHEN b.x IS NULL THEN 0 ELSE b.x END
//!     AND (a.x IS NULL) = (b.x IS NULL)
//! ```

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit, when};
use datafusion::optimizer::AnalyzerRule;

/// Rewrites `IS NOT DISTINCT FROM` between columns in the conditions of filters and joins.
#[derive(Debug)]
pub(super) struct NullSafeConditions;

impl AnalyzerRule for NullSafeConditions {
    fn name(&self) -> &str {
        "null_safe_conditions"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(with_conditions).data()
    }
}

fn with_conditions(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(mut filter) if has_null_safe(&filter.predicate)? => {
            filter.predicate = rewritten(filter.predicate, filter.input.schema())?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        LogicalPlan::Join(mut join) => match join.filter.take() {
            Some(condition) if has_null_safe(&condition)? => {
                let schema = join.left.schema().join(join.right.schema())?;
                join.filter = Some(rewritten(condition, &schema)?);
                Ok(Transformed::yes(LogicalPlan::Join(join)))
            }
            condition => {
                join.filter = condition;
                Ok(Transformed::no(LogicalPlan::Join(join)))
            }
        },
        other => Ok(Transformed::no(other)),
    }
}

fn has_null_safe(condition: &Expr) -> Result<bool> {
    condition.exists(|part| Ok(sides(part).is_some()))
}

/// The sides of `IS NOT DISTINCT FROM`, or of what the engine makes into it, if both have columns.
fn sides(expr: &Expr) -> Option<(&Expr, &Expr)> {
    let (compared, operator) = match expr {
        Expr::Not(inner) => (inner.as_ref(), Operator::IsDistinctFrom),
        _ => (expr, Operator::IsNotDistinctFrom),
    };
    match compared {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == operator => {
            (left.any_column_refs() && right.any_column_refs()).then_some((left, right))
        }
        _ => None,
    }
}

/// Returns a condition that keeps the same rows.
fn rewritten(condition: Expr, schema: &DFSchema) -> Result<Expr> {
    let parts = split_conjunction_owned(condition).into_iter();
    let parts = parts.map(|part| match sides(&part) {
        // Where one side is never NULL, a pair of NULLs cannot be.
        Some((left, right)) if !left.nullable(schema)? || !right.nullable(schema)? => {
            Ok(binary_expr(left.clone(), Operator::Eq, right.clone()))
        }
        _ => part.transform_up(|part| spelled_out(part, schema)).data(),
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Ok(conjunction(parts).unwrap_or_else(|| lit(true)))
}

fn spelled_out(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Some((left, right)) = sides(&expr) else {
        return Ok(Transformed::no(expr));
    };
    let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
    let Ok(filler) = ScalarValue::new_default(&of_left) else {
        return Ok(Transformed::no(expr));
    };
    if of_left != of_right {
        return Ok(Transformed::no(expr));
    }
    let filled = |side: &Expr| when(side.clone().is_null(), lit(filler.clone())).otherwise(side.clone());
    let values = binary_expr(filled(left)?, Operator::Eq, filled(right)?);
    let nulls = binary_expr(left.clone().is_null(), Operator::Eq, right.clone().is_null());
    Ok(Transformed::yes(values.and(nulls)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::{numbers, rows};

    #[tokio::test]
    async fn pairs_of_nulls_are_found_and_no_others() {
        let context = numbers(true).await;
        for (sql, expected) in [
            (
                "SELECT a.id, b.id FROM n a JOIN n b ON a.int IS NOT DISTINCT FROM b.int JOIN n c ON c.id = a.id ORDER BY 1",
                "1 1 | 2 2 | 3 3 | 4 4",
            ),
            (
                "SELECT a.id, b.id FROM n a JOIN n b ON a.int IS NOT DISTINCT FROM b.int WHERE a.x = b.x ORDER BY 1",
                "1 1 | 2 2 | 4 4",
            ),
            (
                "SELECT a.id, b.id FROM n a JOIN n b ON NOT (a.int IS DISTINCT FROM b.int) WHERE a.x = b.x ORDER BY 1",
                "1 1 | 2 2 | 4 4",
            ),
            (
                "SELECT count(*) FROM n a JOIN n b ON (a.int IS NOT DISTINCT FROM b.int) AND a.id = b.id",
                "4",
            ),
            (
                "SELECT a.id, b.id FROM n a LEFT JOIN n b ON a.int IS NOT DISTINCT FROM b.small JOIN n c ON c.x = a.x ORDER BY 1",
                "1 NULL | 2 NULL | 4 4",
            ),
            (
                "SELECT count(*) FROM n a JOIN n b ON (a.d IS NOT DISTINCT FROM b.d) = (a.id = b.id)",
                "16",
            ),
        ] {
            assert_eq!(rows(&context, sql).await.unwrap(), expected, "{sql}");
        }
    }
}

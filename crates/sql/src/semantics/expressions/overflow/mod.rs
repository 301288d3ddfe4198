//! Whole numbers never wrap. The engine's `+`, `-`, `*` and unary minus do, and its folding of constants with them, so that a
//! sum too large for its type is some other number. Two rules mend that:
//!
//! 1. [`Checks`], an analyzer rule behind type coercion, puts [functions](operation) that fail instead in the place of those
//!    operators whose [ranges](range) do not exclude it.
//! 2. [`Unchecks`], an optimizer rule, puts the operators back where it is excluded once constants have been computed:
//!    the engine knows more of its own operators, and computes them faster.
//!
//! Dates are whole numbers of days here: `date ± n` is checked against the calendar in the same way. Division and remainder
//! need nothing: the engine fails where the divisor is zero, and where a quotient is out of range.

mod operation;
mod range;
mod rewriter;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

pub(super) use operation::{Operation, functions};
use rewriter::Rewriter;

use super::each::rewrite_node;

/// `date + days` or `date - days`, checked.
pub(super) fn moved_date(operation: Operation, date: Expr, days: Expr) -> Expr {
    checked(operation, vec![date, days])
}

fn checked(operation: Operation, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(operation.function()), args))
}

/// Checks arithmetic that may leave the range of its type.
#[derive(Debug, Default)]
pub(super) struct Checks;

impl AnalyzerRule for Checks {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let concerned = |expr: &Expr| Operation::of(expr).is_some();
        plan.transform_up_with_subqueries(|node| {
            rewrite_node(node, &concerned, &mut |expr, schema| {
                expr.rewrite(&mut Rewriter::checking(schema))
            })
        })
        .data()
    }
}

/// Leaves arithmetic to the engine that cannot leave the range of its type.
#[derive(Debug, Default)]
pub(super) struct Unchecks;

impl OptimizerRule for Unchecks {
    fn name(&self) -> &str {
        "plain_arithmetic"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let concerned = |expr: &Expr| Operation::checked(expr).is_some();
        rewrite_node(plan, &concerned, &mut |expr, schema| {
            expr.rewrite(&mut Rewriter::unchecking(schema))
        })
    }
}

//! `array_agg(x)[n]` is the element of a list. The engine plans it as `nth_value(x, n)`, which takes a constant and no
//! aggregate.

use datafusion::common::{DFSchema, Result};
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, GetFieldAccess};

/// Plans subscripts of aggregates.
#[derive(Debug)]
pub(super) struct Subscripts;

impl ExprPlanner for Subscripts {
    fn plan_field_access(&self, access: RawFieldAccessExpr, _: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        Ok(match access {
            RawFieldAccessExpr {
                field_access: GetFieldAccess::ListIndex { key },
                expr: list @ Expr::AggregateFunction(_),
            } if is_array_agg(&list) => PlannerResult::Planned(array_element(list, *key)),
            access => PlannerResult::Original(access),
        })
    }
}

fn is_array_agg(expr: &Expr) -> bool {
    matches!(expr, Expr::AggregateFunction(aggregate) if aggregate.func.name() == "array_agg")
}

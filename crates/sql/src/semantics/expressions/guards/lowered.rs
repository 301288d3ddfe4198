//! A guard stands beside what it guards and in it, and the engine computes in a projection below what occurs twice. A filter
//! above a projection is not one that files are read by: it goes below again.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection};

use super::super::each::any;

/// How the engine names what it computes once for several places.
const COMMON: &str = "__common_expr";

/// The filter below a projection of nothing but columns and what occurs in it several times.
pub(super) fn below_common(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = filter.input.as_ref() else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    if !is_of_common(projection) {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let Projection {
        expr, input, schema, ..
    } = projection.clone();
    let predicate = filter.predicate.transform_up(|part| match &part {
        Expr::Column(column) => {
            let at = schema.index_of_column(column)?;
            let below = expr.get(at).cloned().map(Expr::unalias);
            Ok(below.map_or(Transformed::no(part), Transformed::yes))
        }
        _ => Ok(Transformed::no(part)),
    });
    let filter = Filter::try_new(predicate.data()?, input)?;
    let filter = Arc::new(LogicalPlan::Filter(filter));
    let projection = Projection::try_new_with_schema(expr, filter, schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// The projection without the one below it that [`below_common`] has left, if what occurs several times does not occur in it.
pub(super) fn without_common(projection: Projection) -> Result<Transformed<LogicalPlan>> {
    let below = match projection.input.as_ref() {
        LogicalPlan::Projection(below) if is_of_common(below) => below,
        _ => return Ok(Transformed::no(LogicalPlan::Projection(projection))),
    };
    let of_common = |part: &Expr| matches!(part, Expr::Column(column) if column.name.starts_with(COMMON));
    let mut needed = !matches!(below.input.as_ref(), LogicalPlan::Filter(_));
    for expr in &projection.expr {
        needed |= any(expr, &of_common)?;
    }
    if needed {
        return Ok(Transformed::no(LogicalPlan::Projection(projection)));
    }
    let input = Arc::clone(&below.input);
    let projection = Projection::try_new_with_schema(projection.expr, input, projection.schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Whether it has nothing but columns and what occurs several times.
fn is_of_common(projection: &Projection) -> bool {
    let mut common = false;
    let simple = projection.expr.iter().all(|expr| match expr {
        Expr::Column(_) => true,
        Expr::Alias(Alias { name, .. }) => {
            common = true;
            name.starts_with(COMMON)
        }
        _ => false,
    });
    simple && common
}

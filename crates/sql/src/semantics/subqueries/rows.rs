//! `(a, b) IN (SELECT (c, d) …)`: rows are compared column by column. They are the same if all columns are equal, others if one
//! is not, and else it is not known.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, cast};

use super::outer::as_outer;
use super::site::Site;
use super::statement::Statement;
use super::value::first_column;

/// The columns of a row constructor.
fn parts(row: &Expr) -> Option<Vec<Expr>> {
    match row {
        Expr::Alias(alias) => parts(&alias.expr),
        Expr::ScalarFunction(function) => match function.func.name() {
            "struct" => Some(function.args.clone()),
            "named_struct" => Some(function.args.iter().skip(1).step_by(2).cloned().collect()),
            _ => None,
        },
        Expr::Cast(Cast { expr, field }) => {
            let DataType::Struct(fields) = field.data_type() else {
                return None;
            };
            let parts = parts(expr)?.into_iter().zip(fields);
            Some(
                parts
                    .map(|(part, field)| cast(part, field.data_type().clone()))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// The columns of the rows of a subquery.
fn columns(plan: &LogicalPlan) -> Result<Option<(Arc<LogicalPlan>, Vec<Expr>)>> {
    if let LogicalPlan::Projection(projection) = plan
        && let Some(parts) = projection.expr.first().and_then(parts)
    {
        return Ok(Some((Arc::clone(&projection.input), parts)));
    }
    let row = first_column(plan)?;
    let DataType::Struct(fields) = plan.schema().field(0).data_type() else {
        return Ok(None);
    };
    let fields = fields.iter();
    let columns = fields.map(|field| get_field(Expr::Column(row.clone()), field.name().as_str()));
    Ok(Some((Arc::new(plan.clone()), columns.collect())))
}

impl Statement {
    /// A subquery of rows with its columns apart, and the condition in it under which a row is `x`; None if `x` is no row.
    pub(super) fn same_row(
        &mut self,
        x: &Expr,
        inner: &LogicalPlan,
        site: &Site,
    ) -> Result<Option<(LogicalPlan, Expr)>> {
        let (Some(parts), Some((input, columns))) = (parts(x), columns(inner)?) else {
            return Ok(None);
        };
        if parts.len() != columns.len() {
            return plan_err!(
                "a row of {} columns is compared with rows of {}: select as many",
                parts.len(),
                columns.len()
            );
        }
        let number = self.number();
        let name = |at: usize| format!("__sub_{number}_{at}");
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(at, column)| column.alias(name(at)));
        let plan = LogicalPlan::Projection(Projection::try_new(named.collect(), input)?);
        let mut same = Vec::new();
        for (part, column) in parts.into_iter().zip(plan.schema().columns()) {
            same.push(as_outer(part, site.schema())?.eq(Expr::Column(column)));
        }
        Ok(conjunction(same).map(|same| (plan, same)))
    }
}

//! Aggregates for rows that cannot be read twice, such as those below a LIMIT: the rows are numbered, joined with the subquery, and
//! grouped by their numbers again. It costs more than bindings do, and such rows are few.

use std::sync::Arc;

use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Expr, JoinType, LogicalPlan, Projection, Window, lit};

use super::limits::row_number;
use super::outer::{bind_to_schema, replace_columns};
use super::pulled::Pulled;
use super::site::{Site, joined};
use super::statement::Statement;

impl Statement {
    /// Computes aggregates over what is left of a subquery for each row outside.
    pub(super) fn aggregates_by_rows(
        &mut self,
        site: &mut Site,
        mut pulled: Pulled,
        aggregates: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let number = self.number();
        let name = |at: usize| format!("__sub_{number}_{at}");
        let numbered = row_number(Vec::new(), Vec::new()).alias(format!("__sub_{number}"));
        let rows = LogicalPlan::Window(Window::try_new(vec![numbered], Arc::new(site.take()))?);
        let groups: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        let schema = Arc::clone(rows.schema());

        // A row of the subquery, as opposed to none.
        let marker = format!("__sub_{number}_row");
        let mut shown: Vec<Column> = pulled.plan.schema().columns();
        let mut exprs: Vec<Expr> = shown.iter().cloned().map(Expr::Column).collect();
        exprs.push(lit(true).alias(&marker));
        shown.push(Column::from_name(marker));
        let plan = Projection::try_new(exprs, Arc::new(std::mem::take(&mut pulled.plan)))?;
        pulled.plan = LogicalPlan::Projection(plan);
        let inside = Site::new(Arc::new(rows));
        let (table, conditions) = self.detached(&mut pulled, shown.clone(), &inside)?;
        let Some(marker) = table.columns.last().cloned() else {
            return plan_err!("a subquery without columns");
        };
        let plan = joined(inside.plan, table.plan, JoinType::Left, conditions)?;

        let mut counted = Vec::new();
        for (at, expr) in aggregates.into_iter().enumerate() {
            let expr = replace_columns(expr.unalias(), &|column| {
                let at = shown.iter().position(|known| known == column)?;
                table.columns.get(at).cloned().map(Expr::Column)
            })?;
            let expr = bind_to_schema(expr, &schema)?;
            counted.push(where_not_null(expr, &marker).alias(name(at)));
        }
        let columns = (0..counted.len())
            .map(|at| Expr::Column(Column::from_name(name(at))))
            .collect();
        site.plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), groups, counted)?);
        Ok(columns)
    }
}

/// An aggregate over the rows in which a column is not NULL.
fn where_not_null(expr: Expr, column: &Column) -> Expr {
    match expr {
        Expr::AggregateFunction(mut aggregate) => {
            let row = Expr::Column(column.clone()).is_not_null();
            let filter = aggregate.params.filter.take().map(|filter| *filter);
            aggregate.params.filter = conjunction([row].into_iter().chain(filter)).map(Box::new);
            Expr::AggregateFunction(aggregate)
        }
        expr => expr,
    }
}

//! The value of a subquery where an expression is wanted.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, Subquery, lit, not};

use super::aggregates::{aggregate, count_rows};
use super::one_row::OneRow;
use super::pulled::{Allowed, Pulled};
use super::site::Site;
use super::statement::Statement;

impl Statement {
    /// An expression with the values of its subqueries in their place, which are joined to the rows at its place.
    pub(super) fn expression(&mut self, expr: Expr, site: &mut Site) -> Result<Expr> {
        expr.transform_down(|expr| {
            let value = match expr {
                Expr::ScalarSubquery(subquery) => self.scalar(&subquery, site)?,
                Expr::Exists(Exists { subquery, negated }) => {
                    let inner = self.inner(&subquery)?;
                    unless(negated, self.exists(inner, site)?)
                }
                Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                }) => {
                    let expr = self.expression(*expr, site)?;
                    let inner = self.inner(&subquery)?;
                    unless(negated, self.membership(expr, inner, site)?)
                }
                Expr::SetComparison(comparison) => self.comparison(comparison, site)?,
                expr => return Ok(Transformed::no(expr)),
            };
            Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
        })
        .data()
    }

    /// The plan of a subquery, which has none of its own any more.
    pub(super) fn inner(&mut self, subquery: &Subquery) -> Result<LogicalPlan> {
        self.without_subqueries(subquery.subquery.as_ref().clone())
    }

    fn comparison(&mut self, of: SetComparison, site: &mut Site) -> Result<Expr> {
        let expr = self.expression(*of.expr, site)?;
        let inner = self.inner(&of.subquery)?;
        self.quantified(expr, of.op, of.quantifier, inner, site)
    }

    fn scalar(&mut self, subquery: &Subquery, site: &mut Site) -> Result<Expr> {
        let inner = self.inner(subquery)?;
        if let Some(row) = OneRow::of(&inner)? {
            let data_type = inner.schema().field(0).data_type().clone();
            let row = self.row(row, site)?;
            let value = first(row.outputs.clone())?;
            return row.first_or(value, lit(ScalarValue::try_from(&data_type)?));
        }
        self.only_row(inner, site)
    }

    /// The value of a subquery that may have several rows, where it must not.
    fn only_row(&mut self, inner: LogicalPlan, site: &mut Site) -> Result<Expr> {
        let value = Expr::Column(first_column(&inner)?);
        let level = site.level(&inner, &[])?;
        if !level.is_empty()
            && let Some(mut pulled) = self.pull(&inner, &level, Allowed::Keys)?
        {
            if at_most_one(&inner)? && !pulled.keys.is_empty() {
                return self.value_for_key(&mut pulled, &inner, site);
            }
            // Several rows for a key that no row outside has are no error: it is raised where the value is wanted.
            let aggregates = vec![count_rows(), aggregate(first_value_udaf(), vec![value])];
            let values = self.aggregates_by_keys(site, pulled, aggregates)?;
            return Ok(self.single_value.call(values));
        }
        let only = aggregate(self.single_row.clone(), vec![value]);
        first(self.aggregates(site, inner, vec![only])?)
    }

    /// The value of a subquery that has at most one row for each value of its keys.
    fn value_for_key(&mut self, pulled: &mut Pulled, inner: &LogicalPlan, site: &mut Site) -> Result<Expr> {
        let (table, conditions) = self.detached(pulled, vec![first_column(inner)?], site)?;
        site.left_join(table.plan, conditions)?;
        first(table.columns.into_iter().map(Expr::Column).collect())
    }
}

/// Whether a LIMIT leaves at most one row.
fn at_most_one(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Limit(limit) => Ok(matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0 | 1)))),
        LogicalPlan::Projection(projection) => at_most_one(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => at_most_one(&alias.input),
        _ => Ok(false),
    }
}

/// The one column of a subquery, by its name.
pub(super) fn first_column(plan: &LogicalPlan) -> Result<Column> {
    match plan.schema().columns().into_iter().next() {
        Some(column) => Ok(column),
        None => plan_err!("a subquery must select one column"),
    }
}

/// The first of some values.
pub(super) fn first(values: Vec<Expr>) -> Result<Expr> {
    match values.into_iter().next() {
        Some(value) => Ok(value),
        None => plan_err!("a subquery must select one column"),
    }
}

/// A value, or its contrary.
pub(super) fn unless(negated: bool, value: Expr) -> Expr {
    match negated {
        true => not(value),
        false => value,
    }
}

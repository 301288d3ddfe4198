//! `EXISTS` and `IN` as conditions of a WHERE: they are semi joins, their contraries anti joins.
//!
//! `x NOT IN (S)` holds where no row of `S` leaves `x = y` true or unknown. Where neither `x` nor `y` can be NULL that is an anti
//! join on the equality. Where they can, and `S` refers to the rows outside, it is an anti join on what `S` is correlated by, under
//! the condition that `x = y` is not false. Where `S` does not, a count of it decides what NULLs do, once.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Operator, Subquery, lit};

use super::aggregates::{count_rows, count_values};
use super::domain::Domain;
use super::exists::bare;
use super::one_row::OneRow;
use super::outer::as_outer;
use super::pulled::{Allowed, Pulled};
use super::site::Site;
use super::statement::Statement;
use super::value::{first_column, unless};

/// A condition that is nothing but a subquery.
enum Predicate {
    Exists { subquery: Subquery, negated: bool },
    In { x: Expr, subquery: Subquery, negated: bool },
    Other(Expr),
}

impl Predicate {
    fn of(expr: Expr) -> Self {
        match expr {
            Expr::Not(inner) => match Self::of(*inner) {
                Self::Exists { subquery, negated } => Self::Exists {
                    subquery,
                    negated: !negated,
                },
                Self::In { x, subquery, negated } => Self::In {
                    x,
                    subquery,
                    negated: !negated,
                },
                Self::Other(inner) => Self::Other(Expr::Not(Box::new(inner))),
            },
            Expr::Exists(Exists { subquery, negated }) => Self::Exists { subquery, negated },
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => Self::In {
                x: *expr,
                subquery,
                negated,
            },
            Expr::SetComparison(SetComparison {
                expr,
                subquery,
                op,
                quantifier,
            }) => match (op, quantifier) {
                (Operator::Eq, SetQuantifier::Any) => Self::In {
                    x: *expr,
                    subquery,
                    negated: false,
                },
                (Operator::NotEq, SetQuantifier::All) => Self::In {
                    x: *expr,
                    subquery,
                    negated: true,
                },
                (op, quantifier) => {
                    Self::Other(Expr::SetComparison(SetComparison::new(expr, subquery, op, quantifier)))
                }
            },
            expr => Self::Other(expr),
        }
    }
}

impl Statement {
    /// Keeps the rows for which a condition holds, if it is nothing but a subquery; else answers it with the values of its
    /// subqueries in their place.
    pub(super) fn predicate(&mut self, expr: Expr, site: &mut Site) -> Result<Option<Expr>> {
        match Predicate::of(expr) {
            Predicate::Exists { subquery, negated } => {
                let inner = self.inner(&subquery)?;
                self.keep_where(inner, negated, site)
            }
            Predicate::In { x, subquery, negated } => {
                let x = self.expression(x, site)?;
                let inner = self.inner(&subquery)?;
                self.keep_in(x, inner, negated, site)
            }
            Predicate::Other(expr) => self.expression(expr, site).map(Some),
        }
    }

    /// Keeps the rows for which a subquery has a row, or has none; or answers an expression that says so.
    fn keep_where(&mut self, inner: LogicalPlan, negated: bool, site: &mut Site) -> Result<Option<Expr>> {
        if OneRow::of(&inner)?.is_some() {
            return self.exists(inner, site).map(|exists| Some(unless(negated, exists)));
        }
        let inner = bare(inner)?;
        let level = site.level(&inner, &[])?;
        if level.is_empty() || OneRow::of(&inner)?.is_some() {
            return self.exists(inner, site).map(|exists| Some(unless(negated, exists)));
        }
        match self.pull(&inner, &level, Allowed::Any)? {
            Some(pulled) if !pulled.keys.is_empty() || !pulled.others.is_empty() => {
                self.keep_pulled(pulled, negated, site)?;
                Ok(None)
            }
            Some(_) => self.exists(inner, site).map(|exists| Some(unless(negated, exists))),
            None => {
                let domain = Domain::of(site, level)?;
                let pushed = self.push(inner, &domain)?;
                let exprs = pushed.columns.iter().cloned().map(Expr::Column).collect();
                let (table, columns) = self.table(pushed.plan, exprs)?;
                let on = domain.alike(site.schema(), table.schema(), &columns, &pushed.never_null)?;
                site.keep(table, on, negated)?;
                Ok(None)
            }
        }
    }

    /// Keeps rows by a join on what was pulled up out of a subquery.
    fn keep_pulled(&mut self, mut pulled: Pulled, negated: bool, site: &mut Site) -> Result<()> {
        let (table, conditions) = self.detached(&mut pulled, Vec::new(), site)?;
        site.keep(table.plan, conditions, negated)
    }

    /// Keeps the rows whose `x` is in a subquery, or is not; or answers a condition that remains to be looked at.
    fn keep_in(&mut self, x: Expr, inner: LogicalPlan, negated: bool, site: &mut Site) -> Result<Option<Expr>> {
        if let Some((inner, same)) = self.same_row(&x, &inner, site)? {
            let kept = match negated {
                true => same.is_not_false(),
                false => same,
            };
            return self.keep_where(filtered(kept, inner)?, negated, site);
        }
        if OneRow::of(&inner)?.is_some() || x.is_volatile() {
            let value = self.membership(x, inner, site)?;
            return Ok(Some(unless(negated, value)));
        }
        let y = Expr::Column(first_column(&inner)?);
        let same = as_outer(x.clone(), site.schema())?.eq(y.clone());
        let nullable = x.nullable(site.schema())? || inner.schema().field(0).is_nullable();
        if !negated || !nullable {
            return self.keep_where(filtered(same, inner)?, negated, site);
        }
        if !x.any_column_refs() || !site.level(&inner, &[])?.is_empty() {
            return self.keep_where(filtered(same.is_not_false(), inner)?, true, site);
        }
        let apart = self.keep_where(filtered(same, inner.clone())?, true, site)?;
        let counts = self.aggregates(site, inner, vec![count_rows(), count_values(y)])?;
        let [rows, values] = counts.as_slice() else {
            return Ok(apart);
        };
        let comparable = x.is_not_null().and(rows.clone().eq(values.clone()));
        let decided = rows.clone().eq(lit(0_i64)).or(comparable);
        Ok(conjunction(apart.into_iter().chain([decided])))
    }
}

fn filtered(condition: Expr, plan: LogicalPlan) -> Result<LogicalPlan> {
    Filter::try_new(condition, Arc::new(plan)).map(LogicalPlan::Filter)
}

//! `x IN (subquery)` as a value: true if a row equals `x`, else NULL if a comparison could not be made, else false.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit, when};

use super::aggregates::{count_rows, count_values, unknown};
use super::one_row::OneRow;
use super::outer::as_outer;
use super::pulled::{Allowed, Pulled};
use super::site::Site;
use super::statement::Statement;
use super::value::{first, first_column};

/// What decides a comparison with rows of which none made it true.
struct Undecided {
    /// How many rows there are.
    rows: Expr,
    /// In how many of them there is a value.
    values: Expr,
}

impl Undecided {
    /// `matched`, or NULL, or false.
    fn or(self, matched: Expr, x: &Expr) -> Result<Expr> {
        when(matched, lit(true))
            .when(self.rows.clone().eq(lit(0_i64)), lit(false))
            .when(x.clone().is_null().or(self.values.lt(self.rows)), unknown())
            .otherwise(lit(false))
    }
}

impl Statement {
    /// Whether `x`, an expression over the rows outside, is in a subquery.
    pub(super) fn membership(&mut self, x: Expr, inner: LogicalPlan, site: &mut Site) -> Result<Expr> {
        if let Some((inner, same)) = self.same_row(&x, &inner, site)? {
            return self.compared_in_each(same, false, inner, site);
        }
        if let Some(row) = OneRow::of(&inner)? {
            let row = self.row(row, site)?;
            let same = x.eq(first(row.outputs.clone())?);
            return row.first_or(same, lit(false));
        }
        let y = first_column(&inner)?;
        let level = site.level(&inner, &[])?;
        if x.any_column_refs() && !x.is_volatile() {
            let pulled = self.pull(&inner, &level, Allowed::Keys)?;
            if let Some(pulled) = pulled {
                return self.membership_by_keys(x, y, pulled, inner, site);
            }
        }
        self.membership_by_counts(x, y, inner, site)
    }

    /// Looks `x` up among the values for the keys, and, where that may decide, how many of them are NULL.
    fn membership_by_keys(
        &mut self,
        x: Expr,
        y: Column,
        mut pulled: Pulled,
        inner: LogicalPlan,
        site: &mut Site,
    ) -> Result<Expr> {
        let nullable = x.nullable(site.schema())? || inner.schema().field(0).is_nullable();
        let outer = as_outer(x.clone(), site.schema())?;
        pulled.keys.insert(0, (Expr::Column(y.clone()), outer));
        let matched = self.key_exists(pulled, site)?;
        if !nullable {
            return Ok(matched);
        }
        let counts = vec![count_rows(), count_values(Expr::Column(y))];
        let mut counts = self.aggregates(site, inner, counts)?.into_iter();
        let (Some(rows), Some(values)) = (counts.next(), counts.next()) else {
            return Ok(matched);
        };
        Undecided { rows, values }.or(matched, &x)
    }

    /// Counts the rows that equal `x` inside the subquery.
    fn membership_by_counts(&mut self, x: Expr, y: Column, inner: LogicalPlan, site: &mut Site) -> Result<Expr> {
        let outer = as_outer(x.clone(), site.schema())?;
        let y = Expr::Column(y);
        let same = when(outer.eq(y.clone()), lit(1_i64)).end()?;
        let counts = vec![count_values(same), count_rows(), count_values(y)];
        let mut counts = self.aggregates(site, inner, counts)?.into_iter();
        let (Some(same), Some(rows), Some(values)) = (counts.next(), counts.next(), counts.next()) else {
            return Ok(unknown());
        };
        Undecided { rows, values }.or(same.gt(lit(0_i64)), &x)
    }
}

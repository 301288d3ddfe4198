//! `x > ALL (subquery)`, `x <= ANY (subquery)` and their like: decided by the least and the greatest value of the subquery, by
//! whether it has a NULL, and by whether it has a row at all.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::SetQuantifier;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, lit, not, when};

use super::aggregates::{aggregate, count_rows, count_values, unknown};
use super::one_row::OneRow;
use super::outer::as_outer;
use super::site::Site;
use super::statement::Statement;
use super::value::{first, first_column};

impl Statement {
    /// Compares `x`, an expression over the rows outside, with the rows of a subquery.
    pub(super) fn quantified(
        &mut self,
        x: Expr,
        op: Operator,
        quantifier: SetQuantifier,
        inner: LogicalPlan,
        site: &mut Site,
    ) -> Result<Expr> {
        let all = quantifier == SetQuantifier::All;
        match (op, all) {
            (Operator::Eq, false) => return self.membership(x, inner, site),
            (Operator::NotEq, true) => return self.membership(x, inner, site).map(not),
            _ => {}
        }
        if let Some(row) = OneRow::of(&inner)? {
            let row = self.row(row, site)?;
            let compared = binary_expr(x, op, first(row.outputs.clone())?);
            return row.first_or(compared, lit(all));
        }
        match has_bounds(inner.schema().field(0).data_type()) && bounds(op).is_some() {
            true => self.by_bounds(x, op, all, inner, site),
            false => {
                let y = Expr::Column(first_column(&inner)?);
                let compared = binary_expr(as_outer(x, site.schema())?, op, y);
                self.compared_in_each(compared, all, inner, site)
            }
        }
    }

    fn by_bounds(&mut self, x: Expr, op: Operator, all: bool, inner: LogicalPlan, site: &mut Site) -> Result<Expr> {
        let y = Expr::Column(first_column(&inner)?);
        let counts = vec![
            count_rows(),
            count_values(y.clone()),
            aggregate(min_udaf(), vec![y.clone()]),
            aggregate(max_udaf(), vec![y]),
        ];
        let values = self.aggregates(site, inner, counts)?;
        let [rows, values, least, greatest] = values.as_slice() else {
            return plan_err!("a subquery must select one column");
        };
        let against = |bound: &Expr| binary_expr(x.clone(), op, bound.clone());
        let compared = match (bounds(op), all) {
            (Some(Bound::Both), true) => against(least).and(against(greatest)),
            (Some(Bound::Both), false) => against(least).or(against(greatest)),
            (Some(Bound::Greatest), true) | (Some(Bound::Least), false) => against(greatest),
            _ => against(least),
        };
        // A NULL among the rows is a comparison that may have come out either way.
        let some_null = values.clone().lt(rows.clone());
        let compared = match all {
            true => compared.and(when(some_null, unknown()).otherwise(lit(true))?),
            false => compared.or(when(some_null, unknown()).otherwise(lit(false))?),
        };
        when(rows.clone().eq(lit(0_i64)), lit(all)).otherwise(compared)
    }

    /// Whether a comparison inside a subquery is true in any of its rows, or in all of them: counts how it comes out.
    pub(super) fn compared_in_each(
        &mut self,
        compared: Expr,
        all: bool,
        inner: LogicalPlan,
        site: &mut Site,
    ) -> Result<Expr> {
        let decisive = match all {
            true => compared.clone().is_false(),
            false => compared.clone().is_true(),
        };
        let counts = vec![
            count_values(when(decisive, lit(1_i64)).end()?),
            count_values(when(compared.is_unknown(), lit(1_i64)).end()?),
        ];
        let values = self.aggregates(site, inner, counts)?;
        let [decisive, undecided] = values.as_slice() else {
            return plan_err!("a subquery must select one column");
        };
        when(decisive.clone().gt(lit(0_i64)), lit(!all))
            .when(undecided.clone().gt(lit(0_i64)), unknown())
            .otherwise(lit(all))
    }
}

/// The value of a subquery that decides a comparison with ALL of its values; with ANY, it is the other one.
enum Bound {
    Least,
    Greatest,
    Both,
}

fn bounds(op: Operator) -> Option<Bound> {
    match op {
        Operator::Gt | Operator::GtEq => Some(Bound::Greatest),
        Operator::Lt | Operator::LtEq => Some(Bound::Least),
        Operator::Eq | Operator::NotEq => Some(Bound::Both),
        _ => None,
    }
}

/// Whether the least and the greatest value of a type are so by the same order as comparisons. NaN is the exception.
fn has_bounds(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_decimal()
        || data_type.is_string()
        || matches!(
            data_type,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_)
        )
}

//! Aggregates over a subquery, one row for each row outside it: computed once where nothing outside is referred to, else grouped
//! by the inner columns that must equal outer ones, else grouped by the outer columns themselves.
//!
//! ```text
//! SELECT (SELECT count(*) FROM u WHERE u.p = t.p) FROM t
//! SELECT coalesce(s.n, 0) FROM t LEFT JOIN (SELECT p, count(*) AS n FROM u GROUP BY p) s ON t.p = s.p
//! ```

use std::sync::Arc;

use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, lit, when};

use super::domain::Domain;
use super::outer::{bind_to_schema, refers};
use super::pulled::{Allowed, Pulled};
use super::site::Site;
use super::statement::Statement;

impl Statement {
    /// Computes aggregates over `input` for each row outside. The answers are expressions over what is joined to these rows;
    /// each of them is what the aggregate is over no row, where there is none.
    pub(super) fn aggregates(
        &mut self,
        site: &mut Site,
        input: LogicalPlan,
        aggregates: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let level = site.level(&input, &aggregates)?;
        if level.is_empty() {
            return self.aggregates_once(site, input, aggregates);
        }
        let mut inside = true;
        for aggregate in &aggregates {
            inside &= !refers(aggregate, &level)?;
        }
        if inside && let Some(pulled) = self.pull(&input, &level, Allowed::Keys)? {
            return self.aggregates_by_keys(site, pulled, aggregates);
        }
        if !Domain::reads_alike(site, &level)?
            && let Some(pulled) = self.pull(&input, &level, Allowed::Any)?
        {
            return self.aggregates_by_rows(site, pulled, aggregates);
        }
        self.aggregates_by_domain(site, level, input, aggregates)
    }

    fn aggregates_once(&mut self, site: &mut Site, input: LogicalPlan, aggregates: Vec<Expr>) -> Result<Vec<Expr>> {
        let (table, columns) = self.grouped(input, Vec::new(), aggregates)?;
        site.cross_join(table)?;
        Ok(columns.into_iter().map(Expr::Column).collect())
    }

    /// Computes aggregates over what is left of a subquery for each value of its keys.
    pub(super) fn aggregates_by_keys(
        &mut self,
        site: &mut Site,
        pulled: Pulled,
        aggregates: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let empty = on_no_row(&aggregates, &pulled.plan)?;
        let Pulled {
            plan, keys, conditions, ..
        } = pulled;
        let condition = conjunction(conditions)
            .map(|condition| bind_to_schema(condition, site.schema()))
            .transpose()?;
        let values = if keys.is_empty() {
            self.aggregates_once(site, plan, aggregates)?
        } else {
            let (groups, outer): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
            let (table, mut columns) = self.grouped(plan, groups, aggregates)?;
            let values = columns.split_off(outer.len());
            let mut on = Vec::new();
            for (outer, column) in outer.into_iter().zip(columns) {
                on.push(bind_to_schema(outer, site.schema())?.eq(Expr::Column(column)));
            }
            site.left_join(table, on)?;
            values_or(values, &empty)
        };
        let Some(condition) = condition else {
            return Ok(values);
        };
        let when_met = |(value, empty): (Expr, ScalarValue)| when(condition.clone(), value).otherwise(lit(empty));
        values.into_iter().zip(empty).map(when_met).collect()
    }

    /// Computes aggregates for each distinct binding of the outer columns.
    fn aggregates_by_domain(
        &mut self,
        site: &mut Site,
        level: Vec<Column>,
        input: LogicalPlan,
        aggregates: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let empty = on_no_row(&aggregates, &input)?;
        let domain = Domain::of(site, level)?;
        let pushed = self.push(input, &domain)?;
        let bound = aggregates.into_iter().map(|expr| pushed.bind(expr, &domain));
        let bound = bound.collect::<Result<_>>()?;
        let groups = pushed.columns.iter().cloned().map(Expr::Column).collect();
        let (table, mut columns) = self.grouped(pushed.plan, groups, bound)?;
        let values = columns.split_off(pushed.columns.len());
        let on = domain.alike(site.schema(), table.schema(), &columns, &pushed.never_null)?;
        site.left_join(table, on)?;
        Ok(values_or(values, &empty))
    }

    /// A table of groups: columns for what is grouped by, then columns for the aggregates.
    pub(super) fn grouped(
        &mut self,
        input: LogicalPlan,
        groups: Vec<Expr>,
        aggregates: Vec<Expr>,
    ) -> Result<(LogicalPlan, Vec<Column>)> {
        let mut distinct: Vec<Expr> = Vec::new();
        let mut places = Vec::new();
        for group in groups {
            let known = distinct.iter().position(|known| *known == group);
            places.push(known.unwrap_or(distinct.len()));
            if known.is_none() {
                distinct.push(group);
            }
        }
        // The table names the columns, so that two aggregates of one name do no harm here.
        let aggregates = aggregates.into_iter().enumerate();
        let aggregates = aggregates.map(|(at, expr)| expr.unalias().alias(format!("__sub_agg_{at}")));
        let groups = distinct.len();
        let plan = Aggregate::try_new(Arc::new(input), distinct, aggregates.collect())?;
        let columns = plan.schema.columns();
        let (groups, values) = columns.split_at(groups);
        let groups = places.into_iter().filter_map(|at| groups.get(at));
        let exprs = groups.chain(values).cloned().map(Expr::Column).collect();
        self.table(LogicalPlan::Aggregate(plan), exprs)
    }
}

/// What aggregates are when they see no row: zero for a count, NULL for most.
fn on_no_row(aggregates: &[Expr], input: &LogicalPlan) -> Result<Vec<ScalarValue>> {
    let value = |expr: &Expr| {
        let data_type = expr.get_type(input.schema())?;
        match expr.clone().unalias() {
            Expr::AggregateFunction(aggregate) => aggregate.func.default_value(&data_type),
            _ => ScalarValue::try_from(&data_type),
        }
    };
    aggregates.iter().map(value).collect()
}

fn values_or(columns: Vec<Column>, empty: &[ScalarValue]) -> Vec<Expr> {
    let or = |(column, empty): (Column, &ScalarValue)| value_or(column, empty);
    columns.into_iter().zip(empty).map(or).collect()
}

/// The value of a column that no aggregate leaves NULL whose value over no row is not NULL.
pub(super) fn value_or(column: Column, empty: &ScalarValue) -> Expr {
    match empty.is_null() {
        true => Expr::Column(column),
        false => coalesce(vec![Expr::Column(column), lit(empty.clone())]),
    }
}

/// An aggregate of these arguments.
pub(super) fn aggregate(function: Arc<AggregateUDF>, arguments: Vec<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        function,
        arguments,
        false,
        None,
        Vec::new(),
        None,
    ))
}

/// How many rows there are.
pub(super) fn count_rows() -> Expr {
    aggregate(count_udaf(), vec![lit(1_i64)])
}

/// In how many rows an expression is not NULL.
pub(super) fn count_values(expr: Expr) -> Expr {
    aggregate(count_udaf(), vec![expr])
}

/// NULL where a value of three-valued logic is wanted.
pub(super) fn unknown() -> Expr {
    lit(ScalarValue::Boolean(None))
}

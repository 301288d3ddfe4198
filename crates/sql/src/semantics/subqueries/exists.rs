//! `EXISTS`: whether a subquery has a row. What is selected, in what order and how often, does not matter.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::{
    Distinct, Expr, FetchType, Filter, Join, JoinType, Limit, LogicalPlan, Projection, lit,
};

use super::aggregates::count_rows;
use super::one_row::{OneRow, leaves_first};
use super::outer::{bind_to_schema, is_correlated};
use super::pulled::{Allowed, Pulled};
use super::site::Site;
use super::statement::Statement;
use super::value::first;

/// A subquery that has a row exactly if this one has, without what does not matter for that.
pub(super) fn bare(plan: LogicalPlan) -> Result<LogicalPlan> {
    loose(stripped(plan)?)
}

fn stripped(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => stripped(Arc::unwrap_or_clone(projection.input)),
        LogicalPlan::SubqueryAlias(alias) => stripped(Arc::unwrap_or_clone(alias.input)),
        LogicalPlan::Window(window) => stripped(Arc::unwrap_or_clone(window.input)),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => stripped(Arc::unwrap_or_clone(sort.input)),
        LogicalPlan::Distinct(Distinct::All(input)) => stripped(Arc::unwrap_or_clone(input)),
        LogicalPlan::Distinct(Distinct::On(distinct)) => stripped(Arc::unwrap_or_clone(distinct.input)),
        LogicalPlan::Aggregate(aggregate) if groups_of_rows(&aggregate.group_expr) => {
            stripped(Arc::unwrap_or_clone(aggregate.input))
        }
        LogicalPlan::Limit(limit) => match leaves_first(&limit)? {
            Some(true) => stripped(Arc::unwrap_or_clone(limit.input)),
            _ => Ok(LogicalPlan::Limit(limit)),
        },
        plan => Ok(plan),
    }
}

/// The same for a subquery of which it does not matter how often a row comes: its semi joins are joins, whose conditions can be
/// pulled up.
fn loose(plan: LogicalPlan) -> Result<LogicalPlan> {
    let below = |input: Arc<LogicalPlan>| loose(Arc::unwrap_or_clone(input)).map(Arc::new);
    match plan {
        LogicalPlan::Filter(filter) => Filter::try_new(filter.predicate, below(filter.input)?).map(LogicalPlan::Filter),
        LogicalPlan::Projection(projection) => {
            Projection::try_new(projection.expr, below(projection.input)?).map(LogicalPlan::Projection)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::LeftSemi && is_further(&join)? => {
            let (left, right) = (below(join.left)?, join.right);
            Join::try_new(
                left,
                right,
                join.on,
                join.filter,
                JoinType::Inner,
                join.join_constraint,
                join.null_equality,
                false,
            )
            .map(LogicalPlan::Join)
        }
        plan => Ok(plan),
    }
}

/// Whether a join refers to rows outside, other than from its left side.
fn is_further(join: &Join) -> Result<bool> {
    let on = join.filter.as_ref().is_some_and(Expr::contains_outer);
    Ok(on || is_correlated(&join.right)?)
}

/// Whether there is a group exactly if there is a row.
fn groups_of_rows(groups: &[Expr]) -> bool {
    !groups.is_empty() && !groups.iter().any(|group| matches!(group, Expr::GroupingSet(_)))
}

impl Statement {
    /// Whether a subquery has a row, for each row outside.
    pub(super) fn exists(&mut self, inner: LogicalPlan, site: &mut Site) -> Result<Expr> {
        if let Some(row) = OneRow::of(&inner)? {
            return self.row_exists(row, site);
        }
        let inner = bare(inner)?;
        if let Some(row) = OneRow::of(&inner)? {
            return self.row_exists(row, site);
        }
        let level = site.level(&inner, &[])?;
        if level.is_empty() {
            let rows = self.aggregates(site, first_row(inner)?, vec![count_rows()])?;
            return Ok(first(rows)?.gt(lit(0_i64)));
        }
        match self.pull(&inner, &level, Allowed::Keys)? {
            Some(pulled) if !pulled.keys.is_empty() => self.key_exists(pulled, site),
            _ => {
                let rows = self.aggregates(site, inner, vec![count_rows()])?;
                Ok(first(rows)?.gt(lit(0_i64)))
            }
        }
    }

    fn row_exists(&mut self, row: OneRow, site: &mut Site) -> Result<Expr> {
        if row.is_certain() {
            return Ok(lit(true));
        }
        let row = self.row(row, site)?;
        Ok(row.condition.map_or_else(|| lit(true), Expr::is_true))
    }

    /// A key that equals something is not NULL, unless there was none to join.
    pub(super) fn key_exists(&mut self, pulled: Pulled, site: &mut Site) -> Result<Expr> {
        let Pulled {
            plan, keys, conditions, ..
        } = pulled;
        let (inner, outer): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        let (table, columns) = self.grouped(plan, inner, Vec::new())?;
        let mut exists = columns.first().cloned().map(|key| Expr::Column(key).is_not_null());
        let mut on = Vec::new();
        for (outer, column) in outer.into_iter().zip(columns) {
            on.push(bind_to_schema(outer, site.schema())?.eq(Expr::Column(column)));
        }
        site.left_join(table, on)?;
        for condition in conditions {
            let condition = bind_to_schema(condition, site.schema())?.is_true();
            exists = exists.map(|exists| exists.and(condition));
        }
        Ok(exists.unwrap_or_else(|| lit(true)))
    }
}

/// The first row of a subquery, if it need not be found anew for each row of a query further out.
fn first_row(plan: LogicalPlan) -> Result<LogicalPlan> {
    if is_correlated(&plan)? {
        return Ok(plan);
    }
    if let LogicalPlan::Limit(limit) = &plan
        && matches!(limit.get_fetch_type()?, FetchType::Literal(Some(_)))
    {
        return Ok(plan);
    }
    Ok(LogicalPlan::Limit(Limit {
        skip: None,
        fetch: Some(Box::new(lit(1_i64))),
        input: Arc::new(plan),
    }))
}

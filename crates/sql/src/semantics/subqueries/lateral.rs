//! LATERAL: a table in FROM that refers to the tables before it. It is a subquery of many rows and columns, and is joined by the
//! same means: as one row of expressions, by the conditions pulled up out of it, or for each binding.

use std::sync::Arc;

use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, Projection, SubqueryAlias, when};

use super::domain::Domain;
use super::one_row::OneRow;
use super::outer::{references, replace_columns};
use super::pulled::Allowed;
use super::site::{Site, joined, only};
use super::statement::{Statement, holds};

/// The subquery of a LATERAL table, without the mark that it is one.
pub(super) fn lateral_part(right: &LogicalPlan) -> Option<Result<LogicalPlan>> {
    match right {
        LogicalPlan::Subquery(subquery) => Some(Ok(subquery.subquery.as_ref().clone())),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => {
                let plan = SubqueryAlias::try_new(Arc::clone(&subquery.subquery), alias.alias.clone());
                Some(plan.map(LogicalPlan::SubqueryAlias))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A LATERAL table on its way to a join.
struct Lateral {
    columns: Vec<Column>,
    left_join: bool,
    on: Option<Expr>,
}

impl Statement {
    /// A join whose right side is LATERAL.
    pub(super) fn lateral(&mut self, join: Join) -> Result<LogicalPlan> {
        let Some(right) = lateral_part(&join.right).transpose()? else {
            return Ok(LogicalPlan::Join(join));
        };
        let columns = join.schema.columns();
        let level = references(&right, join.left.schema())?;
        if level.is_empty() {
            let right = Arc::new(right);
            return self.any_join(Join { right, ..join });
        }
        let left_join = match join.join_type {
            JoinType::Inner => false,
            JoinType::Left => true,
            other => return plan_err!("LATERAL cannot be the right side of a {other} join: use JOIN or LEFT JOIN"),
        };
        let equal = join.on.into_iter().map(|(left, right)| left.eq(right));
        let on = conjunction(equal.chain(join.filter));
        if let Some(on) = on.clone().filter(|on| matches!(holds(on), Ok(true))) {
            if left_join {
                return plan_err!("a subquery cannot stand in the ON of a LEFT JOIN LATERAL: put it into the LATERAL");
            }
            let plan = self.lateral_join(join.left, right, level, left_join, None)?;
            return self.filter(Filter::try_new(on, Arc::new(only(plan, &columns)?))?);
        }
        let plan = self.lateral_join(join.left, right, level, left_join, on)?;
        only(plan, &columns)
    }

    fn lateral_join(
        &mut self,
        left: Arc<LogicalPlan>,
        right: LogicalPlan,
        level: Vec<Column>,
        left_join: bool,
        on: Option<Expr>,
    ) -> Result<LogicalPlan> {
        let mut site = Site::new(left);
        let lateral = Lateral {
            columns: right.schema().columns(),
            left_join,
            on,
        };
        if let Some(row) = OneRow::of(&right)? {
            return self.lateral_row(row, lateral, site);
        }
        if let Some(mut pulled) = self.pull(&right, &level, Allowed::Any)? {
            let (table, mut conditions) = self.detached(&mut pulled, lateral.columns.clone(), &site)?;
            conditions.extend(lateral.on(&table.columns)?);
            let plan = joined(site.take(), table.plan, lateral.join_type(), conditions)?;
            return lateral.named(plan, site.base.schema().columns(), table.columns);
        }
        let domain = Domain::of(&site, level)?;
        let pushed = self.push(right, &domain)?;
        let exprs = lateral.columns.iter().chain(&pushed.columns).cloned();
        let (table, mut columns) = self.table(pushed.plan, exprs.map(Expr::Column).collect())?;
        let keys = columns.split_off(lateral.columns.len());
        let mut conditions = domain.alike(site.schema(), table.schema(), &keys, &pushed.never_null)?;
        conditions.extend(lateral.on(&columns)?);
        let plan = joined(site.take(), table, lateral.join_type(), conditions)?;
        lateral.named(plan, site.base.schema().columns(), columns)
    }

    fn lateral_row(&mut self, row: OneRow, lateral: Lateral, mut site: Site) -> Result<LogicalPlan> {
        let row = self.row(row, &mut site)?;
        let on = lateral
            .on
            .map(|on| replace(on, &lateral.columns, &row.outputs))
            .transpose()?;
        let condition = conjunction(row.condition.into_iter().chain(on));
        let mut plan = site.take();
        let mut outputs = row.outputs;
        if let Some(condition) = condition {
            if lateral.left_join {
                let shown = outputs.into_iter().map(|output| when(condition.clone(), output).end());
                outputs = shown.collect::<Result<_>>()?;
            } else {
                plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?);
            }
        }
        project(plan, site.base.schema().columns(), outputs, lateral.columns)
    }

    fn any_join(&mut self, join: Join) -> Result<LogicalPlan> {
        match join.filter.as_ref().map(holds).transpose()? {
            Some(true) => self.join(join),
            _ => Ok(LogicalPlan::Join(join)),
        }
    }
}

impl Lateral {
    fn join_type(&self) -> JoinType {
        match self.left_join {
            true => JoinType::Left,
            false => JoinType::Inner,
        }
    }

    /// The condition of the join over the names that the columns have in it.
    fn on(&self, columns: &[Column]) -> Result<Option<Expr>> {
        let names: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
        let on = self.on.clone();
        on.map(|on| replace(on, &self.columns, &names)).transpose()
    }

    /// The columns under the names that the query gave them.
    fn named(self, plan: LogicalPlan, left: Vec<Column>, right: Vec<Column>) -> Result<LogicalPlan> {
        let outputs = right.into_iter().map(Expr::Column).collect();
        project(plan, left, outputs, self.columns)
    }
}

fn replace(expr: Expr, columns: &[Column], by: &[Expr]) -> Result<Expr> {
    replace_columns(expr, &|column| {
        let at = columns.iter().position(|known| known == column)?;
        by.get(at).cloned()
    })
}

fn project(plan: LogicalPlan, left: Vec<Column>, outputs: Vec<Expr>, names: Vec<Column>) -> Result<LogicalPlan> {
    let named = outputs.into_iter().zip(names);
    let named = named.map(|(output, name)| output.alias_qualified(name.relation, name.name));
    let exprs = left.into_iter().map(Expr::Column).chain(named).collect();
    Projection::try_new(exprs, Arc::new(plan)).map(LogicalPlan::Projection)
}

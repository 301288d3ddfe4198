//! Correlated conditions are pulled up out of a subquery, to become conditions of the join with the rows outside. What is left
//! does not refer to those any more, and is computed once for all of them.
//!
//! Conditions may rise through projections, filters and inner joins. Through a grouping, a DISTINCT, a window or a LIMIT only an
//! equality of an inner expression with an outer one may: these are then computed for each value of the inner expression.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, JoinType, LogicalPlan, Projection, SubqueryAlias, Window,
};

use super::limits::partitioned;
use super::outer::{all_references, plan_refers, refers};
use super::pulled::{Allowed, Pulled};
use super::site::only;
use super::statement::Statement;

impl Statement {
    /// Pulls the conditions on these outer columns out of a subquery; None if some of what refers to them is not such a
    /// condition, or stands where it cannot be pulled out.
    pub(super) fn pull(&mut self, plan: &LogicalPlan, level: &[Column], allowed: Allowed) -> Result<Option<Pulled>> {
        // Conditions on rows further out are better in the join, too: its right side then is the same for all of those.
        let all = all_references(plan)?;
        if all.len() > level.len()
            && let Some(pulled) = self.pull_out(plan, &all, allowed)?
        {
            return Ok(Some(pulled));
        }
        self.pull_out(plan, level, allowed)
    }

    /// Pulls conditions out of a node and what is below it.
    pub(super) fn pull_out(
        &mut self,
        plan: &LogicalPlan,
        level: &[Column],
        allowed: Allowed,
    ) -> Result<Option<Pulled>> {
        if !plan_refers(plan, level)? {
            return Ok(Some(Pulled::nothing(plan.clone())));
        }
        match plan {
            LogicalPlan::Filter(filter) => self.pull_filter(filter, level, allowed),
            LogicalPlan::Projection(projection) => self.pull_projection(projection, level, allowed),
            LogicalPlan::SubqueryAlias(alias) => self.pull_alias(alias, level, allowed),
            LogicalPlan::Subquery(subquery) => self.pull_out(&subquery.subquery, level, allowed),
            LogicalPlan::Join(join) => self.pull_join(join, level, allowed),
            LogicalPlan::Aggregate(aggregate) => self.pull_aggregate(aggregate, level),
            LogicalPlan::Window(window) => self.pull_window(window, level),
            LogicalPlan::Distinct(Distinct::All(input)) => self.pull_distinct(input, level),
            LogicalPlan::Limit(limit) => self.pull_limit(limit, level),
            // Rows of a subquery have no order.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.pull_out(&sort.input, level, allowed),
            _ => Ok(None),
        }
    }

    fn pull_filter(&mut self, filter: &Filter, level: &[Column], allowed: Allowed) -> Result<Option<Pulled>> {
        let Some(mut pulled) = self.pull_out(&filter.input, level, allowed)? else {
            return Ok(None);
        };
        let (stays, all) = pulled.sort_out(&filter.predicate, level, allowed)?;
        if !all {
            return Ok(None);
        }
        if let Some(stays) = stays {
            let plan = std::mem::take(&mut pulled.plan);
            pulled.plan = LogicalPlan::Filter(Filter::try_new(stays, Arc::new(plan))?);
        }
        self.as_columns(&mut pulled, allowed)?;
        Ok(Some(pulled))
    }

    /// Computes keys that are not columns, where something is computed for each value of them further up.
    fn as_columns(&mut self, pulled: &mut Pulled, allowed: Allowed) -> Result<()> {
        let computed = |(inner, _): &(Expr, Expr)| !matches!(inner, Expr::Column(_));
        if allowed == Allowed::Any || !pulled.keys.iter().any(computed) {
            return Ok(());
        }
        let mut exprs: Vec<Expr> = pulled.plan.schema().columns().into_iter().map(Expr::Column).collect();
        let number = self.number();
        for (at, key) in pulled.keys.iter_mut().enumerate().filter(|(_, key)| computed(key)) {
            let name = format!("__sub_{number}_{at}");
            let inner = std::mem::replace(&mut key.0, Expr::Column(Column::from_name(&name)));
            exprs.push(inner.alias(name));
        }
        let plan = Projection::try_new(exprs, Arc::new(std::mem::take(&mut pulled.plan)))?;
        pulled.plan = LogicalPlan::Projection(plan);
        Ok(())
    }

    fn pull_projection(&mut self, of: &Projection, level: &[Column], allowed: Allowed) -> Result<Option<Pulled>> {
        for expr in &of.expr {
            if refers(expr, level)? {
                return Ok(None);
            }
        }
        let Some(mut pulled) = self.pull_out(&of.input, level, allowed)? else {
            return Ok(None);
        };
        let mut exprs = of.expr.clone();
        self.carry(&mut pulled, &mut exprs, &of.schema.columns())?;
        let plan = std::mem::take(&mut pulled.plan);
        pulled.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        Ok(Some(pulled))
    }

    /// Adds to expressions what conditions need of their input, unless it is among them.
    fn carry(&mut self, pulled: &mut Pulled, exprs: &mut Vec<Expr>, columns: &[Column]) -> Result<()> {
        let number = self.number();
        let mut carried = Vec::new();
        for (at, column) in pulled.needed().into_iter().enumerate() {
            let same = |expr: &Expr| matches!(expr.clone().unalias(), Expr::Column(known) if known == column);
            let known = exprs.iter().take(columns.len()).position(same);
            let above = match known.and_then(|at| columns.get(at)) {
                Some(known) => known.clone(),
                None => {
                    let name = format!("__sub_{number}_{at}");
                    exprs.push(Expr::Column(column.clone()).alias(&name));
                    Column::from_name(name)
                }
            };
            carried.push((column, above));
        }
        pulled.replace(&|column| {
            let found = carried.iter().find(|(below, _)| below == column);
            found.map(|(_, above)| Expr::Column(above.clone()))
        })
    }

    fn pull_alias(&mut self, of: &SubqueryAlias, level: &[Column], allowed: Allowed) -> Result<Option<Pulled>> {
        let Some(mut pulled) = self.pull_out(&of.input, level, allowed)? else {
            return Ok(None);
        };
        // Columns that are new by now have names of their own, those of the subquery are alone in it.
        let mut columns = of.input.schema().columns();
        for column in pulled.needed() {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let mut exprs: Vec<Expr> = Vec::new();
        let mut named = Vec::new();
        let number = self.number();
        for (at, column) in columns.into_iter().enumerate() {
            let name = match of.schema.fields().get(at) {
                Some(field) => field.name().clone(),
                None => format!("__sub_{number}_{at}"),
            };
            exprs.push(match column.name == name {
                true => Expr::Column(column.clone()),
                false => Expr::Column(column.clone()).alias(&name),
            });
            named.push((column, Column::new(Some(of.alias.clone()), name)));
        }
        pulled.replace(&|column| {
            let found = named.iter().find(|(below, _)| below == column);
            found.map(|(_, above)| Expr::Column(above.clone()))
        })?;
        let plan = Projection::try_new(exprs, Arc::new(std::mem::take(&mut pulled.plan)))?;
        let plan = SubqueryAlias::try_new(Arc::new(LogicalPlan::Projection(plan)), of.alias.clone())?;
        pulled.plan = LogicalPlan::SubqueryAlias(plan);
        Ok(Some(pulled))
    }

    fn pull_join(&mut self, join: &Join, level: &[Column], allowed: Allowed) -> Result<Option<Pulled>> {
        let inner = join.join_type == JoinType::Inner;
        let keeps_left = matches!(join.join_type, JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti);
        for (left, right) in &join.on {
            if refers(left, level)? || refers(right, level)? {
                return Ok(None);
            }
        }
        let in_filter = join.filter.as_ref().map(|filter| refers(filter, level)).transpose()?;
        let only_left = in_filter != Some(true) && !plan_refers(&join.right, level)?;
        let possible = inner || (keeps_left && only_left);
        if !possible {
            return Ok(None);
        }
        let Some(mut pulled) = self.pull_out(&join.left, level, allowed)? else {
            return Ok(None);
        };
        let Some(mut right) = self.pull_out(&join.right, level, allowed)? else {
            return Ok(None);
        };
        pulled.add(&mut right);
        let mut filter = join.filter.clone();
        if let Some(predicate) = &join.filter
            && inner
        {
            let (stays, all) = pulled.sort_out(predicate, level, allowed)?;
            if !all {
                return Ok(None);
            }
            filter = stays;
        }
        let left = std::mem::take(&mut pulled.plan);
        pulled.plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right.plan),
            join.on.clone(),
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?);
        self.as_columns(&mut pulled, allowed)?;
        Ok(Some(pulled))
    }

    /// A grouping is made for each value of the keys. One without groups has a row even where there is no value.
    fn pull_aggregate(&mut self, of: &Aggregate, level: &[Column]) -> Result<Option<Pulled>> {
        let grouped =
            !of.group_expr.is_empty() && !of.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
        for expr in of.group_expr.iter().chain(&of.aggr_expr) {
            if refers(expr, level)? {
                return Ok(None);
            }
        }
        if !grouped {
            return Ok(None);
        }
        let Some(mut pulled) = self.pull_out(&of.input, level, Allowed::Keys)? else {
            return Ok(None);
        };
        let columns = of.schema.columns();
        let mut groups = of.group_expr.clone();
        let groups_before = groups.len();
        self.carry(
            &mut pulled,
            &mut groups,
            columns.get(..groups_before).unwrap_or_default(),
        )?;
        let plan = std::mem::take(&mut pulled.plan);
        let plan = Aggregate::try_new(Arc::new(plan), groups, of.aggr_expr.clone())?;
        pulled.plan = LogicalPlan::Aggregate(plan);
        Ok(Some(pulled))
    }

    fn pull_window(&mut self, of: &Window, level: &[Column]) -> Result<Option<Pulled>> {
        for expr in &of.window_expr {
            if refers(expr, level)? {
                return Ok(None);
            }
        }
        let Some(mut pulled) = self.pull_out(&of.input, level, Allowed::Keys)? else {
            return Ok(None);
        };
        let keys: Vec<Expr> = pulled.keys.iter().map(|(inner, _)| inner.clone()).collect();
        let exprs = of.window_expr.iter().map(|expr| partitioned(expr.clone(), &keys));
        let exprs = exprs.collect::<Result<_>>()?;
        let plan = std::mem::take(&mut pulled.plan);
        pulled.plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        Ok(Some(pulled))
    }

    fn pull_distinct(&mut self, input: &LogicalPlan, level: &[Column]) -> Result<Option<Pulled>> {
        let Some(mut pulled) = self.pull_out(input, level, Allowed::Keys)? else {
            return Ok(None);
        };
        let mut columns = input.schema().columns();
        for column in pulled.needed() {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let plan = only(std::mem::take(&mut pulled.plan), &columns)?;
        pulled.plan = LogicalPlan::Distinct(Distinct::All(Arc::new(plan)));
        Ok(Some(pulled))
    }
}

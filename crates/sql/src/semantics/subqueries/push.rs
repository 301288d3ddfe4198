//! The bindings of a correlated subquery are pushed down it, to where it refers to them: each node then gives, for each binding,
//! the rows that it would give to this binding alone. Joins are in `push_joins`, LIMIT in `limits`.

use std::sync::Arc;

use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Filter, JoinType, LogicalPlan, Projection, SubqueryAlias, Union, Unnest,
    Values, Window,
};

use super::aggregates::value_or;
use super::alike::alike;
use super::domain::Domain;
use super::limits::partitioned;
use super::outer::plan_refers;
use super::site::{joined, only};
use super::statement::Statement;

/// A subquery that has been computed for each binding.
pub(super) struct Pushed {
    /// It has the columns of the subquery, and those of the bindings.
    pub(super) plan: LogicalPlan,
    /// The columns of the bindings, in the order of the domain's.
    pub(super) columns: Vec<Column>,
    /// Which of them are NULL in no row.
    pub(super) never_null: Vec<bool>,
}

impl Pushed {
    /// An expression with the columns of the bindings in the place of references outside.
    pub(super) fn bind(&self, expr: Expr, domain: &Domain) -> Result<Expr> {
        domain.bind(expr, &self.columns)
    }

    fn bind_named(&self, exprs: Vec<Expr>, domain: &Domain) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        let bind = |expr: Expr| {
            let name = names.save(&expr);
            Ok(name.restore(self.bind(expr, domain)?))
        };
        exprs.into_iter().map(bind).collect()
    }

    fn groups(&self) -> Vec<Expr> {
        self.columns.iter().cloned().map(Expr::Column).collect()
    }

    /// The columns of a plan before it was pushed into, and the bindings, in this order.
    fn exactly(&self, columns: Vec<Column>) -> Vec<Column> {
        columns.into_iter().chain(self.columns.iter().cloned()).collect()
    }
}

impl Statement {
    /// Computes a subquery for each binding.
    pub(super) fn push(&mut self, plan: LogicalPlan, domain: &Domain) -> Result<Pushed> {
        if !plan_refers(&plan, &domain.columns)? {
            return self.for_each(plan, domain, Vec::new());
        }
        match plan {
            LogicalPlan::Filter(filter) => self.push_filter(filter, domain),
            LogicalPlan::Projection(projection) => self.push_projection(projection, domain),
            LogicalPlan::SubqueryAlias(alias) => self.push_alias(alias, domain),
            LogicalPlan::Subquery(subquery) => self.push(Arc::unwrap_or_clone(subquery.subquery), domain),
            LogicalPlan::Aggregate(aggregate) => self.push_aggregate(aggregate, domain),
            LogicalPlan::Window(window) => self.push_window(window, domain),
            LogicalPlan::Distinct(Distinct::All(input)) => self.push_distinct(input, domain),
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.push_distinct_on(distinct, domain),
            LogicalPlan::Limit(limit) => self.push_limit(&limit, domain),
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => self.push_first(&sort, domain),
            // Rows of a subquery have no order.
            LogicalPlan::Sort(sort) => self.push(Arc::unwrap_or_clone(sort.input), domain),
            LogicalPlan::Union(union) => self.push_union(union, domain),
            LogicalPlan::Values(values) => self.push_values(values, domain),
            LogicalPlan::Unnest(unnest) => self.push_unnest(unnest, domain),
            LogicalPlan::Join(join) => self.push_join(join, domain),
            _ => plan_err!(
                "a subquery refers to rows outside it from where it cannot be computed for each of them: join it in FROM"
            ),
        }
    }

    /// The rows of a plan that does not refer outside, with each binding for which these conditions hold.
    fn for_each(&mut self, plan: LogicalPlan, domain: &Domain, conditions: Vec<Expr>) -> Result<Pushed> {
        let (bindings, columns) = self.bindings(domain)?;
        let mut bound = Vec::new();
        let mut never_null = vec![false; columns.len()];
        for condition in conditions {
            merge(&mut never_null, &domain.never_null(&condition), |one, other| {
                one || other
            });
            bound.push(domain.bind(condition, &columns)?);
        }
        let plan = match plan {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
                filtered(bindings, bound)?
            }
            plan => joined(plan, bindings, JoinType::Inner, bound)?,
        };
        Ok(Pushed {
            plan,
            columns,
            never_null,
        })
    }

    fn push_filter(&mut self, filter: Filter, domain: &Domain) -> Result<Pushed> {
        let input = Arc::unwrap_or_clone(filter.input);
        if !plan_refers(&input, &domain.columns)? {
            return self.for_each(input, domain, vec![filter.predicate]);
        }
        let mut pushed = self.push(input, domain)?;
        let never_null = domain.never_null(&filter.predicate);
        merge(&mut pushed.never_null, &never_null, |one, other| one || other);
        let predicate = pushed.bind(filter.predicate, domain)?;
        pushed.plan = filtered(pushed.plan, vec![predicate])?;
        Ok(pushed)
    }

    fn push_projection(&mut self, of: Projection, domain: &Domain) -> Result<Pushed> {
        let mut pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let mut exprs = pushed.bind_named(of.expr, domain)?;
        exprs.extend(pushed.groups());
        pushed.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(pushed.plan))?);
        Ok(pushed)
    }

    fn push_alias(&mut self, of: SubqueryAlias, domain: &Domain) -> Result<Pushed> {
        let columns = of.input.schema().columns();
        let pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let plan = only(
            pushed.plan,
            &columns
                .into_iter()
                .chain(pushed.columns.iter().cloned())
                .collect::<Vec<_>>(),
        )?;
        let alias = |column: &Column| Column::new(Some(of.alias.clone()), &column.name);
        let columns = pushed.columns.iter().map(alias).collect();
        let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(plan), of.alias)?);
        Ok(Pushed {
            plan,
            columns,
            never_null: pushed.never_null,
        })
    }

    fn push_aggregate(&mut self, of: Aggregate, domain: &Domain) -> Result<Pushed> {
        if of.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return plan_err!(
                "GROUPING SETS, ROLLUP and CUBE cannot be computed for each row outside a subquery: join them in FROM"
            );
        }
        if of.group_expr.is_empty() {
            return self.push_total(of, domain);
        }
        let mut pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let mut groups = pushed.bind_named(of.group_expr, domain)?;
        groups.extend(pushed.groups());
        let aggregates = pushed.bind_named(of.aggr_expr, domain)?;
        pushed.plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(pushed.plan), groups, aggregates)?);
        Ok(pushed)
    }

    /// Aggregates without GROUP BY have a row for every binding, with or without rows to aggregate.
    fn push_total(&mut self, of: Aggregate, domain: &Domain) -> Result<Pushed> {
        let schema = Arc::clone(&of.schema);
        let mut empty = Vec::new();
        for (expr, field) in of.aggr_expr.iter().zip(schema.fields()) {
            empty.push(match expr.clone().unalias() {
                Expr::AggregateFunction(aggregate) => aggregate.func.default_value(field.data_type())?,
                _ => field.data_type().try_into()?,
            });
        }
        let pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let mut aggregates = Vec::new();
        for expr in of.aggr_expr {
            aggregates.push(pushed.bind(expr, domain)?);
        }
        let (table, mut keys) = self.grouped(
            pushed.plan,
            pushed.columns.iter().cloned().map(Expr::Column).collect(),
            aggregates,
        )?;
        let values = keys.split_off(domain.columns.len());
        let (bindings, columns) = self.bindings(domain)?;
        let mut on = Vec::new();
        for ((column, key), never_null) in columns.iter().zip(&keys).zip(&pushed.never_null) {
            on.extend(alike((column, bindings.schema()), (key, table.schema()), *never_null)?);
        }
        let plan = joined(bindings, table, JoinType::Left, on)?;
        let values = values
            .into_iter()
            .zip(&empty)
            .map(|(value, empty)| value_or(value, empty));
        let named = values.zip(schema.iter());
        let named = named.map(|(value, (table, field))| value.alias_qualified(table.cloned(), field.name()));
        let exprs = named.chain(columns.iter().cloned().map(Expr::Column)).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        let never_null = vec![false; columns.len()];
        Ok(Pushed {
            plan,
            columns,
            never_null,
        })
    }

    fn push_window(&mut self, of: Window, domain: &Domain) -> Result<Pushed> {
        let mut pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let keys = pushed.groups();
        let exprs = pushed.bind_named(of.window_expr, domain)?;
        let exprs = exprs.into_iter().map(|expr| partitioned(expr, &keys));
        let exprs = exprs.collect::<Result<_>>()?;
        pushed.plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(pushed.plan))?);
        Ok(pushed)
    }

    fn push_distinct(&mut self, input: Arc<LogicalPlan>, domain: &Domain) -> Result<Pushed> {
        let columns = input.schema().columns();
        let mut pushed = self.push(Arc::unwrap_or_clone(input), domain)?;
        let columns = pushed.exactly(columns);
        let plan = only(pushed.plan, &columns)?;
        pushed.plan = LogicalPlan::Distinct(Distinct::All(Arc::new(plan)));
        Ok(pushed)
    }

    fn push_distinct_on(&mut self, of: DistinctOn, domain: &Domain) -> Result<Pushed> {
        let mut pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let keys = pushed.groups();
        let mut on = keys.clone();
        for expr in of.on_expr {
            on.push(pushed.bind(expr, domain)?);
        }
        let mut select = pushed.bind_named(of.select_expr, domain)?;
        select.extend(keys.iter().cloned());
        let mut sort = None;
        if let Some(order) = of.sort_expr {
            let mut sorted: Vec<_> = keys.into_iter().map(|key| key.sort(true, true)).collect();
            for mut order in order {
                order.expr = pushed.bind(order.expr, domain)?;
                sorted.push(order);
            }
            sort = Some(sorted);
        }
        let distinct = DistinctOn::try_new(on, select, sort, Arc::new(pushed.plan))?;
        pushed.plan = LogicalPlan::Distinct(Distinct::On(distinct));
        Ok(pushed)
    }

    fn push_union(&mut self, of: Union, domain: &Domain) -> Result<Pushed> {
        let names = of.schema.columns();
        let number = self.number();
        let (mut inputs, mut columns) = (Vec::new(), Vec::new());
        let mut never_null = vec![true; domain.columns.len()];
        for input in of.inputs {
            let before = input.schema().columns();
            let pushed = self.push(Arc::unwrap_or_clone(input), domain)?;
            merge(&mut never_null, &pushed.never_null, |one, other| one && other);
            let named = before
                .into_iter()
                .zip(&names)
                .map(|(column, name)| Expr::Column(column).alias_qualified(name.relation.clone(), &name.name));
            let name = |at| format!("__sub_{number}_{at}");
            let keys = pushed
                .groups()
                .into_iter()
                .enumerate()
                .map(|(at, key)| key.alias(name(at)));
            columns = (0..pushed.columns.len())
                .map(|at| Column::from_name(name(at)))
                .collect();
            let exprs = named.chain(keys).collect();
            inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(
                exprs,
                Arc::new(pushed.plan),
            )?)));
        }
        let plan = LogicalPlan::Union(Union::try_new(inputs)?);
        // A union forgets the tables of its columns.
        let below = plan.schema().columns();
        let exprs = below
            .into_iter()
            .zip(names.iter().chain(&columns))
            .map(|(column, name)| match column == *name {
                true => Expr::Column(column),
                false => Expr::Column(column).alias_qualified(name.relation.clone(), &name.name),
            });
        let plan = LogicalPlan::Projection(Projection::try_new(exprs.collect(), Arc::new(plan))?);
        Ok(Pushed {
            plan,
            columns,
            never_null,
        })
    }

    fn push_values(&mut self, of: Values, domain: &Domain) -> Result<Pushed> {
        let number = self.number();
        let name = |at| format!("__sub_{number}_{at}");
        let names: Vec<Column> = (0..domain.columns.len())
            .map(|at| Column::from_name(name(at)))
            .collect();
        let mut inputs = Vec::new();
        for row in of.values {
            let (plan, columns) = self.bindings(domain)?;
            let mut exprs = Vec::new();
            for (expr, field) in row.into_iter().zip(of.schema.fields()) {
                let expr = domain.bind(expr, &columns)?;
                exprs.push(datafusion::logical_expr::cast(expr, field.data_type().clone()).alias(field.name()));
            }
            exprs.extend(
                columns
                    .into_iter()
                    .zip(&names)
                    .map(|(column, name)| Expr::Column(column).alias(&name.name)),
            );
            inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(
                exprs,
                Arc::new(plan),
            )?)));
        }
        let plan = match inputs.len() {
            1 => inputs.pop().map(Arc::unwrap_or_clone).unwrap_or_default(),
            _ => LogicalPlan::Union(Union::try_new(inputs)?),
        };
        Ok(Pushed {
            plan,
            never_null: vec![false; names.len()],
            columns: names,
        })
    }

    fn push_unnest(&mut self, of: Unnest, domain: &Domain) -> Result<Pushed> {
        let mut pushed = self.push(Arc::unwrap_or_clone(of.input), domain)?;
        let plan = Unnest::try_new(Arc::new(pushed.plan), of.exec_columns, of.options)?;
        pushed.plan = LogicalPlan::Unnest(plan);
        Ok(pushed)
    }
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    conditions.into_iter().try_fold(plan, |plan, condition| {
        Filter::try_new(condition, Arc::new(plan)).map(LogicalPlan::Filter)
    })
}

/// Merges what is known of each binding.
pub(super) fn merge(known: &mut [bool], other: &[bool], merged: fn(bool, bool) -> bool) {
    for (known, other) in known.iter_mut().zip(other) {
        *known = merged(*known, *other);
    }
}

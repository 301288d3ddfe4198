//! One statement on its way to a plan without subqueries: which nodes may hold them, and the names that are given out.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    AggregateUDF, Distinct, DistinctOn, Expr, Filter, LogicalPlan, Projection, ScalarUDF, SubqueryAlias,
};

use super::lateral::lateral_part;
use super::single::single_value;
use super::site::{Site, only};

/// Whether a plan has a subquery anywhere.
pub(super) fn holds_subqueries(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Subquery(_)) || node_holds(node)?))
}

fn node_holds(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= holds(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether an expression has a subquery in it.
pub(super) fn holds(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        ))
    })
}

/// The rewriting of one statement.
pub(super) struct Statement {
    pub(super) single_row: Arc<AggregateUDF>,
    pub(super) single_value: Arc<ScalarUDF>,
    names: usize,
    changed: bool,
}

impl Statement {
    pub(super) fn new(single_row: Arc<AggregateUDF>) -> Self {
        Self {
            single_row,
            single_value: single_value(),
            names: 0,
            changed: false,
        }
    }

    /// The same plan with joins in the place of subqueries.
    pub(super) fn without_subqueries(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        plan.transform_up(|node| {
            let node = self.node(node)?;
            // What is NULL without a row may have become so in a node below.
            match self.changed {
                true => node.recompute_schema().map(Transformed::yes),
                false => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    /// One node, whose inputs have no subqueries any more.
    fn node(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let lateral = matches!(&node, LogicalPlan::Join(join) if lateral_part(&join.right).is_some());
        if !lateral && !node_holds(&node)? {
            return Ok(node);
        }
        self.changed = true;
        match node {
            LogicalPlan::Join(join) if lateral => self.lateral(join),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Distinct(Distinct::On(_)) => self.expressions(node),
            _ => plan_err!("a subquery cannot stand here: compute it in FROM, and join it"),
        }
    }

    /// A condition: what has no subquery is looked at first, then what decides whether a row stays, then the rest.
    pub(super) fn filter(&mut self, filter: Filter) -> Result<LogicalPlan> {
        let (mut with, mut plain) = (Vec::new(), Vec::new());
        for part in split_conjunction_owned(filter.predicate) {
            match holds(&part)? {
                true => with.push(part),
                false => plain.push(part),
            }
        }
        let input = match conjunction(plain) {
            Some(plain) => Arc::new(LogicalPlan::Filter(Filter::try_new(plain, filter.input)?)),
            None => filter.input,
        };
        let columns = input.schema().columns();
        let mut site = Site::new(input);
        let mut rest = Vec::new();
        for part in with {
            rest.extend(self.predicate(part, &mut site)?);
        }
        let mut plan = site.plan;
        if let Some(rest) = conjunction(rest) {
            plan = LogicalPlan::Filter(Filter::try_new(rest, Arc::new(plan))?);
        }
        only(plan, &columns)
    }

    fn distinct_on(&mut self, on: DistinctOn) -> Result<LogicalPlan> {
        let names: Vec<String> = on
            .select_expr
            .iter()
            .map(|expr| expr.schema_name().to_string())
            .collect();
        let mut site = Site::new(on.input);
        let mut each = |exprs: Vec<Expr>| -> Result<Vec<Expr>> {
            let exprs = exprs.into_iter().map(|expr| match holds(&expr)? {
                true => self.expression(expr, &mut site),
                false => Ok(expr),
            });
            exprs.collect()
        };
        let keys = each(on.on_expr)?;
        let shown = each(on.select_expr)?.into_iter().zip(names);
        let shown = shown
            .map(|(expr, name)| expr.alias_if_changed(name))
            .collect::<Result<_>>()?;
        let order = on.sort_expr.map(|order| {
            let order = order
                .into_iter()
                .map(|by| Ok(by.with_expr(each(vec![by.expr.clone()])?.remove(0))));
            order.collect::<Result<Vec<_>>>()
        });
        let on = DistinctOn::try_new(keys, shown, order.transpose()?, Arc::new(site.plan))?;
        Ok(LogicalPlan::Distinct(Distinct::On(on)))
    }

    /// A node with one input, whose expressions hold subqueries.
    pub(super) fn expressions(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let [input] = node.inputs()[..] else {
            return plan_err!("a subquery cannot stand here: compute it in FROM, and join it");
        };
        // The engine does not rebuild it.
        if let LogicalPlan::Distinct(Distinct::On(on)) = node {
            return self.distinct_on(on);
        }
        let mut site = Site::new(Arc::new(input.clone()));
        let named = !matches!(node, LogicalPlan::Sort(_));
        let names = NamePreserver::new(&node);
        let mut exprs = Vec::new();
        for expr in node.expressions() {
            if !holds(&expr)? {
                exprs.push(expr);
                continue;
            }
            if matches!(expr, Expr::GroupingSet(_)) {
                return plan_err!(
                    "a subquery cannot stand in GROUPING SETS: compute it in FROM, and group by its column"
                );
            }
            let name = named.then(|| names.save(&expr));
            let expr = self.expression(expr, &mut site)?;
            exprs.push(match name {
                Some(name) => name.restore(expr),
                None => expr,
            });
        }
        let columns = node.schema().columns();
        only(node.with_new_exprs(exprs, vec![site.plan])?, &columns)
    }

    /// A number that no other table of this statement has.
    pub(super) fn number(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    /// A plan as a table with a name of its own, and the columns that hold these expressions. No name of a user's query can
    /// be confused with them, even where it stands without a table.
    pub(super) fn table(&mut self, plan: LogicalPlan, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Column>)> {
        let number = self.number();
        let table = TableReference::bare(format!("__sub_{number}"));
        let name = |at: usize| format!("__sub_{number}_{at}");
        let columns = (0..exprs.len()).map(|at| Column::new(Some(table.clone()), name(at)));
        let columns = columns.collect();
        let named = exprs.into_iter().enumerate().map(|(at, expr)| expr.alias(name(at)));
        let plan = Projection::try_new(named.collect(), Arc::new(plan))?;
        let plan = SubqueryAlias::try_new(Arc::new(LogicalPlan::Projection(plan)), table)?;
        Ok((LogicalPlan::SubqueryAlias(plan), columns))
    }
}

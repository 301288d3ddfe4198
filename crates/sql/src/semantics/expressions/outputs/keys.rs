//! Analyzer rules before type coercion, about keys of groups. Nothing is grouped by twice: `GROUP BY a, a`, or by two names of
//! one column, gives an aggregate whose columns the engine counts otherwise in the logical plan than in the physical one. Keys
//! of GROUPING SETS are columns: what is computed is so below, since a rule that rewrites an expression of a set gives the
//! name that it had to the set.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

/// Takes out keys that occur again.
#[derive(Debug, Default)]
pub(in super::super) struct UniqueKeys;

impl AnalyzerRule for UniqueKeys {
    fn name(&self) -> &str {
        "unique_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => unique(aggregate),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn unique(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let count = aggregate.group_expr.len();
    let mut keys: Vec<Expr> = Vec::with_capacity(count);
    for key in &aggregate.group_expr {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    if keys.len() == count {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let aggregate = Aggregate::try_new(aggregate.input, keys, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// Computes the keys of GROUPING SETS below the aggregate.
#[derive(Debug, Default)]
pub(in super::super) struct KeysOfSets;

impl AnalyzerRule for KeysOfSets {
    fn name(&self) -> &str {
        "keys_of_sets"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => computed(aggregate),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn computed(mut aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut keys: Vec<(Expr, Column)> = Vec::new();
    for key in aggregate.group_expr.iter_mut().flat_map(within_sets) {
        if matches!(key, Expr::Column(_)) {
            continue;
        }
        let column = Column::from_name(key.schema_name().to_string());
        let expr = std::mem::replace(key, Expr::Column(column.clone()));
        if !keys.iter().any(|(_, known)| *known == column) {
            keys.push((expr, column));
        }
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let columns = aggregate
        .input
        .schema()
        .iter()
        .map(|field| Expr::Column(Column::from(field)));
    let named = keys.iter().map(|(expr, column)| expr.clone().alias(&column.name));
    let columns = columns.chain(named).collect();
    let input = LogicalPlan::Projection(Projection::try_new(columns, aggregate.input)?);
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(
        Arc::new(input),
        aggregate.group_expr,
        aggregate.aggr_expr,
    )?);
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| Ok(grouping(expr, &keys)))?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?;
    Ok(Transformed::yes(plan.data))
}

/// The keys of a set; of any other key none.
fn within_sets(key: &mut Expr) -> Vec<&mut Expr> {
    match key {
        Expr::GroupingSet(GroupingSet::Rollup(keys) | GroupingSet::Cube(keys)) => keys.iter_mut().collect(),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter_mut().flatten().collect(),
        _ => Vec::new(),
    }
}

/// `grouping()` of keys, by the columns that they have become.
fn grouping(mut expr: Expr, keys: &[(Expr, Column)]) -> Transformed<Expr> {
    let Expr::AggregateFunction(aggregate) = &mut expr else {
        return Transformed::no(expr);
    };
    if aggregate.func.name() != "grouping" {
        return Transformed::no(expr);
    }
    let mut changed = false;
    for arg in &mut aggregate.params.args {
        if let Some((_, column)) = keys.iter().find(|(key, _)| key == arg) {
            *arg = Expr::Column(column.clone());
            changed = true;
        }
    }
    Transformed::new_transformed(expr, changed)
}

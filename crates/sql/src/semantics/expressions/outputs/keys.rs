//! Analyzer rules before type coercion, about keys of groups. Nothing is grouped by twice: `GROUP BY a, a`, or by two names of
//! one column, gives an aggregate whose columns the engine counts otherwise in the logical plan than in the physical one. Keys
//! of GROUPING SETS are columns: what is computed is so below, since a rule that rewrites an expression of a set gives the
//! name that it had to the set. So are those of DISTINCT ON: two may have one name, as `a` and `CAST(a AS BIGINT)` have, and
//! the engine looks for each among the keys of its ORDER BY when both have been simplified.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Distinct, DistinctOn, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

use crate::semantics::free_column;

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
            LogicalPlan::Distinct(Distinct::On(on)) => columns_below(on),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn unique(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let count = aggregate.group_expr.len();
    let keys = each_once(aggregate.group_expr.clone(), |key| key);
    if keys.len() == count {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let aggregate = Aggregate::try_new(aggregate.input, keys, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// Computes the keys of DISTINCT ON below it, and takes out those that occur again.
fn columns_below(mut on: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    if on.on_expr.iter().all(|key| matches!(key, Expr::Column(_))) {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::On(on))));
    }
    let mut keys: Vec<(Expr, Column)> = Vec::new();
    for key in &on.on_expr {
        if !matches!(key, Expr::Column(_)) && !keys.iter().any(|(known, _)| known == key) {
            let taken = keys.iter().map(|(_, column)| column);
            keys.push((key.clone(), free_column("key", on.input.schema(), taken)));
        }
    }
    let order = on.sort_expr.iter_mut().flatten().map(|by| &mut by.expr);
    for expr in on.on_expr.iter_mut().chain(order) {
        if let Some((_, column)) = keys.iter().find(|(key, _)| key == expr) {
            *expr = Expr::Column(column.clone());
        }
    }
    on.on_expr = each_once(on.on_expr, |key| key);
    on.sort_expr = on.sort_expr.map(|order| each_once(order, |by| &by.expr));
    let columns = on.input.schema().iter().map(|field| Expr::Column(Column::from(field)));
    let named = keys.into_iter().map(|(key, column)| key.alias(column.name));
    let below = Projection::try_new(columns.chain(named).collect(), on.input)?;
    on.input = Arc::new(LogicalPlan::Projection(below));
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
}

/// Those of which the expression has not occurred before.
fn each_once<T>(all: Vec<T>, expr_of: impl Fn(&T) -> &Expr) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all {
        if !kept.iter().any(|known| expr_of(known) == expr_of(&one)) {
            kept.push(one);
        }
    }
    kept
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

fn computed(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    keys_below(aggregate, |key, of_set| {
        Ok((of_set && !matches!(key, Expr::Column(_))).then(|| key.clone()))
    })
}

/// Groups by columns of a projection below, whose expressions `computed` returns of the keys that are to be so and of whether
/// they are those of a set. What comes out has the names that it had: those of the columns below are none of the statement's,
/// since a key may be named as a column is, `CAST(t.a AS INT)` as `t.a`.
pub(in super::super) fn keys_below(
    mut aggregate: Aggregate,
    computed: impl Fn(&Expr, bool) -> Result<Option<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let mut keys: Vec<(Expr, Expr, Column)> = Vec::new();
    for (key, of_set) in aggregate.group_expr.iter_mut().flat_map(each_key) {
        let Some(expr) = computed(key, of_set)? else {
            continue;
        };
        if let Some((_, _, known)) = keys.iter().find(|(before, _, _)| before == key) {
            *key = Expr::Column(known.clone());
            continue;
        }
        let column = free_column(
            "key",
            aggregate.input.schema(),
            keys.iter().map(|(_, _, column)| column),
        );
        let before = std::mem::replace(key, Expr::Column(column.clone()));
        keys.push((before, expr, column));
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let columns = aggregate
        .input
        .schema()
        .iter()
        .map(|field| Expr::Column(Column::from(field)));
    let named = keys.iter().map(|(_, expr, column)| expr.clone().alias(&column.name));
    let columns = columns.chain(named).collect();
    let input = LogicalPlan::Projection(Projection::try_new(columns, aggregate.input)?);
    let mut aggregates = Vec::with_capacity(aggregate.aggr_expr.len());
    for expr in aggregate.aggr_expr {
        let name = expr.schema_name().to_string();
        let expr = expr.transform_up(|expr| Ok(grouping(expr, &keys)))?;
        aggregates.push(expr.data.alias_if_changed(name)?);
    }
    let grouped = Aggregate::try_new(Arc::new(input), aggregate.group_expr, aggregates)?;
    let named = grouped.schema.iter().zip(aggregate.schema.iter());
    // Which set a row is of is read by `grouping()` alone, which is not written out yet.
    let named = named.filter(|((_, field), _)| field.name() != Aggregate::INTERNAL_GROUPING_ID);
    let named = named.map(|(field, (relation, before))| {
        let column = Column::from(field);
        match column.name == *before.name() && column.relation.as_ref() == relation {
            true => Expr::Column(column),
            false => Expr::Column(column).alias_qualified(relation.cloned(), before.name()),
        }
    });
    let named = named.collect();
    let plan = Projection::try_new(named, Arc::new(LogicalPlan::Aggregate(grouped)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}

/// A key, or those of a set, with whether it is one.
fn each_key(key: &mut Expr) -> Vec<(&mut Expr, bool)> {
    let of_set = |key| (key, true);
    match key {
        Expr::GroupingSet(GroupingSet::Rollup(keys) | GroupingSet::Cube(keys)) => keys.iter_mut().map(of_set).collect(),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter_mut().flatten().map(of_set).collect(),
        key => vec![(key, false)],
    }
}

/// `grouping()` of keys, by the columns that they have become.
fn grouping(mut expr: Expr, keys: &[(Expr, Expr, Column)]) -> Transformed<Expr> {
    let Expr::AggregateFunction(aggregate) = &mut expr else {
        return Transformed::no(expr);
    };
    if aggregate.func.name() != "grouping" {
        return Transformed::no(expr);
    }
    let mut changed = false;
    for arg in &mut aggregate.params.args {
        if let Some((_, _, column)) = keys.iter().find(|(key, _, _)| key == arg) {
            *arg = Expr::Column(column.clone());
            changed = true;
        }
    }
    Transformed::new_transformed(expr, changed)
}

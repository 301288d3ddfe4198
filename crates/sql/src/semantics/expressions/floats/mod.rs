//! An analyzer rule behind type coercion: 0.0 and −0.0 are one number, and so are all values that are not a number, which are
//! greater than any that is. The engine compares floats by their bits. Where two of them meet, [`function`] makes their bits
//! alike; where one meets a constant, [`comparisons`] choose the constant, so that conditions stay ones that files can be
//! pruned by.
//!
//! Rows meet as keys of groups, DISTINCT, joins, partitions and orders. Here keys that are columns become others in a
//! projection below, under their names.

mod comparisons;
mod function;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Join, JoinConstraint, LogicalPlan, Projection, SortExpr,
};
use datafusion::optimizer::AnalyzerRule;

pub(super) use function::function;

use super::each::rewrite_node;
use super::outputs::keys_below;
use function::positive;

/// Has floats be equal that are.
#[derive(Debug, Default)]
pub(super) struct OneZero;

impl AnalyzerRule for OneZero {
    fn name(&self) -> &str {
        "one_zero"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let node = rewrite_node(node, &comparisons::concerned, &mut |expr, schema| {
                expr.transform_up(|expr| comparisons::of_one_zero(expr, schema))
            })?;
            node.transform_data(keys)
        })
        .data()
    }
}

fn is_float(of: &DataType) -> bool {
    matches!(of, DataType::Float32 | DataType::Float64)
}

/// The keys by which a node brings rows together.
fn keys(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Aggregate(aggregate) => groups(aggregate),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns = floats(input.schema());
            let changed = !columns.is_empty();
            let input = if changed { projected(input, &columns)? } else { input };
            let distinct = LogicalPlan::Distinct(Distinct::All(input));
            Ok(Transformed::new_transformed(distinct, changed))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let schema = Arc::clone(on.input.schema());
            let mut changed = false;
            for key in &mut on.on_expr {
                changed |= make_positive(key, &schema)?;
            }
            for key in on.sort_expr.iter_mut().flatten() {
                changed |= make_positive(&mut key.expr, &schema)?;
            }
            let distinct = LogicalPlan::Distinct(Distinct::On(on));
            Ok(Transformed::new_transformed(distinct, changed))
        }
        LogicalPlan::Sort(mut sort) => {
            let schema = Arc::clone(sort.input.schema());
            // Behind the last key nothing is left to order.
            let count = sort.expr.len().saturating_sub(1);
            let changed = make_all_positive(sort.expr.iter_mut().take(count), &schema)?;
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Join(join) => pairs(join),
        node => Ok(Transformed::no(node)),
    }
}

fn make_all_positive<'a>(keys: impl Iterator<Item = &'a mut SortExpr>, schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for key in keys {
        changed |= make_positive(&mut key.expr, schema)?;
    }
    Ok(changed)
}

/// Makes the key positive if it is a float. Whether it is.
fn make_positive(key: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let float = is_float(&key.get_type(schema)?);
    if float {
        *key = positive(std::mem::take(key));
    }
    Ok(float)
}

/// The columns that are floats.
fn floats(schema: &DFSchema) -> Vec<Column> {
    let floats = schema.iter().filter(|(_, field)| is_float(field.data_type()));
    floats.map(Column::from).collect()
}

/// The same rows with these columns made positive.
fn projected(input: Arc<LogicalPlan>, columns: &[Column]) -> Result<Arc<LogicalPlan>> {
    let every = input.schema().iter().map(Column::from);
    let exprs = every.map(|column| match columns.contains(&column) {
        true => {
            let (relation, name) = (column.relation.clone(), column.name.clone());
            positive(Expr::Column(column)).alias_qualified(relation, name)
        }
        false => Expr::Column(column),
    });
    let exprs = exprs.collect();
    Projection::try_new(exprs, input).map(|projection| Arc::new(LogicalPlan::Projection(projection)))
}

/// Keys that are columns are made positive below, and those that are computed from others are computed there, too.
fn groups(mut aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(aggregate.input.schema());
    let keys: Vec<&Column> = aggregate.group_expr.iter().flat_map(columns_of).collect();
    let mut columns = floats(&schema);
    columns.retain(|column| keys.contains(&column));
    if !columns.is_empty() {
        aggregate.input = projected(aggregate.input, &columns)?;
    }
    let grouped = keys_below(aggregate, |key, _| {
        let computed = !matches!(key, Expr::Column(_)) && is_float(&key.get_type(&schema)?);
        Ok(computed.then(|| positive(key.clone())))
    })?;
    let changed = grouped.transformed || !columns.is_empty();
    Ok(Transformed::new_transformed(grouped.data, changed))
}

/// The columns that a key is, or that the keys of a set are.
fn columns_of(key: &Expr) -> Vec<&Column> {
    match key {
        Expr::GroupingSet(set) => set.distinct_expr().into_iter().filter_map(Expr::try_as_col).collect(),
        key => key.try_as_col().into_iter().collect(),
    }
}

/// The pairs of keys of a join. Those of USING are columns, so that it becomes one by ON.
fn pairs(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        changed |= make_positive(left, join.left.schema())?;
        changed |= make_positive(right, join.right.schema())?;
    }
    if changed {
        join.join_constraint = JoinConstraint::On;
    }
    Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
}

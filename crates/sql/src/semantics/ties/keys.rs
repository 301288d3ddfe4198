//! Which columns tell the rows of a plan apart, as far as the statement can see.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Projection};

use super::Tables;

/// Returns the positions of columns such that rows which agree in all of them are interchangeable in the whole statement.
pub(super) fn keys(plan: &LogicalPlan, tables: &dyn Tables) -> Result<Vec<usize>> {
    let keys = match plan {
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_) => match plan.inputs().as_slice() {
            [input] => keys(input, tables)?,
            _ => Vec::new(),
        },
        LogicalPlan::Projection(projection) => of_projection(projection, tables)?,
        LogicalPlan::Aggregate(aggregate) => {
            let grouped = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
            (0..grouped).collect()
        }
        LogicalPlan::Window(window) => {
            let mut kept = keys(&window.input, tables)?;
            let readable = readable(plan, tables)?;
            kept.extend((window.input.schema().fields().len()..readable.len()).filter(|at| readable[*at]));
            kept
        }
        LogicalPlan::Join(join) => {
            let left = keys(&join.left, tables)?;
            let width = join.left.schema().fields().len();
            let right = keys(&join.right, tables)?;
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => left,
                JoinType::RightSemi | JoinType::RightAnti => right,
                JoinType::LeftMark => left.into_iter().chain([width]).collect(),
                JoinType::RightMark => right.into_iter().chain([join.right.schema().fields().len()]).collect(),
                _ => left.into_iter().chain(right.into_iter().map(|at| at + width)).collect(),
            }
        }
        _ => all_readable(plan, tables)?,
    };
    let fields = plan.schema().fields();
    let sortable = |at: &usize| fields.get(*at).is_some_and(|field| is_sortable(field.data_type()));
    Ok(keys.into_iter().filter(sortable).collect())
}

/// The keys of the input if all of them come out; otherwise everything that comes out.
fn of_projection(projection: &Projection, tables: &dyn Tables) -> Result<Vec<usize>> {
    let input = projection.input.schema();
    let below = keys(&projection.input, tables)?;
    let place = |key: &usize| {
        let (qualifier, field) = input.qualified_field(*key);
        projection.expr.iter().position(|expr| match unaliased(expr) {
            Expr::Column(column) => column.relation.as_ref() == qualifier && column.name == *field.name(),
            _ => false,
        })
    };
    match below.iter().map(place).collect::<Option<Vec<usize>>>() {
        Some(all) => Ok(all),
        None => all_readable(&LogicalPlan::Projection(projection.clone()), tables),
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        expr => expr,
    }
}

fn all_readable(plan: &LogicalPlan, tables: &dyn Tables) -> Result<Vec<usize>> {
    let readable = readable(plan, tables)?;
    Ok((0..readable.len()).filter(|at| readable[*at]).collect())
}

/// Returns for each column of the plan whether it can be computed of columns that the statement reads anyway.
fn readable(plan: &LogicalPlan, tables: &dyn Tables) -> Result<Vec<bool>> {
    let schema = plan.schema();
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            let names = schema.fields().iter();
            names.map(|field| tables.reads(scan, field.name())).collect()
        }
        LogicalPlan::Projection(projection) => of_expressions(&projection.expr, &projection.input, tables)?,
        LogicalPlan::Aggregate(aggregate) => {
            let grouped = schema.fields().len() - aggregate.aggr_expr.len();
            let mut all = vec![true; grouped];
            all.extend(of_expressions(&aggregate.aggr_expr, &aggregate.input, tables)?);
            all
        }
        LogicalPlan::Window(window) => {
            let mut all = readable(&window.input, tables)?;
            all.extend(of_expressions(&window.window_expr, &window.input, tables)?);
            all
        }
        LogicalPlan::Union(union) => {
            let mut all = vec![true; schema.fields().len()];
            for input in &union.inputs {
                for (both, one) in all.iter_mut().zip(readable(input, tables)?) {
                    *both &= one;
                }
            }
            all
        }
        _ => {
            let mut all = Vec::new();
            for input in plan.inputs() {
                all.extend(readable(input, tables)?);
            }
            // Semi joins, marks and what else has other columns than its inputs have together.
            if all.len() == schema.fields().len() {
                all
            } else {
                by_name(plan, tables)?
            }
        }
    })
}

/// The columns of a plan as those of the same name in its inputs; those of none are its own.
fn by_name(plan: &LogicalPlan, tables: &dyn Tables) -> Result<Vec<bool>> {
    let mut known = Vec::new();
    for input in plan.inputs() {
        known.push((input.schema(), readable(input, tables)?));
    }
    let of = |(qualifier, field): (Option<&_>, &std::sync::Arc<datafusion::arrow::datatypes::Field>)| {
        known.iter().find_map(|(schema, readable)| {
            let at = schema.index_of_column_by_name(qualifier, field.name())?;
            readable.get(at).copied()
        })
    };
    Ok(plan.schema().iter().map(|column| of(column).unwrap_or(true)).collect())
}

fn of_expressions(exprs: &[Expr], input: &LogicalPlan, tables: &dyn Tables) -> Result<Vec<bool>> {
    let below = readable(input, tables)?;
    let schema = input.schema();
    Ok(exprs
        .iter()
        .map(|expr| {
            !expr.is_volatile()
                && expr.column_refs().into_iter().all(|column| {
                    let at = schema.maybe_index_of_column(column);
                    at.is_some_and(|at| below.get(at).copied().unwrap_or(false))
                })
        })
        .collect())
}

/// Whether values of this type have an order by which the engine sorts.
pub(super) fn is_sortable(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Null | DataType::Interval(_))
}

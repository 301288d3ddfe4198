//! Ties are broken the same way in every run. `ORDER BY` leaves open in which order equal rows come, `LIMIT` without an order
//! which rows come at all, and `row_number` over ties which row gets which number. Rows of a cluster arrive in another order
//! each time, so that a CTE which is read twice would be two different tables.
//!
//! Each of these is given a total order here: what the statement orders by, then the columns that tell its rows apart
//! ([`keys`]). Only columns that the statement reads anyway are added: rows that agree in all of them are interchangeable, and
//! no column is read for the sake of an order. Functions whose answer does not depend on the order of ties (`rank`, frames by
//! RANGE or GROUPS) are left as they are.

mod keys;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, Sort as SortExpr, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprSchemable, Limit, LogicalPlan, Sort, TableScan, Window,
    WindowFrameUnits, WindowFunctionDefinition,
};

/// What is known of the statement's tables.
pub trait Tables {
    /// Whether the statement reads this column of the table.
    fn reads(&self, scan: &TableScan, column: &str) -> bool;

    /// Returns the columns by which the table's rows are ordered where they lie, all of which may be read and are `at_hand`;
    /// none if there is no such order.
    fn order(&self, scan: &TableScan, at_hand: &dyn Fn(&String) -> bool) -> Vec<String>;
}

/// Returns the plan with a total order wherever an order decides about rows or values.
///
/// The plan is analysed and holds no subquery expressions.
///
/// # Errors
/// When a volatile function such as `random()` is computed in a subquery or CTE that is read more than once.
pub fn break_ties(plan: LogicalPlan, tables: &dyn Tables) -> Result<LogicalPlan> {
    refuse_volatile_twice(&plan)?;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) => sorted(sort, tables),
        LogicalPlan::Limit(limit) => limited(limit, tables),
        LogicalPlan::Window(window) => numbered(window, tables),
        LogicalPlan::Aggregate(aggregate) => collected(aggregate),
        LogicalPlan::Distinct(Distinct::On(on)) => first_of_each(on, tables),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(plan.data)
}

/// Returns ascending sort expressions over the columns that tell the rows of `plan` apart, without those in `known`.
fn tie_breakers(plan: &LogicalPlan, tables: &dyn Tables, known: &[SortExpr]) -> Result<Vec<SortExpr>> {
    let columns = keys::keys(plan, tables)?.into_iter();
    let columns = columns.map(|at| Expr::Column(Column::from(plan.schema().qualified_field(at))));
    Ok(columns
        .filter(|column| known.iter().all(|by| by.expr != *column))
        .map(|column| column.sort(true, false))
        .collect())
}

fn sorted(mut sort: Sort, tables: &dyn Tables) -> Result<Transformed<LogicalPlan>> {
    let more = tie_breakers(&sort.input, tables, &sort.expr)?;
    let changed = keep_first(&mut sort.expr) | !more.is_empty();
    sort.expr.extend(more);
    Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
}

/// Leaves out what is ordered by a second time: rows that are equal in it are so in any direction. The engine takes some such
/// orders for broken plans. Returns whether something was left out.
fn keep_first(by: &mut Vec<SortExpr>) -> bool {
    let before = by.len();
    let mut seen: Vec<Expr> = Vec::new();
    by.retain(|key| {
        let first = !seen.contains(&key.expr);
        seen.push(key.expr.clone());
        first
    });
    by.len() < before
}

fn limited(mut limit: Limit, tables: &dyn Tables) -> Result<Transformed<LogicalPlan>> {
    if is_ordered(&limit.input) {
        return Ok(Transformed::no(LogicalPlan::Limit(limit)));
    }
    limit.input = Arc::new(ordered(Arc::unwrap_or_clone(limit.input), tables)?);
    Ok(Transformed::yes(LogicalPlan::Limit(limit)))
}

/// Whether the rows of `plan` come out in an order that it asks for.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Limit(_) => {
            plan.inputs().into_iter().all(is_ordered)
        }
        _ => false,
    }
}

/// Returns the plan in a total order: that of a table where its rows are a table's, so that the first rows are found without
/// reading the others, and that of its columns otherwise. Rows of VALUES are ordered as such: DataFusion 55 forgets a limit
/// of rows of which no column is read.
fn ordered(plan: LogicalPlan, tables: &dyn Tables) -> Result<LogicalPlan> {
    if let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = &plan
        && source_below(&plan).is_some()
    {
        let inputs = plan.inputs().into_iter().cloned();
        let inputs = inputs.map(|input| ordered(input, tables)).collect::<Result<Vec<_>>>()?;
        return plan.with_new_exprs(plan.expressions(), inputs);
    }
    let mut by = order_of_table(&plan, tables);
    by.extend(tie_breakers(&plan, tables, &by)?);
    if by.is_empty() {
        return Ok(plan);
    }
    Ok(LogicalPlan::Sort(Sort {
        expr: by,
        input: Arc::new(plan),
        fetch: None,
    }))
}

/// Returns the order of the table of which the plan's rows are some, where all of its columns come out of the plan.
fn order_of_table(plan: &LogicalPlan, tables: &dyn Tables) -> Vec<SortExpr> {
    let Some(LogicalPlan::TableScan(scan)) = source_below(plan) else {
        return Vec::new();
    };
    let column = |name: &str| Column::new(Some(scan.table_name.clone()), name);
    let comes_out = |name: &String| plan.schema().has_column(&column(name));
    let columns = tables.order(scan, &comes_out).into_iter();
    columns
        .map(|name| Expr::Column(column(&name)).sort(true, true))
        .collect()
}

/// Returns the scan of a table, or the VALUES, of which the plan's rows are some.
fn source_below(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) => Some(plan),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            plan.inputs().first().and_then(|input| source_below(input))
        }
        _ => None,
    }
}

fn numbered(window: Window, tables: &dyn Tables) -> Result<Transformed<LogicalPlan>> {
    let input = Arc::clone(&window.input);
    let plan = LogicalPlan::Window(window);
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let total = expr.transform_up(|expr| {
            let Expr::WindowFunction(mut window) = expr else {
                return Ok(Transformed::no(expr));
            };
            if !depends_on_ties(&window) {
                return Ok(Transformed::no(Expr::WindowFunction(window)));
            }
            let by = &mut window.params.order_by;
            let more = tie_breakers(&input, tables, by)?;
            let more = more
                .into_iter()
                .filter(|key| !window.params.partition_by.contains(&key.expr));
            let left_out = keep_first(by);
            let kept = by.len();
            by.extend(more);
            let changed = left_out || by.len() > kept;
            Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
        })?;
        Ok(total.update_data(|expr| name.restore(expr)))
    })
}

/// Whether the order of equal rows decides what the window function answers, and a total order leaves its frame as it is.
fn depends_on_ties(window: &WindowFunction) -> bool {
    let frame = &window.params.window_frame;
    let whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
    let by_rows = frame.units == WindowFrameUnits::Rows && !whole;
    match &window.fun {
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            "row_number" | "ntile" | "lag" | "lead" => true,
            // The first row of a frame that begins where the partition does is the same in all of them.
            "first_value" => by_rows || frame.start_bound.is_unbounded(),
            "last_value" | "nth_value" => by_rows || whole,
            _ => false,
        },
        WindowFunctionDefinition::AggregateUDF(function) => {
            let ordered = matches!(
                function.name(),
                "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value"
            );
            by_rows || (ordered && whole)
        }
    }
}

/// Aggregates that depend on the order of rows, and have none or leave ties, are ordered by their argument.
fn collected(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let in_order = is_ordered(&aggregate.input);
    let schema = Arc::clone(aggregate.input.schema());
    let plan = LogicalPlan::Aggregate(aggregate);
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let total = expr.transform_up(|expr| {
            let Expr::AggregateFunction(mut function) = expr else {
                return Ok(Transformed::no(expr));
            };
            let more = argument_order(&function, in_order);
            let sortable = more.filter(|by| by.expr.get_type(&schema).is_ok_and(|found| keys::is_sortable(&found)));
            let by = &mut function.params.order_by;
            let changed = keep_first(by) | sortable.is_some();
            by.extend(sortable);
            Ok(Transformed::new_transformed(Expr::AggregateFunction(function), changed))
        })?;
        Ok(total.update_data(|expr| name.restore(expr)))
    })
}

fn argument_order(function: &AggregateFunction, in_order: bool) -> Option<SortExpr> {
    let params = &function.params;
    let known = ["array_agg", "string_agg", "first_value", "last_value", "nth_value"];
    let argument = params.args.first().filter(|_| known.contains(&function.func.name()))?;
    if !argument.any_column_refs() {
        return None;
    }
    let asks = !params.order_by.is_empty();
    let has = params.order_by.iter().any(|by| by.expr == *argument);
    let leaves_open = !(has || params.distinct && asks || in_order && !asks);
    leaves_open.then(|| argument.clone().sort(true, false))
}

fn first_of_each(mut on: DistinctOn, tables: &dyn Tables) -> Result<Transformed<LogicalPlan>> {
    let mut by = on.sort_expr.take().unwrap_or_default();
    if by.is_empty() {
        by = on.on_expr.iter().map(|expr| expr.clone().sort(true, false)).collect();
    }
    keep_first(&mut by);
    by.extend(tie_breakers(&on.input, tables, &by)?);
    on.sort_expr = Some(by);
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
}

/// Refuses a statement that computes the same volatile expressions over the same rows in two places: they would differ.
fn refuse_volatile_twice(plan: &LogicalPlan) -> Result<()> {
    let mut seen: Vec<LogicalPlan> = Vec::new();
    let mut twice = false;
    plan.apply(|node| {
        if node.expressions().iter().any(Expr::is_volatile) {
            twice |= seen.contains(node);
            seen.push(node.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if twice {
        return plan_err!(
            "a subquery that is read twice computes a volatile function such as random(): \
             write a function of the row in its place, such as md5 of a key"
        );
    }
    Ok(())
}

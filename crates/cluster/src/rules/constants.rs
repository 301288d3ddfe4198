//! An optimizer rule: a window is neither divided nor ordered by what is the same in all rows, nor by anything twice, and
//! neither an aggregate nor the rows of a query have such an order. The engine asks for no order by a column that it knows to
//! be constant, and may know it no longer when it looks again: behind an exchange, where DataFusion 55 then cannot read the
//! window's plan on an executor, or above a join that loses a side, where its check of orders refuses the plan. Of an order by
//! one expression twice it forgets one on the wire, and then takes the state of an aggregate for another.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Join, LogicalPlan, Operator, Sort, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::below::below;

/// Takes constants and repetitions out of `PARTITION BY` and `ORDER BY` of windows and aggregates.
#[derive(Debug, Default)]
pub(super) struct VaryingOrders;

impl OptimizerRule for VaryingOrders {
    fn name(&self) -> &str {
        "varying_orders"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let (input, order_too) = match &plan {
            // Windows of one node are in one order.
            LogicalPlan::Window(window) => (&window.input, !window.window_expr.iter().any(needs_its_order)),
            LogicalPlan::Aggregate(aggregate) => (&aggregate.input, true),
            LogicalPlan::Sort(_) => return rows_by_what_varies(plan),
            _ => return Ok(Transformed::no(plan)),
        };
        let (input, names) = (Arc::clone(input), NamePreserver::new(&plan));
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let varying = expr.transform_up(|expr| match expr {
                Expr::WindowFunction(window) => window_by_what_varies(window, &input, order_too),
                Expr::AggregateFunction(aggregate) => aggregate_by_what_varies(aggregate, &input),
                expr => Ok(Transformed::no(expr)),
            })?;
            Ok(varying.update_data(|expr| name.restore(expr)))
        })
    }
}

fn window_by_what_varies(
    mut window: Box<WindowFunction>,
    input: &LogicalPlan,
    order_too: bool,
) -> Result<Transformed<Expr>> {
    let params = &mut window.params;
    let before = params.partition_by.len() + params.order_by.len();
    params.partition_by = varying(std::mem::take(&mut params.partition_by), |by| by, input)?;
    if order_too {
        let ordered = !params.order_by.is_empty();
        let partition_by = &params.partition_by;
        params.order_by.retain(|by| !partition_by.contains(&by.expr));
        params.order_by = varying(std::mem::take(&mut params.order_by), |by| &by.expr, input)?;
        if ordered && params.order_by.is_empty() {
            of_one_group(&mut params.window_frame);
        }
    }
    let changed = params.partition_by.len() + params.order_by.len() < before;
    Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
}

/// The frame where all rows are peers. The engine has none by RANGE or GROUPS without an order.
fn of_one_group(frame: &mut WindowFrame) {
    let behind = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Following(rows) if !is_nothing(rows));
    let before = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Preceding(rows) if !is_nothing(rows));
    let (start, end) = (&frame.start_bound, &frame.end_bound);
    *frame = match frame.units {
        WindowFrameUnits::Rows => return,
        WindowFrameUnits::Groups if behind(start) || before(end) => {
            let far = || WindowFrameBound::Following(ScalarValue::UInt64(Some(BEHIND_ALL)));
            WindowFrame::new_bounds(WindowFrameUnits::Rows, far(), far())
        }
        _ => WindowFrame::new(None),
    };
}

/// Whether a frame goes no group far. Without bounds it goes to the end.
fn is_nothing(groups: &ScalarValue) -> bool {
    matches!(groups, ScalarValue::UInt64(Some(0)))
}

/// So many rows behind the last one is nothing, and no sum of it and a row's number is too large.
const BEHIND_ALL: u64 = 1 << 40;

fn aggregate_by_what_varies(mut aggregate: AggregateFunction, input: &LogicalPlan) -> Result<Transformed<Expr>> {
    let order_by = &mut aggregate.params.order_by;
    let before = order_by.len();
    *order_by = varying(std::mem::take(order_by), |by| &by.expr, input)?;
    let changed = order_by.len() < before;
    Ok(Transformed::new_transformed(
        Expr::AggregateFunction(aggregate),
        changed,
    ))
}

/// A limit alone stays with the order that it has: of one without an order the engine asks for one over DISTINCT rows.
fn rows_by_what_varies(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Sort(Sort { expr, input, fetch }) = plan else {
        return Ok(Transformed::no(plan));
    };
    let kept = varying(expr.clone(), |by| &by.expr, &input)?;
    if kept.is_empty() && fetch.is_none() {
        return Ok(Transformed::yes(Arc::unwrap_or_clone(input)));
    }
    let changed = !kept.is_empty() && kept.len() < expr.len();
    let expr = if changed { kept } else { expr };
    let sort = LogicalPlan::Sort(Sort { expr, input, fetch });
    Ok(Transformed::new_transformed(sort, changed))
}

/// Those of which the expression is not the same in all rows, each once.
fn varying<T>(all: Vec<T>, expr_of: impl Fn(&T) -> &Expr, input: &LogicalPlan) -> Result<Vec<T>> {
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all {
        let again = kept
            .iter()
            .any(|other| unnamed(expr_of(other)) == unnamed(expr_of(&one)));
        if !again && !is_constant(input, expr_of(&one))? {
            kept.push(one);
        }
    }
    Ok(kept)
}

/// The expression without the name that it may have.
fn unnamed(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unnamed(&alias.expr),
        expr => expr,
    }
}

/// What is the same in all rows.
#[derive(Debug, Clone, PartialEq)]
enum Constant {
    Value(ScalarValue),
    /// A value that is not known yet.
    Unknown,
}

/// Whether the expression is the same in all rows of the plan.
fn is_constant(plan: &LogicalPlan, expr: &Expr) -> Result<bool> {
    Ok(constant(plan, expr)?.is_some())
}

/// Whether a window's frame may be another one without a constant to order by: one that reaches some days far, and not to the
/// current row, from which all rows are no day away.
fn needs_its_order(expr: &Expr) -> bool {
    let Expr::WindowFunction(window) = expr.clone().unalias() else {
        return true;
    };
    let frame = &window.params.window_frame;
    let begins = matches!(frame.start_bound, WindowFrameBound::Following(_));
    let ended = matches!(frame.end_bound, WindowFrameBound::Preceding(_));
    frame.units == WindowFrameUnits::Range && (begins || ended)
}

/// The value of the expression in all rows of the plan, if it is the same in all.
fn constant(plan: &LogicalPlan, expr: &Expr) -> Result<Option<Constant>> {
    match expr {
        Expr::Literal(value, _) => return Ok(Some(Constant::Value(value.clone()))),
        Expr::Alias(alias) => return constant(plan, &alias.expr),
        Expr::Column(column) => return constant_column(plan, column),
        expr if expr.is_volatile() || expr.contains_outer() => return Ok(None),
        _ => {}
    }
    for column in expr.column_refs() {
        if constant_column(plan, column)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(Constant::Unknown))
}

fn constant_column(plan: &LogicalPlan, column: &Column) -> Result<Option<Constant>> {
    if let LogicalPlan::Aggregate(aggregate) = plan
        && aggregate.group_expr.is_empty()
    {
        // It has one row.
        return Ok(Some(Constant::Unknown));
    }
    if let Some((input, expr)) = below(plan, column)? {
        return constant(input, &expr);
    }
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan.filters.iter().find_map(|filter| held_to(filter, column))),
        LogicalPlan::Filter(filter) => match held_to(&filter.predicate, column) {
            Some(value) => Ok(Some(value)),
            None => constant_column(&filter.input, column),
        },
        LogicalPlan::Join(join) => constant_of_join(join, column),
        LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::Limit(_) => match plan.inputs().as_slice() {
            [input] if input.schema().has_column(column) => constant_column(input, column),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The one value that a condition lets pass in the column.
fn held_to(condition: &Expr, column: &Column) -> Option<Constant> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found == column);
    split_conjunction(condition).into_iter().find_map(|part| match part {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (left.as_ref(), right.as_ref()) {
            (column, Expr::Literal(value, _)) | (Expr::Literal(value, _), column) if is_column(column) => {
                Some(Constant::Value(value.clone()))
            }
            _ => None,
        },
        _ => None,
    })
}

/// A column of a join is what it is in its side, or NULL where the join puts NULL in the place of rows that the side has not.
fn constant_of_join(join: &Join, column: &Column) -> Result<Option<Constant>> {
    let of_left = join.left.schema().has_column(column);
    let side = match of_left {
        true => &join.left,
        false if join.right.schema().has_column(column) => &join.right,
        false => return Ok(None),
    };
    let may_be_left_out = match join.join_type {
        JoinType::Full => true,
        JoinType::Left => !of_left,
        JoinType::Right => of_left,
        _ => false,
    };
    let value = constant_column(side, column)?;
    let is_null = |constant: &Constant| matches!(constant, Constant::Value(value) if value.is_null());
    Ok(value.filter(|value| !may_be_left_out || is_null(value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
    use datafusion::common::tree_node::TreeNodeRecursion;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    fn context(builder: SessionStateBuilder) -> SessionContext {
        let context = SessionContext::new_with_state(builder.with_default_features().build());
        let ids = StringArray::from(vec!["a", "a", "b", "b", "b"]);
        let numbers = Int64Array::from(vec![Some(3), Some(1), None, Some(3), Some(2)]);
        let batch = RecordBatch::try_from_iter([("pid", Arc::new(ids) as _), ("n", Arc::new(numbers) as _)]).unwrap();
        context.register_batch("t", batch).unwrap();
        context
    }

    /// What the window of the optimized plan is divided and ordered by; the rows are held against those without the rule.
    async fn windows_by(sql: &str) -> String {
        let [with, without] = [
            SessionStateBuilder::new().with_optimizer_rule(Arc::new(VaryingOrders)),
            SessionStateBuilder::new(),
        ]
        .map(context);
        let frame = with.sql(sql).await.unwrap();
        let rows = without.sql(sql).await.unwrap().to_string().await.unwrap();
        assert_eq!(frame.clone().to_string().await.unwrap(), rows, "{sql}");
        let mut found = Vec::new();
        let plan = frame.into_optimized_plan().unwrap();
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::WindowFunction(window) = expr {
                        found.extend(window.params.partition_by.iter().map(ToString::to_string));
                        found.extend(window.params.order_by.iter().map(|by| by.expr.to_string()));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })
        .unwrap();
        found.join(", ")
    }

    const OVER: &str = "rank() OVER (PARTITION BY pid, c ORDER BY c, n) AS place";

    #[tokio::test]
    async fn windows_go_by_what_differs() {
        for relation in [
            "(SELECT DISTINCT pid, n, 'x' AS c FROM t)",
            "(SELECT pid, n, c FROM (SELECT *, 'x' AS c FROM t) WHERE n > 1)",
            "(SELECT pid, count(*) AS n, n AS c FROM t WHERE n = 3 GROUP BY pid, n)",
            "(SELECT l.pid, l.n, l.c FROM (SELECT *, 'x' AS c FROM t) AS l LEFT JOIN t AS r ON r.n = l.n)",
        ] {
            let sql = format!("SELECT pid, n, {OVER} FROM {relation} AS r ORDER BY pid, n, place");
            assert_eq!(windows_by(&sql).await, "r.pid, r.n", "{relation}");
        }
    }

    #[tokio::test]
    async fn rows_are_ordered_by_what_differs() {
        let context = context(SessionStateBuilder::new().with_optimizer_rule(Arc::new(VaryingOrders)));
        for (order, sorts) in [
            ("c, n, c, pid", "n ASC NULLS LAST, r.pid ASC NULLS LAST"),
            ("c DESC, n LIMIT 2", "n ASC NULLS LAST, fetch=2"),
            ("c", ""),
            ("c LIMIT 2", "r.c ASC NULLS LAST, fetch=2"),
        ] {
            let sql = format!("SELECT n, pid, c FROM (SELECT *, 'x' AS c FROM t) AS r ORDER BY {order}");
            let frame = context.sql(&sql).await.unwrap();
            let plan = frame.clone().into_optimized_plan().unwrap().to_string();
            let sort = plan
                .lines()
                .find_map(|line| line.trim().strip_prefix("Sort: ").map(str::to_owned));
            assert_eq!(sort.unwrap_or_default().replace("r.n ", "n "), sorts, "{order}: {plan}");
            let rows = if order.ends_with('2') { 2 } else { 5 };
            assert_eq!(frame.count().await.unwrap(), rows, "{order}");
        }
    }

    #[tokio::test]
    async fn groups_of_a_constant_are_one() {
        for frame in [
            "1 PRECEDING AND CURRENT ROW",
            "UNBOUNDED PRECEDING AND 1 PRECEDING",
            "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            "CURRENT ROW AND UNBOUNDED FOLLOWING",
            "CURRENT ROW AND 2 FOLLOWING",
            "0 FOLLOWING AND 0 FOLLOWING",
            "1 FOLLOWING AND 3 FOLLOWING",
            "1 FOLLOWING AND UNBOUNDED FOLLOWING",
            "3 PRECEDING AND 1 PRECEDING",
        ] {
            let over = format!("count(n) OVER (PARTITION BY pid ORDER BY c GROUPS BETWEEN {frame}) AS place");
            let sql = format!("SELECT pid, n, {over} FROM (SELECT *, 'x' AS c FROM t) AS r ORDER BY pid, n, place");
            assert_eq!(windows_by(&sql).await, "r.pid", "{frame}");
        }
    }

    #[tokio::test]
    async fn what_a_join_may_leave_out_does() {
        let relation =
            "(SELECT r.pid, r.n, l.c FROM (SELECT *, 'x' AS c FROM t WHERE n > 2) AS l RIGHT JOIN t AS r ON r.n = l.n)";
        let sql = format!("SELECT pid, n, {OVER} FROM {relation} AS r ORDER BY pid, n, place");
        assert_eq!(windows_by(&sql).await, "r.pid, r.c, r.n");
    }

    #[tokio::test]
    async fn nothing_is_nothing_on_both_sides_of_a_join() {
        let relation = "(SELECT r.pid, r.n, l.c FROM (SELECT n, CAST(NULL AS BIGINT) AS c FROM t) AS l RIGHT JOIN t AS r ON r.n > l.n)";
        let sql = format!("SELECT pid, n, {OVER} FROM {relation} AS r ORDER BY pid, n, place");
        assert_eq!(windows_by(&sql).await, "r.pid, r.n");
        let sql = "SELECT pid, dense_rank() OVER (PARTITION BY pid ORDER BY c) AS place FROM (SELECT *, 'x' AS c FROM t) AS r";
        assert_eq!(windows_by(&format!("{sql} ORDER BY pid")).await, "r.pid");
        for (near, by) in [
            ("1 PRECEDING AND CURRENT ROW", "r.pid"),
            ("1 PRECEDING AND 2 FOLLOWING", "r.pid"),
            ("1 FOLLOWING AND 2 FOLLOWING", "r.pid, r.c"),
        ] {
            let near = format!("PARTITION BY pid ORDER BY c RANGE BETWEEN {near}");
            let sql = format!("SELECT pid, sum(n) OVER ({near}) AS n FROM (SELECT *, 4 AS c FROM t) AS r ORDER BY pid");
            assert_eq!(windows_by(&sql).await, by);
        }
    }
}

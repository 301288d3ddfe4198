//! What the engine takes and cannot compute, or computes otherwise than SQL says, and what to write instead. Found in plans as
//! they come from the statement, before types are made alike.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, LogicalPlan, Union, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

/// Refuses a plan that holds a construct which the engine does not compute as SQL says.
///
/// # Errors
/// A planning error that names the construct and what to write instead.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        check_node(node)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn check_node(node: &LogicalPlan) -> Result<()> {
    if let LogicalPlan::Union(union) = node {
        check_types(union)?;
    }
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            if let Expr::WindowFunction(window) = expr {
                check_place(node)?;
                check_window(window)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

/// Window functions are computed over the rows that come out of FROM, WHERE and GROUP BY.
fn check_place(node: &LogicalPlan) -> Result<()> {
    let place = match node {
        LogicalPlan::Filter(_) => "WHERE or HAVING",
        LogicalPlan::Aggregate(_) => "GROUP BY or an aggregate",
        LogicalPlan::Join(_) => "the condition of a join",
        _ => return Ok(()),
    };
    plan_err!("a window function cannot stand in {place}: compute it in a subquery, or write QUALIFY")
}

fn check_window(window: &WindowFunction) -> Result<()> {
    if ends_before_it_begins(&window.params.window_frame) {
        return plan_err!("a frame that ends before it begins holds no row: exchange its bounds");
    }
    let name = match &window.fun {
        WindowFunctionDefinition::WindowUDF(function) => function.name(),
        WindowFunctionDefinition::AggregateUDF(_) => return Ok(()),
    };
    let varies = |argument: &Expr| !argument.column_refs().is_empty();
    match (name, window.params.args.as_slice()) {
        ("lag" | "lead", [_, by, ..]) if varies(by) => {
            plan_err!("{name} goes a constant number of rows: join the table to itself by row_number() for another")
        }
        ("lag" | "lead", [_, _, default]) if varies(default) => {
            plan_err!("the default of {name} is a constant: write coalesce over {name} without one")
        }
        ("nth_value" | "ntile", [.., number]) if varies(number) => {
            plan_err!("{name} takes a constant number")
        }
        _ => Ok(()),
    }
}

/// Whether both bounds are on one side of the current row, and in the wrong order.
fn ends_before_it_begins(frame: &WindowFrame) -> bool {
    let rows = |value: &ScalarValue| match value {
        ScalarValue::UInt64(rows) => *rows,
        ScalarValue::Utf8(Some(rows)) => rows.parse().ok(),
        _ => None,
    };
    if frame.units == WindowFrameUnits::Range {
        return false;
    }
    match (&frame.start_bound, &frame.end_bound) {
        (WindowFrameBound::Preceding(start), WindowFrameBound::Preceding(end)) => {
            matches!((rows(start), rows(end)), (Some(start), Some(end)) if end > start)
        }
        (WindowFrameBound::Following(start), WindowFrameBound::Following(end)) => {
            matches!((rows(start), rows(end)), (Some(start), Some(end)) if start > end)
        }
        _ => false,
    }
}

/// Columns of a union are of types that belong together: the engine makes texts or numbers of what is neither.
fn check_types(union: &Union) -> Result<()> {
    let Some((first, others)) = union.inputs.split_first() else {
        return Ok(());
    };
    for other in others {
        let (first, other) = (columns(first.schema()), columns(other.schema()));
        for (at, (one, other)) in first.zip(other).enumerate() {
            if !alike(&one, &other) {
                return plan_err!(
                    "column {} of a UNION is of the type {one} in one part and {other} in another: cast one of them",
                    at + 1
                );
            }
        }
    }
    Ok(())
}

fn columns(schema: &DFSchema) -> impl Iterator<Item = DataType> + '_ {
    schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        data_type => data_type.clone(),
    })
}

fn alike(one: &DataType, other: &DataType) -> bool {
    one == other
        || one.is_null()
        || other.is_null()
        || (one.is_numeric() && other.is_numeric())
        || (one.is_string() && other.is_string())
        || (is_moment(one) && is_moment(other))
        || (one.is_nested() && other.is_nested())
        || (is_other(one) && is_other(other))
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// Types that are told apart elsewhere, such as intervals of two units.
fn is_other(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::check;
    use datafusion::prelude::SessionContext;

    async fn refusal(sql: &str) -> Option<String> {
        let context = SessionContext::new();
        let table = "CREATE TABLE t AS VALUES (1, DATE '2020-01-31', 'a')";
        context.sql(table).await.unwrap().collect().await.unwrap();
        let plan = context.sql(sql).await.unwrap().into_unoptimized_plan();
        check(&plan).err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_cannot_be_computed_is_refused_by_name() {
        for (sql, said) in [
            (
                "SELECT lag(column1, column1) OVER (ORDER BY column2) FROM t",
                "constant number of rows",
            ),
            (
                "SELECT lead(column1, 1, column1) OVER (ORDER BY column2) FROM t",
                "the default of lead",
            ),
            (
                "SELECT sum(column1) OVER (ORDER BY column2 ROWS BETWEEN 2 PRECEDING AND 3 PRECEDING) FROM t",
                "ends before it begins",
            ),
            (
                "SELECT column1 FROM t UNION ALL SELECT column2 FROM t",
                "column 1 of a UNION",
            ),
            (
                "SELECT column3 FROM t UNION SELECT column2 FROM t",
                "column 1 of a UNION",
            ),
        ] {
            let refusal = refusal(sql).await.unwrap_or_default();
            assert!(refusal.contains(said), "{sql}: {refusal}");
        }
        for sql in [
            "SELECT lag(column1, 2, 0) OVER (ORDER BY column2) FROM t",
            "SELECT column1 FROM t UNION ALL SELECT 1.5",
            "SELECT column2 FROM t UNION ALL SELECT NULL",
            "SELECT sum(column1) OVER (ORDER BY column2 ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING) FROM t",
        ] {
            assert_eq!(refusal(sql).await, None, "{sql}");
        }
    }
}

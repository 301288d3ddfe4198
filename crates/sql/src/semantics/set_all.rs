//! `EXCEPT ALL` and `INTERSECT ALL` count how often a row occurs. The engine plans them as anti and semi joins, which
//! do not; where [`crate::syntax`] has marked the operands by reserved aliases, equal rows are numbered on both sides
//! and the number is compared, too: the third of four equal rows on the left finds its partner only if there are three
//! on the right.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result, TableReference};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::analyzer::AnalyzerRule;

use super::subqueries::row_number;
use crate::syntax::{ALL_LEFT, ALL_RIGHT};

/// The column that numbers equal rows.
const NUMBER: &str = "__all_number";

/// Makes `EXCEPT ALL` and `INTERSECT ALL` count rows.
#[derive(Debug, Default)]
pub struct SetOperationsAll {}

impl AnalyzerRule for SetOperationsAll {
    fn name(&self) -> &str {
        "set_operations_all"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) if is_marked(&join) => counted(&join).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .map(|done| done.data)
    }
}

/// Whether a join is one that stands for `EXCEPT ALL` or `INTERSECT ALL`; once it counts, its left side has a number
/// more and its right side another shape.
fn is_marked(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && is_operand(&join.left, ALL_LEFT)
        && is_operand(&join.right, ALL_RIGHT)
}

/// Whether a plan is `SELECT * FROM (…) AS alias`.
fn is_operand(plan: &LogicalPlan, alias: &str) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_operand(&projection.input, alias),
        LogicalPlan::SubqueryAlias(named) => named.alias == TableReference::bare(alias),
        _ => false,
    }
}

/// The join with the number compared, and its columns as they were.
fn counted(join: &Join) -> Result<LogicalPlan> {
    let wanted: Vec<Expr> = columns(&join.left);
    let (left_keys, right_keys) = keys(join);
    let (left, right) = (numbered(&join.left, &left_keys)?, numbered(&join.right, &right_keys)?);
    let number =
        |side: &LogicalPlan| Expr::Column(side.schema().columns().swap_remove(side.schema().fields().len() - 1));
    let mut on: Vec<(Expr, Expr)> = left_keys.into_iter().zip(right_keys).collect();
    on.push((number(&left), number(&right)));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        join.filter.clone(),
        join.join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .project(wanted)?
        .build()
}

fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

/// The columns of both sides, in the types in which they are compared.
fn keys(join: &Join) -> (Vec<Expr>, Vec<Expr>) {
    let fields = join.left.schema().fields().iter().zip(join.right.schema().fields());
    let columns = columns(&join.left).into_iter().zip(columns(&join.right));
    fields
        .zip(columns)
        .map(|((left_field, right_field), (left, right))| {
            let (of_left, of_right) = (left_field.data_type(), right_field.data_type());
            match comparison_coercion(of_left, of_right) {
                Some(common) if of_left != of_right => {
                    let to = |expr: Expr, from: &DataType| {
                        if *from == common {
                            expr
                        } else {
                            cast(expr, common.clone())
                        }
                    };
                    (to(left, of_left), to(right, of_right))
                }
                _ => (left, right),
            }
        })
        .unzip()
}

/// The side with a number for each of its equal rows.
fn numbered(side: &Arc<LogicalPlan>, keys: &[Expr]) -> Result<LogicalPlan> {
    let number = row_number(keys.to_vec(), Vec::new());
    let windowed = LogicalPlanBuilder::from(Arc::clone(side)).window([number.clone()])?;
    let mut wanted = columns(side);
    let qualifier = side.schema().qualified_field(0).0.cloned();
    let numbers = Expr::Column(Column::from_name(number.schema_name().to_string()));
    wanted.push(numbers.alias_qualified(qualifier, NUMBER));
    windowed.project(wanted)?.build()
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn equal_rows_are_counted() {
        let context = session(
            "CREATE TABLE l (a INT, b VARCHAR) AS VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, 'y'), (NULL, 'z'), (NULL, 'z');
             CREATE TABLE r (a BIGINT, b VARCHAR) AS VALUES (1, 'x'), (2, 'y'), (2, 'y'), (NULL, 'z'), (3, 'w');
             CREATE TABLE e (a INT, b VARCHAR)",
        )
        .await;
        for (sql, expected) in [
            ("SELECT a, b FROM l EXCEPT ALL SELECT a, b FROM r", "a,b|1,x|1,x|NULL,z"),
            ("SELECT a, b FROM r EXCEPT ALL SELECT a, b FROM l", "a,b|2,y|3,w"),
            (
                "SELECT a, b FROM l INTERSECT ALL SELECT a, b FROM r",
                "a,b|1,x|2,y|NULL,z",
            ),
            ("SELECT a, b FROM l EXCEPT ALL SELECT a, b FROM l", "a,b"),
            (
                "SELECT a, b FROM l INTERSECT ALL SELECT a, b FROM l",
                "a,b|1,x|1,x|1,x|2,y|NULL,z|NULL,z",
            ),
            (
                "SELECT * FROM l EXCEPT ALL SELECT * FROM e",
                "a,b|1,x|1,x|1,x|2,y|NULL,z|NULL,z",
            ),
            (
                "SELECT a FROM l EXCEPT ALL SELECT a FROM r EXCEPT ALL SELECT 1",
                "a|1|NULL",
            ),
            (
                "SELECT a FROM l EXCEPT ALL (SELECT a FROM r EXCEPT ALL SELECT 1)",
                "a|1|1|1|NULL",
            ),
            ("SELECT a FROM l MINUS ALL SELECT a FROM r ORDER BY a LIMIT 1", "a|1"),
            (
                "SELECT count(*) AS n FROM (SELECT a FROM l EXCEPT ALL SELECT a FROM r) s",
                "n|3",
            ),
            (
                "SELECT b FROM e UNION ALL SELECT b FROM l EXCEPT ALL SELECT b FROM r",
                "b|x|x|z",
            ),
            (
                "SELECT 1 AS q WHERE 1 IN (SELECT a FROM l INTERSECT ALL SELECT a FROM r)",
                "q|1",
            ),
            (
                "WITH c AS (SELECT a FROM l EXCEPT ALL SELECT a FROM r) SELECT c.a FROM c JOIN c d ON c.a = d.a",
                "a|1|1|1|1",
            ),
            (
                "SELECT a, a FROM l EXCEPT ALL SELECT a, a FROM r",
                "a,a|1,1|1,1|NULL,NULL",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn without_all_a_row_occurs_once() {
        let context =
            session("CREATE TABLE l (a INT) AS VALUES (1), (1), (2); CREATE TABLE r (a INT) AS VALUES (2)").await;
        for (sql, expected) in [
            ("SELECT a FROM l EXCEPT SELECT a FROM r", "a|1"),
            ("SELECT a FROM l INTERSECT SELECT a FROM r", "a|2"),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}

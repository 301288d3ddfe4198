//! `t PIVOT (sum(x) FOR z IN ('a', 'b'))` becomes `(SELECT * EXCLUDE (x, z), sum(x) FILTER (WHERE z = 'a') AS a, … FROM t
//! GROUP BY ALL)`: the rows are grouped by every column that PIVOT does not name. The columns are named as DuckDB does.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, ExprWithAlias, GroupByExpr, Ident, ObjectName, PivotValueSource, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, TypedString, UnaryOperator, Value, ValueWithSpan,
    WildcardAdditionalOptions,
};

use super::{binary, bracketed, may_copy};
use crate::syntax::built::{empty_select, plain_star, query_of};
use crate::syntax::names::{compared, quoted};
use crate::syntax::refusal::{Checked, Refusal, refuse};
use crate::syntax::walk::{Pass, walk};

/// Writes a PIVOT as a grouping.
pub(in crate::syntax) fn rewrite(factor: &mut TableFactor) -> Checked {
    let TableFactor::Pivot {
        table,
        aggregate_functions,
        value_column,
        value_source: PivotValueSource::List(values),
        default_on_null: None,
        alias,
    } = factor
    else {
        return Ok(());
    };
    let [of] = value_column.as_slice() else {
        return Ok(());
    };
    may_copy(
        aggregate_functions.iter().map(|aggregate| &aggregate.expr),
        values.len(),
    )?;
    may_copy([of], values.len() * aggregate_functions.len())?;
    let select = Select {
        projection: projection(aggregate_functions, of, values)?,
        from: vec![TableWithJoins {
            relation: table.as_ref().clone(),
            joins: Vec::new(),
        }],
        group_by: GroupByExpr::All(Vec::new()),
        ..empty_select()
    };
    *factor = derived(select, alias.take());
    Ok(())
}

fn derived(select: Select, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query_of(SetExpr::Select(Box::new(select)))),
        alias,
        sample: None,
    }
}

fn projection(aggregates: &[ExprWithAlias], of: &Expr, values: &[ExprWithAlias]) -> Result<Vec<SelectItem>, Refusal> {
    let mut items = vec![SelectItem::Wildcard(others(aggregates, of)?)];
    let mut names = HashSet::new();
    for value in values {
        for aggregate in aggregates {
            let name = match (aggregates, &aggregate.alias) {
                ([_], None) => name_of(value)?,
                (_, Some(alias)) => format!("{}_{}", name_of(value)?, compared(alias)),
                (_, None) => format!("{}_{}", name_of(value)?, aggregate.expr),
            };
            if !names.insert(name.clone()) {
                return Err(Refusal::invalid(format!(
                    "PIVOT gives two columns the name {name}, write another behind AS"
                )));
            }
            items.push(SelectItem::ExprWithAlias {
                expr: where_equal(&aggregate.expr, of, &value.expr)?,
                alias: quoted(name),
            });
        }
    }
    Ok(items)
}

/// `*` without the columns that PIVOT names.
fn others(aggregates: &[ExprWithAlias], of: &Expr) -> Result<WildcardAdditionalOptions, Refusal> {
    let mut columns = Columns::default();
    let mut named: Vec<Expr> = aggregates.iter().map(|aggregate| aggregate.expr.clone()).collect();
    named.push(of.clone());
    walk(&mut named, &mut columns)?;
    let names = columns.0.into_iter().map(|name| ObjectName::from(vec![quoted(name)]));
    Ok(WildcardAdditionalOptions {
        opt_exclude: Some(ExcludeSelectItem::Multiple(names.collect())),
        ..plain_star()
    })
}

/// The names of the columns that expressions mention, each once.
#[derive(Default)]
struct Columns(Vec<String>);

impl Columns {
    fn add(&mut self, name: Option<&Ident>) {
        if let Some(name) = name.map(compared)
            && !self.0.contains(&name)
        {
            self.0.push(name);
        }
    }
}

impl Pass for Columns {
    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        match expr {
            Expr::Identifier(name) => self.add(Some(name)),
            Expr::CompoundIdentifier(names) => self.add(names.last()),
            _ => {}
        }
        Ok(())
    }
}

/// The aggregate over the rows in which the column has this value.
fn where_equal(aggregate: &Expr, of: &Expr, value: &Expr) -> Result<Expr, Refusal> {
    let Expr::Function(function) = aggregate else {
        return refuse("PIVOT takes aggregates, as in PIVOT (sum(x) FOR z IN ('a', 'b'))");
    };
    let mut function = function.clone();
    let equal = match value {
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => Expr::IsNull(Box::new(bracketed(of.clone()))),
        value => binary(bracketed(of.clone()), BinaryOperator::Eq, value.clone()),
    };
    let filter = match function.filter.take() {
        Some(filter) => binary(bracketed(*filter), BinaryOperator::And, bracketed(equal)),
        None => equal,
    };
    function.filter = Some(Box::new(filter));
    Ok(Expr::Function(function))
}

fn name_of(value: &ExprWithAlias) -> Result<String, Refusal> {
    match &value.alias {
        Some(alias) => Ok(compared(alias)),
        None => text(&value.expr),
    }
}

fn text(value: &Expr) -> Result<String, Refusal> {
    match value {
        Expr::Value(ValueWithSpan { value, .. })
        | Expr::TypedString(TypedString {
            value: ValueWithSpan { value, .. },
            ..
        }) => Ok(match value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                text.clone()
            }
            value => value.to_string(),
        }),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Ok(format!("-{}", text(expr)?)),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => text(inner),
        _ => refuse("the values of PIVOT are constants, or have a name, as in IN ('a', f('b') AS b)"),
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn values_become_columns_as_in_duckdb() {
        let context = session(
            "CREATE TABLE t (g INT, z BOOLEAN, x INT, s VARCHAR) AS VALUES
                 (1, true, 10, 'a'), (1, false, 20, 'b'), (2, true, 5, 'a'), (2, NULL, 7, NULL);
             CREATE TABLE u (g INT, n VARCHAR) AS VALUES (1, 'one'), (2, 'two')",
        )
        .await;
        for (sql, expected) in [
            (
                "SELECT * FROM (SELECT g, z, x FROM t) PIVOT (sum(x) FOR z IN (true, false))",
                "g,true,false|1,10,20|2,5,NULL",
            ),
            (
                "SELECT * FROM (SELECT g, s, x FROM t) PIVOT (sum(x) AS v FOR s IN ('a', 'b' AS BB, NULL)) AS p",
                "g,a_v,bb_v,NULL_v|1,10,20,NULL|2,5,NULL,7",
            ),
            (
                "SELECT * FROM (SELECT g, s, x FROM t) PIVOT (sum(x), count(*) AS n FOR s IN ('a', 'b' AS bb))",
                "g,a_sum(x),a_n,bb_sum(x),bb_n|1,10,1,20,1|2,5,1,NULL,0",
            ),
            (
                "SELECT * FROM t PIVOT (count(*) FILTER (WHERE x > 5) FOR t.s IN ('a'))",
                "g,z,a|1,false,0|1,true,1|2,NULL,0|2,true,0",
            ),
            (
                "SELECT * FROM (SELECT s, x FROM t) PIVOT (sum(x) FOR s IN ('a', 'c'))",
                "a,c|15,NULL",
            ),
            (
                "SELECT * FROM (SELECT g, x FROM t) PIVOT (count(*) FOR x - 5 IN (0, -5, 5 AS five))",
                "g,0,-5,five|1,0,0,1|2,1,0,0",
            ),
            (
                "SELECT u.n, p.yes FROM u JOIN (SELECT g, z, x FROM t) PIVOT (sum(x) FOR z IN (true AS yes)) AS p ON p.g = u.g",
                "n,yes|one,10|two,5",
            ),
            (
                "SELECT * FROM u JOIN (SELECT g, z, x FROM t) PIVOT (max(x) FOR z IN (true AS yes)) USING (g)",
                "g,n,yes|1,one,10|2,two,5",
            ),
            (
                "SELECT * FROM (SELECT g, s, x FROM t) PIVOT (sum(x) FOR s IN ('a', 'A' AS a))",
                "error: PIVOT gives two columns the name a, write another behind AS",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn what_depends_on_the_data_is_refused() {
        let context = session("CREATE TABLE t (g INT, x INT) AS VALUES (1, 10)").await;
        for (pivot, says) in [
            ("PIVOT (sum(x) FOR g IN (ANY))", "the values"),
            ("PIVOT (sum(x) FOR g IN (SELECT 1))", "the values"),
            ("PIVOT (sum(x) FOR (g, x) IN ((1, 2)))", "one column"),
            ("PIVOT (sum(x) FOR g IN (1) DEFAULT ON NULL (0))", "coalesce"),
            ("PIVOT (sum(x) FOR g IN (1 + 1))", "constants"),
            ("UNPIVOT (v FOR n IN (g, x))", "UNPIVOT is not supported, use UNION ALL"),
        ] {
            let said = answer(&context, &format!("SELECT * FROM t {pivot}")).await;
            assert!(said.starts_with("error: ") && said.contains(says), "{pivot}: {said}");
        }
    }
}

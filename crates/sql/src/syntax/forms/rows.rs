//! Comparisons of rows: `(a, b) = (c, d)`, `(a, b) < (c, d)`, `(a, b) IN ((1, 2), (3, 4))` become comparisons of their
//! elements. `(a, b) IN (SELECT …)` becomes `EXISTS` where a condition that is not true only leaves a row out: there
//! unknown and false are one.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectFlavor, SelectItem,
    SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, UnaryOperator, Value,
};

use super::{MAX_COPIED, binary, bracketed, may_copy, taken};
use crate::syntax::limits::joined_by;
use crate::syntax::names::quoted;
use crate::syntax::refusal::{Checked, refuse};

/// The alias of a query whose rows are compared.
const ROWS: &str = "__parcours_rows";

const IN_QUERY: &str = "(a, b) IN (SELECT …) is supported in WHERE, HAVING, QUALIFY and ON of inner joins, joined by AND \
                        and OR, and NOT IN not at all: write EXISTS or NOT EXISTS";

/// Rewrites `(a, b) IN (SELECT …)` in the conditions of a `SELECT`.
pub(super) fn in_conditions(select: &mut Select) -> Checked {
    let from = select.from.iter_mut().flat_map(|from| &mut from.joins);
    let on = from.filter_map(|join| match &mut join.join_operator {
        JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on)) => Some(on),
        _ => None,
    });
    on.chain(&mut select.selection)
        .chain(&mut select.having)
        .chain(&mut select.qualify)
        .try_for_each(in_condition)
}

fn in_condition(expr: &mut Expr) -> Checked {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => {
            in_condition(left)?;
            in_condition(right)
        }
        Expr::Nested(inner) => in_condition(inner),
        // `= ANY` is `IN`, and is rewritten to it only when the walk comes to it.
        Expr::AnyOp { .. } => {
            super::quantified::rewrite(expr)?;
            match expr {
                Expr::InSubquery { .. } => in_condition(expr),
                _ => Ok(()),
            }
        }
        Expr::InSubquery {
            expr: row,
            subquery,
            negated: false,
        } if matches!(row.as_ref(), Expr::Tuple(_)) => {
            if let Expr::Tuple(row) = taken(row) {
                *expr = exists(row, subquery);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns `EXISTS (SELECT 1 FROM (query) AS rows(c1, …) WHERE rows.c1 = a AND …)`.
fn exists(row: Vec<Expr>, query: &Query) -> Expr {
    let column = |n: usize| quoted(format!("__parcours_c{n}"));
    let equal = |(n, element): (usize, Expr)| {
        let column = Expr::CompoundIdentifier(vec![quoted(ROWS), column(n)]);
        binary(column, BinaryOperator::Eq, bracketed(element))
    };
    let columns = (0..row.len()).map(column).collect();
    let condition = joined_by(&BinaryOperator::And, row.into_iter().enumerate().map(equal).collect());
    Expr::Exists {
        subquery: Box::new(one_from(query.clone(), columns, condition)),
        negated: false,
    }
}

fn one_from(query: Query, columns: Vec<Ident>, condition: Option<Expr>) -> Query {
    let columns = columns
        .into_iter()
        .map(|name| TableAliasColumnDef { name, data_type: None });
    let rows = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(TableAlias {
            explicit: true,
            name: quoted(ROWS),
            columns: columns.collect(),
            at: None,
        }),
        sample: None,
    };
    let select = Select {
        projection: vec![SelectItem::UnnamedExpr(Expr::value(Value::Number(
            "1".to_owned(),
            false,
        )))],
        from: vec![TableWithJoins {
            relation: rows,
            joins: Vec::new(),
        }],
        selection: condition,
        ..empty_select()
    };
    query_of(SetExpr::Select(Box::new(select)))
}

/// Returns a query that is only this body.
pub(crate) fn query_of(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// Returns a `SELECT` of nothing.
pub(crate) fn empty_select() -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: Vec::new(),
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// Rewrites a comparison of rows.
pub(super) fn rewrite(expr: &mut Expr) -> Checked {
    match expr {
        Expr::BinaryOp { left, op, right } if compares(op) => match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(a), Expr::Tuple(b)) => {
                let op = op.clone();
                *expr = compared(a, &op, b)?;
                Ok(())
            }
            (Expr::Tuple(_), Expr::Subquery(_)) | (Expr::Subquery(_), Expr::Tuple(_)) => {
                refuse("a row cannot be compared with a query, write (a, b) IN (SELECT …)")
            }
            _ => Ok(()),
        },
        Expr::InList {
            expr: row,
            list,
            negated,
        } => match row.as_ref() {
            Expr::Tuple(row) => {
                let negated = *negated;
                *expr = one_of(row, list, negated)?;
                Ok(())
            }
            _ => Ok(()),
        },
        Expr::InSubquery { expr: row, .. } if matches!(row.as_ref(), Expr::Tuple(_)) => refuse(IN_QUERY),
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } if matches!(left.as_ref(), Expr::Tuple(_)) => {
            refuse("ANY and ALL take a single value, compare rows by IN or EXISTS")
        }
        Expr::Between { expr: row, .. } if matches!(row.as_ref(), Expr::Tuple(_)) => {
            refuse("BETWEEN takes a single value, write (a, b) >= (c, d) AND (a, b) <= (e, f)")
        }
        _ => Ok(()),
    }
}

fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

fn compared(a: &[Expr], op: &BinaryOperator, b: &[Expr]) -> Result<Expr, crate::syntax::Refusal> {
    if a.len() != b.len() || a.is_empty() {
        return refuse("rows that are compared need as many elements as each other");
    }
    let each = |op: &BinaryOperator| {
        let pairs = a.iter().zip(b);
        pairs
            .map(|(a, b)| binary(a.clone(), op.clone(), b.clone()))
            .collect::<Vec<_>>()
    };
    let compared = match op {
        BinaryOperator::Eq => joined_by(&BinaryOperator::And, each(op)),
        BinaryOperator::NotEq => joined_by(&BinaryOperator::Or, each(op)),
        _ => {
            may_copy(a.iter().chain(b), MAX_COPIED / MAX_ORDERED)?;
            ordered(a, op, b)
        }
    };
    compared
        .map(bracketed)
        .map_or_else(|| refuse("rows without elements cannot be compared"), Ok)
}

/// The most characters of two rows that are compared by order: each element is copied, and each level of comparisons within
/// comparisons would double the whole.
const MAX_ORDERED: usize = 1_000;

/// Returns `a1 < b1 OR (a1 = b1 AND (a2 < b2 OR …))`, where only the last elements may be equal for `<=`.
fn ordered(a: &[Expr], op: &BinaryOperator, b: &[Expr]) -> Option<Expr> {
    let strict = match op {
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        _ => BinaryOperator::Gt,
    };
    let mut pairs = a.iter().zip(b).rev();
    let (last_a, last_b) = pairs.next()?;
    let last = binary(last_a.clone(), op.clone(), last_b.clone());
    Some(pairs.fold(last, |rest, (a, b)| {
        let equal = binary(a.clone(), BinaryOperator::Eq, b.clone());
        let both = bracketed(binary(equal, BinaryOperator::And, bracketed(rest)));
        binary(binary(a.clone(), strict.clone(), b.clone()), BinaryOperator::Or, both)
    }))
}

fn one_of(row: &[Expr], list: &[Expr], negated: bool) -> Result<Expr, crate::syntax::Refusal> {
    may_copy(row, list.len())?;
    let mut alternatives = Vec::with_capacity(list.len());
    for other in list {
        let Expr::Tuple(other) = other else {
            return refuse("a row is compared with rows, as in (a, b) IN ((1, 2), (3, 4))");
        };
        alternatives.push(compared(row, &BinaryOperator::Eq, other)?);
    }
    let Some(any) = joined_by(&BinaryOperator::Or, alternatives) else {
        return refuse("IN needs at least one row");
    };
    Ok(match negated {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(bracketed(any)),
        },
        false => bracketed(any),
    })
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn rows_compare_by_their_elements() {
        let context = session(
            "CREATE TABLE t (n INT, a INT, b INT) AS VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, NULL), (5, NULL, 1);
             CREATE TABLE u (x INT, y INT) AS VALUES (1, 2), (2, 1), (2, NULL)",
        )
        .await;
        for (condition, expected) in [
            ("(a, b) = (1, 2)", "n|2"),
            ("(a, b) <> (1, 2)", "n|1|3|4"),
            ("(a, b) < (2, 1)", "n|1|2"),
            ("(a, b) <= (2, 1)", "n|1|2|3"),
            ("(a, b) > (1, 1)", "n|2|3|4"),
            ("(a, b) IN ((1, 1), (2, 1))", "n|1|3"),
            ("(a, b) NOT IN ((1, 1), (3, 1))", "n|2|3|4"),
            ("(a, b) IN (SELECT x, y FROM u)", "n|2|3"),
            ("n > 2 AND (a, b) IN (SELECT x, y FROM u)", "n|3"),
            ("n = 1 OR (a, b) IN (SELECT x, y FROM u)", "n|1|2|3"),
            ("(a, b) = ANY (SELECT x, y FROM u)", "n|2|3"),
            ("(a + 1, n) IN (SELECT x, max(y) FROM u GROUP BY x)", "n"),
            ("(a, b) IN (SELECT x, y FROM u WHERE u.x = t.a)", "n|2|3"),
        ] {
            let sql = format!("SELECT n FROM t WHERE {condition}");
            assert_eq!(answer(&context, &sql).await, expected, "{condition}");
        }
        let on = "SELECT n, x FROM t JOIN u ON t.a = u.x AND (t.n, t.b) IN (SELECT 3, 1) WHERE u.y = 1";
        assert_eq!(answer(&context, on).await, "n,x|3,2");
    }

    #[test]
    fn where_unknown_would_not_be_false_a_query_of_rows_is_refused() {
        for sql in [
            "SELECT n FROM t WHERE (a, b) NOT IN (SELECT x, y FROM u)",
            "SELECT n FROM t WHERE NOT ((a, b) IN (SELECT x, y FROM u))",
            "SELECT (a, b) IN (SELECT x, y FROM u) AS i FROM t",
            "SELECT n FROM t WHERE ((a, b) IN (SELECT x, y FROM u)) IS NULL",
            "SELECT n FROM t WHERE (a, b) <> ALL (SELECT x, y FROM u)",
        ] {
            assert!(
                prepared(sql).starts_with("refused: (a, b) IN (SELECT …)"),
                "{sql}: {}",
                prepared(sql)
            );
        }
        for (sql, says) in [
            ("SELECT n FROM t WHERE (a, b) = (1, 2, 3)", "as many elements"),
            ("SELECT n FROM t WHERE (a, b) = (SELECT 1, 2)", "IN (SELECT …)"),
            ("SELECT n FROM t WHERE (a, b) IN (1, 2)", "compared with rows"),
        ] {
            assert!(prepared(sql).contains(says), "{sql}: {}", prepared(sql));
        }
    }
}

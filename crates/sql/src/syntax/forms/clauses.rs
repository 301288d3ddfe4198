//! Clauses with another spelling: `FETCH FIRST`, `MINUS`, `MATERIALIZED`, `ORDER BY ALL`, `SEMI JOIN`, `* EXCLUDE (A)`.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Fetch, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName, ObjectNamePart,
    OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, SetOperator, Value,
};

use crate::syntax::names::{compared, quoted};
use crate::syntax::refusal::{Checked, refuse};

/// Rewrites the clauses of a query.
pub(super) fn of_query(query: &mut Query) -> Checked {
    if let Some(with) = &mut query.with {
        for cte in &mut with.cte_tables {
            cte.materialized = None;
        }
    }
    minus(&mut query.body);
    if let Some(fetch) = query.fetch.take() {
        query.limit_clause = Some(fetched(fetch, query.limit_clause.take()));
    }
    order_by_all(query)
}

/// `FETCH FIRST ROW ONLY` is one row. A limit beside it has been refused.
fn fetched(fetch: Fetch, limit: Option<LimitClause>) -> LimitClause {
    let quantity = fetch.quantity.unwrap_or_else(|| number(1));
    let (offset, limit_by) = match limit {
        Some(LimitClause::LimitOffset { offset, limit_by, .. }) => (offset, limit_by),
        _ => (None, Vec::new()),
    };
    LimitClause::LimitOffset {
        limit: Some(quantity),
        offset,
        limit_by,
    }
}

fn number(n: usize) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

fn minus(body: &mut SetExpr) {
    if let SetExpr::SetOperation { left, op, right, .. } = body {
        if matches!(op, SetOperator::Minus) {
            *op = SetOperator::Except;
        }
        minus(left);
        minus(right);
    }
}

/// `ORDER BY ALL` orders by every column of the list, from left to right.
fn order_by_all(query: &mut Query) -> Checked {
    let Some(OrderBy {
        kind: kind @ OrderByKind::All(_),
        ..
    }) = &mut query.order_by
    else {
        return Ok(());
    };
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Ok(());
    };
    let wild = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _));
    if select.projection.iter().any(wild) {
        return refuse("ORDER BY ALL with * is not supported, name the columns");
    }
    if let OrderByKind::All(options) = kind {
        let orders = (1..=select.projection.len()).map(|n| OrderByExpr {
            expr: number(n),
            options: *options,
            with_fill: None,
        });
        *kind = OrderByKind::Expressions(orders.collect());
    }
    Ok(())
}

/// Rewrites the clauses of a `SELECT`.
pub(super) fn of_select(select: &mut Select) {
    for from in &mut select.from {
        for join in &mut from.joins {
            let none = || JoinOperator::CrossJoin(JoinConstraint::None);
            join.join_operator = match std::mem::replace(&mut join.join_operator, none()) {
                JoinOperator::Semi(on) => JoinOperator::LeftSemi(on),
                JoinOperator::Anti(on) => JoinOperator::LeftAnti(on),
                other => other,
            };
        }
    }
    for item in &mut select.projection {
        if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
            if let Some(exclude) = &mut options.opt_exclude {
                excluded(exclude);
            }
            if let Some(except) = &mut options.opt_except {
                normalized(&mut except.first_element);
                except.additional_elements.iter_mut().for_each(normalized);
            }
            if let Some(replace) = &mut options.opt_replace {
                for item in &mut replace.items {
                    normalized(&mut item.column_name);
                }
            }
        }
    }
}

/// The engine compares these names as they are written.
fn excluded(exclude: &mut ExcludeSelectItem) {
    let normal = |name: &mut ObjectName| {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(part) = part {
                normalized(part);
            }
        }
    };
    match exclude {
        ExcludeSelectItem::Single(name) => normal(name),
        ExcludeSelectItem::Multiple(names) => names.iter_mut().for_each(normal),
    }
}

fn normalized(name: &mut Ident) {
    *name = quoted(compared(name));
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn other_spellings_mean_the_same() {
        let context = session(
            "CREATE TABLE t (a INT, b INT) AS VALUES (1, 10), (2, 20), (3, 5);
             CREATE TABLE u (a INT) AS VALUES (2), (4)",
        )
        .await;
        for (sql, expected) in [
            ("SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS ONLY", "a|1|2"),
            ("SELECT a FROM t ORDER BY a FETCH FIRST ROW ONLY", "a|1"),
            ("SELECT a FROM t ORDER BY a OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY", "a|2"),
            ("SELECT a FROM t MINUS SELECT a FROM u", "a|1|3"),
            (
                "WITH c AS MATERIALIZED (SELECT a FROM t), d AS NOT MATERIALIZED (SELECT a FROM c) SELECT max(a) AS m FROM d",
                "m|3",
            ),
            ("SELECT a FROM t SEMI JOIN u ON t.a = u.a", "a|2"),
            ("SELECT a FROM t ANTI JOIN u ON t.a = u.a", "a|1|3"),
            ("SELECT * EXCLUDE (B) FROM t WHERE a = 1", "a|1"),
            ("SELECT * EXCEPT (A) FROM t WHERE a = 1", "b|10"),
            ("SELECT * REPLACE (b + 1 AS B) FROM t WHERE a = 1", "a,b|1,11"),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}

//! Orders by one expression twice, of which the engine fails over some, and orders of an aggregate by a number, which it
//! takes for the place of a column of the result.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, FunctionArgumentClause, FunctionArguments, OrderBy, OrderByExpr, OrderByKind, Query, Select, Value,
    ValueWithSpan,
};

/// Orders a query by each expression once.
pub(super) fn of_query(query: &mut Query) {
    if let Some(OrderBy {
        kind: OrderByKind::Expressions(orders),
        ..
    }) = &mut query.order_by
    {
        once(orders, |order| &order.expr);
    }
}

/// Names each expression of `DISTINCT ON` once.
pub(super) fn of_select(select: &mut Select) {
    if let Some(Distinct::On(keys)) = &mut select.distinct {
        once(keys, |key| key);
    }
}

/// Orders the values of an aggregate by each expression once, and not by numbers.
pub(super) fn of_call(expr: &mut Expr) {
    let Expr::Function(function) = expr else {
        return;
    };
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    list.clauses.retain_mut(|clause| match clause {
        FunctionArgumentClause::OrderBy(orders) => {
            orders.retain(|order| !is_number(&order.expr));
            once(orders, |order: &OrderByExpr| &order.expr);
            !orders.is_empty()
        }
        _ => true,
    });
}

fn once<T>(all: &mut Vec<T>, expr_of: impl Fn(&T) -> &Expr) {
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all.drain(..) {
        if !kept.iter().any(|other| expr_of(other) == expr_of(&one)) {
            kept.push(one);
        }
    }
    *all = kept;
}

fn is_number(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Value(ValueWithSpan {
            value: Value::Number(..),
            ..
        })
    )
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::prepared;

    #[test]
    fn an_order_has_an_expression_once() {
        for (sql, expected) in [
            (
                "SELECT a FROM t ORDER BY a, b DESC, a DESC",
                "SELECT a FROM t ORDER BY a, b DESC",
            ),
            (
                "SELECT DISTINCT ON (a, a) a FROM t ORDER BY a, a, b",
                "SELECT DISTINCT ON (a) a FROM t ORDER BY a, b",
            ),
            (
                "SELECT array_agg(a ORDER BY b, b DESC, 3) AS x, array_agg(b ORDER BY 1) AS y FROM t",
                "SELECT array_agg(a ORDER BY b) AS x, array_agg(b) AS y FROM t",
            ),
        ] {
            assert_eq!(prepared(sql), expected);
        }
    }
}

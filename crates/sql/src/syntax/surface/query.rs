//! Queries: `WITH`, set operations, `VALUES`, `ORDER BY`, `LIMIT` and `FETCH`.

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Fetch, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Parens, Query, SetExpr,
    SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, Values, With,
};

use super::expr::{expr, exprs};
use super::select::select;
use crate::syntax::refusal::{Checked, refuse};

pub(super) fn query(query: &Query) -> Checked {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    if !locks.is_empty() {
        return refuse("FOR UPDATE and FOR SHARE are not supported, tables here are only read");
    }
    if for_clause.is_some() {
        return refuse("FOR XML, FOR JSON and FOR BROWSE are not supported, results leave as Arrow");
    }
    if settings.is_some() {
        return refuse("SETTINGS is not supported");
    }
    if format_clause.is_some() {
        return refuse("FORMAT is not supported, results leave as Arrow");
    }
    if !pipe_operators.is_empty() {
        return refuse("pipe operators (|>) are not supported, write SELECT … FROM (…)");
    }
    with.iter().try_for_each(with_clause)?;
    set_expr(body)?;
    order_by.iter().try_for_each(|order_by| ordered(order_by, body))?;
    limit_clause.iter().try_for_each(limit)?;
    fetch.iter().try_for_each(|fetch| fetched(fetch, limit_clause.as_ref()))
}

fn with_clause(with: &With) -> Checked {
    let With {
        with_token: _,
        recursive: _,
        cte_tables,
    } = with;
    cte_tables.iter().try_for_each(cte)
}

/// `MATERIALIZED` is a hint: the result does not depend on it.
fn cte(cte: &Cte) -> Checked {
    let Cte {
        alias,
        query: inner,
        from,
        materialized: _,
        closing_paren_token: _,
    } = cte;
    if from.is_some() {
        return refuse("FROM after a query of WITH is not supported");
    }
    table_alias(alias)?;
    query(inner)
}

pub(super) fn table_alias(alias: &TableAlias) -> Checked {
    let TableAlias {
        explicit: _,
        name: _,
        columns,
        at,
    } = alias;
    if at.is_some() {
        return refuse("AT after an alias is not supported, number rows with row_number() OVER (…)");
    }
    for TableAliasColumnDef { name: _, data_type } in columns {
        if data_type.is_some() {
            return refuse("types in an alias's list of columns are not supported, use CAST");
        }
    }
    Ok(())
}

fn set_expr(body: &SetExpr) -> Checked {
    match body {
        SetExpr::Select(inner) => select(inner),
        SetExpr::Query(inner) => query(inner),
        SetExpr::SetOperation {
            left,
            op,
            set_quantifier,
            right,
        } => {
            set_operation(*op, *set_quantifier)?;
            set_expr(left)?;
            set_expr(right)
        }
        SetExpr::Values(inner) => values(inner),
        SetExpr::Table(_) => refuse("TABLE is not supported as a query, write SELECT * FROM"),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            refuse("INSERT, UPDATE, DELETE and MERGE are not supported, tables here are only read")
        }
    }
}

fn set_operation(op: SetOperator, quantifier: SetQuantifier) -> Checked {
    let by_name = match quantifier {
        SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => false,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => true,
    };
    match op {
        SetOperator::Union => Ok(()),
        SetOperator::Except | SetOperator::Intersect | SetOperator::Minus if by_name => {
            refuse("BY NAME is supported for UNION only, list the columns in one order")
        }
        SetOperator::Except | SetOperator::Intersect | SetOperator::Minus => Ok(()),
    }
}

fn values(values: &Values) -> Checked {
    let Values {
        explicit_row: _,
        value_keyword,
        rows,
    } = values;
    if *value_keyword {
        return refuse("VALUE is not supported, write VALUES");
    }
    rows.iter().try_for_each(|row| {
        let Parens {
            opening_token: _,
            content,
            closing_token: _,
        } = row;
        exprs(content)
    })
}

fn ordered(order_by: &OrderBy, body: &SetExpr) -> Checked {
    let OrderBy { kind, interpolate } = order_by;
    if interpolate.is_some() {
        return refuse("INTERPOLATE is not supported, join a series of the missing rows");
    }
    match kind {
        OrderByKind::Expressions(orders) => order_exprs(orders),
        OrderByKind::All(options) => {
            order_options(options);
            match body {
                SetExpr::Select(_) => Ok(()),
                _ => refuse("ORDER BY ALL is supported for a single SELECT only, name the columns"),
            }
        }
    }
}

/// Both are honoured.
fn order_options(options: &OrderByOptions) {
    let OrderByOptions { asc: _, nulls_first: _ } = options;
}

pub(super) fn order_exprs(orders: &[OrderByExpr]) -> Checked {
    orders.iter().try_for_each(|order| {
        let OrderByExpr {
            expr: inner,
            options,
            with_fill,
        } = order;
        if with_fill.is_some() {
            return refuse("WITH FILL is not supported, join a series of the missing rows");
        }
        order_options(options);
        expr(inner)
    })
}

fn limit(limit: &LimitClause) -> Checked {
    match limit {
        LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        } => {
            if !limit_by.is_empty() {
                return refuse("LIMIT BY is not supported, use QUALIFY row_number() OVER (PARTITION BY …) <= n");
            }
            limit.iter().try_for_each(number_of_rows)?;
            offset.iter().try_for_each(|offset| {
                let Offset { value, rows: _ } = offset;
                number_of_rows(value)
            })
        }
        LimitClause::OffsetCommaLimit { offset, limit } => {
            number_of_rows(offset)?;
            number_of_rows(limit)
        }
    }
}

/// How many rows come is known before any is read.
fn number_of_rows(number: &Expr) -> Checked {
    match number {
        Expr::Subquery(_) => refuse(
            "LIMIT, OFFSET and FETCH take a number and no query, write QUALIFY row_number() OVER (ORDER BY …) <= (SELECT …)",
        ),
        Expr::Nested(inner) => number_of_rows(inner),
        number => expr(number),
    }
}

fn fetched(fetch: &Fetch, limit: Option<&LimitClause>) -> Checked {
    let Fetch {
        with_ties,
        percent,
        quantity,
    } = fetch;
    if *with_ties {
        return refuse("FETCH … WITH TIES is not supported, use QUALIFY rank() OVER (ORDER BY …) <= n");
    }
    if *percent {
        return refuse("FETCH … PERCENT is not supported, use QUALIFY percent_rank() OVER (ORDER BY …) <= share");
    }
    match limit {
        None | Some(LimitClause::LimitOffset { limit: None, .. }) => quantity.iter().try_for_each(number_of_rows),
        Some(_) => refuse("LIMIT and FETCH cannot be used together, use one of them"),
    }
}

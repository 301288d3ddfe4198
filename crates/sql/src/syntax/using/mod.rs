//! `JOIN … USING`, written out as `ON`. The engine reads the common column as the left one, which is NULL where a RIGHT
//! or FULL JOIN found no partner, finds it ambiguous after several joins, and may show the wrong one in `*`. Here the
//! common column of an INNER or LEFT JOIN is the left one, of a RIGHT JOIN the right one, and of a FULL JOIN `coalesce`
//! of both; unqualified references to it say so, and `*` shows it first.
//!
//! The text does not say which of several joined tables has a column that no earlier `USING` names. Such a `USING`
//! stays where the engine reads it rightly, and is refused elsewhere. Subqueries are not entered: a name in them is
//! theirs first.

mod joins;
mod replace;
mod scope;
mod star;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, JoinConstraint, JoinOperator, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, TableWithJoins,
};

pub(super) use self::joins::{constraint, constraint_mut};
use self::replace::Replace;
use self::scope::Scope;
use super::names::{compared, own_name, quoted};
use super::refusal::{Checked, refuse};
use super::walk::{Pass, walk};

/// Writes every `USING` of a statement out.
pub(super) fn write_out(statement: &mut Statement) -> Checked {
    walk(statement, &mut Using::default())
}

#[derive(Default)]
struct Using {
    /// The subqueries of expressions that are around, by address: their names may be those of a query outside.
    subqueries: Vec<*const Query>,
    /// How many of them are being visited.
    inside: Vec<*const Query>,
}

impl Pass for Using {
    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } =
            expr
        {
            self.subqueries.push(std::ptr::from_ref(query.as_ref()));
        }
        Ok(())
    }

    fn enter_query(&mut self, query: &mut Query) -> Checked {
        let address = std::ptr::from_ref::<Query>(query);
        if let Some(at) = self.subqueries.iter().rposition(|subquery| *subquery == address) {
            self.subqueries.swap_remove(at);
            self.inside.push(address);
        }
        body(&mut query.body, query.order_by.as_mut(), !self.inside.is_empty())
    }

    fn leave_query(&mut self, query: &mut Query) -> Checked {
        if self
            .inside
            .last()
            .is_some_and(|inside| *inside == std::ptr::from_ref::<Query>(query))
        {
            self.inside.pop();
        }
        Ok(())
    }
}

fn body(body: &mut SetExpr, order_by: Option<&mut OrderBy>, inside: bool) -> Checked {
    match body {
        SetExpr::Select(select) => rewrite(select, order_by, inside),
        SetExpr::SetOperation { left, right, .. } => {
            self::body(left, None, inside)?;
            self::body(right, None, inside)
        }
        _ => Ok(()),
    }
}

fn rewrite(select: &mut Select, order_by: Option<&mut OrderBy>, inside: bool) -> Checked {
    if !select.from.iter().any(uses) {
        return Ok(());
    }
    if select.from.iter().any(natural) {
        return refuse("NATURAL and USING in one FROM are not supported, say USING for all");
    }
    let mut scope = Scope::default();
    let mut walk = joins::From { inside, named: 0 };
    for from in &mut select.from {
        let item = joins::table_with_joins(from, &mut walk)?;
        scope = scope.beside(item);
    }
    let mut replace = Replace::new(&scope, inside);
    projection(select, &scope, &mut replace)?;
    clauses(select, &mut replace)?;
    order_by.map_or(Ok(()), |order_by| ordered(order_by, select, &mut replace))
}

fn uses(from: &TableWithJoins) -> bool {
    any_join(from, |on| matches!(on, JoinConstraint::Using(_)))
}

fn natural(from: &TableWithJoins) -> bool {
    any_join(from, |on| matches!(on, JoinConstraint::Natural))
}

/// Whether a join, or one in its brackets, has such a constraint.
fn any_join(from: &TableWithJoins, wanted: fn(&JoinConstraint) -> bool) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => any_join(table_with_joins, wanted),
        _ => false,
    };
    let joined = |operator: &JoinOperator| joins::constraint(operator).is_some_and(wanted);
    nested(&from.relation)
        || from
            .joins
            .iter()
            .any(|join| joined(&join.join_operator) || nested(&join.relation))
}

/// The list of `SELECT`: a common column keeps its name, and `*` is written out.
fn projection(select: &mut Select, scope: &Scope, replace: &mut Replace<'_>) -> Checked {
    let mut items = Vec::with_capacity(select.projection.len());
    for mut item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(options) => items.extend(star::written_out(&options, scope)?),
            SelectItem::UnnamedExpr(mut expr) => {
                let name = own_name(&expr);
                let written = expr.clone();
                replace.within(&mut expr)?;
                items.push(match name {
                    Some(name) if expr != written => SelectItem::ExprWithAlias {
                        expr,
                        alias: quoted(name),
                    },
                    _ => SelectItem::UnnamedExpr(expr),
                });
            }
            _ => {
                replace.within(&mut item)?;
                items.push(item);
            }
        }
    }
    select.projection = items;
    Ok(())
}

fn clauses(select: &mut Select, replace: &mut Replace<'_>) -> Checked {
    replace.within(&mut select.selection)?;
    match &mut select.group_by {
        GroupByExpr::All(_) => {}
        GroupByExpr::Expressions(keys, _) => replace.within(keys)?,
    }
    replace.within(&mut select.having)?;
    replace.within(&mut select.named_window)?;
    replace.within(&mut select.qualify)?;
    select.distinct = match select.distinct.take() {
        Some(Distinct::On(mut on)) => {
            on.iter_mut().try_for_each(|expr| by_output(expr, select, replace))?;
            Some(Distinct::On(on))
        }
        plain => plain,
    };
    Ok(())
}

fn ordered(order_by: &mut OrderBy, select: &Select, replace: &mut Replace<'_>) -> Checked {
    match &mut order_by.kind {
        OrderByKind::All(_) => Ok(()),
        OrderByKind::Expressions(orders) => {
            let mut exprs = orders.iter_mut().map(|order| &mut order.expr);
            exprs.try_for_each(|expr| by_output(expr, select, replace))
        }
    }
}

/// Replaces common columns where a bare name means a column of the list first.
fn by_output(expr: &mut Expr, select: &Select, replace: &mut Replace<'_>) -> Checked {
    if let Expr::Identifier(name) = expr {
        let name = compared(name);
        let output = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if compared(alias) == name => Some(expr),
            SelectItem::UnnamedExpr(expr) if own_name(expr).is_some_and(|own| own == name) => Some(expr),
            _ => None,
        });
        match output {
            // The engine would look for the name among the tables as well, where there are two of it.
            Some(column @ Expr::CompoundIdentifier(_)) => {
                *expr = column.clone();
                return Ok(());
            }
            Some(_) => return Ok(()),
            None => {}
        }
    }
    replace.within(expr)
}

#[cfg(test)]
mod tests;

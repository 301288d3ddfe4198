//! `(a, b) IN (SELECT …)` becomes `EXISTS` where a condition that is not true only leaves a row out: there unknown and
//! false are one. Elsewhere it is refused by name.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};

use super::{binary, bracketed, quantified, taken};
use crate::syntax::built::{empty_select, query_of};
use crate::syntax::chains::joined_by;
use crate::syntax::names::{compared, own_name, quoted};
use crate::syntax::refusal::{Checked, Refusal};
use crate::syntax::walk::{Pass, walk};

/// The alias of a query whose rows are compared.
const ROWS: &str = "__parcours_rows";

pub(super) const IN_QUERY: &str = "(a, b) IN (SELECT …) is supported in WHERE, HAVING, QUALIFY and ON of inner joins, joined by AND \
                        and OR, and NOT IN not at all: write EXISTS or NOT EXISTS";

/// Rewrites `(a, b) IN (SELECT …)` in the conditions of a `SELECT`.
pub(super) fn rewrite(select: &mut Select) -> Checked {
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
            quantified::rewrite(expr)?;
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
                *expr = exists(row, subquery)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns `EXISTS (SELECT 1 FROM (query) AS rows WHERE rows.x = a AND …)`. The query's columns are renamed only where
/// their own names are not known or would be mistaken for those of the row: the engine does not follow a correlation
/// through new names.
fn exists(mut row: Vec<Expr>, query: &Query) -> Result<Expr, Refusal> {
    let reserved = || (0..row.len()).map(|n| format!("__parcours_c{n}")).collect::<Vec<_>>();
    let (names, renamed) = match shown_names(&query.body, row.len()) {
        Some(names) if !mentioned(row.clone(), &names)? => (names, Vec::new()),
        _ => (reserved(), reserved()),
    };
    let equal = row.drain(..).zip(&names).map(|(element, name)| {
        let column = Expr::CompoundIdentifier(vec![quoted(ROWS), quoted(name)]);
        binary(column, BinaryOperator::Eq, bracketed(element))
    });
    let condition = joined_by(&BinaryOperator::And, equal.collect());
    Ok(Expr::Exists {
        subquery: Box::new(one_from(query.clone(), renamed, condition)),
        negated: false,
    })
}

/// The names of a query's columns, if there are as many as wanted and the text says them all.
fn shown_names(body: &SetExpr, wanted: usize) -> Option<Vec<String>> {
    match body {
        SetExpr::SetOperation { left, .. } => shown_names(left, wanted),
        SetExpr::Select(select) if select.projection.len() == wanted => {
            let name = |item: &SelectItem| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(compared(alias)),
                SelectItem::UnnamedExpr(expr) => own_name(expr),
                _ => None,
            };
            let names: Vec<String> = select.projection.iter().map(name).collect::<Option<_>>()?;
            let unique: HashSet<&String> = names.iter().collect();
            (unique.len() == wanted).then_some(names)
        }
        _ => None,
    }
}

/// Whether a row mentions one of these names without a table's.
fn mentioned(mut row: Vec<Expr>, names: &[String]) -> Result<bool, Refusal> {
    let mut mentions = Mentions { names, found: false };
    walk(&mut row, &mut mentions)?;
    Ok(mentions.found)
}

struct Mentions<'a> {
    names: &'a [String],
    found: bool,
}

impl Pass for Mentions<'_> {
    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Identifier(name) = expr {
            self.found |= self.names.contains(&compared(name));
        }
        Ok(())
    }
}

fn one_from(query: Query, columns: Vec<String>, condition: Option<Expr>) -> Query {
    let columns = columns.into_iter().map(|name| TableAliasColumnDef {
        name: quoted(name),
        data_type: None,
    });
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

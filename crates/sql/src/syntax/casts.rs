//! Casts of one thing to several types in a grouped query, `GROUP BY d, CAST(d AS TIMESTAMP)`. The engine names an expression
//! without its casts, so that keys like these would have one name, which it refuses. Where something occurs in more than one
//! form, its casts go into a function that the engine names by their text and that the analyzer takes away again
//! (`semantics/expressions/outputs`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    NamedWindowDefinition, NamedWindowExpr, ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, Value,
    VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};

/// The function around a cast and its name.
pub(crate) const NAMED_CAST: &str = "named_cast";

/// More forms than this are not told apart: that a query has too many of them is then for the engine to say.
const MOST_FORMS: usize = 100;

/// Tells casts apart in the grouped queries of a query. To be called behind what names output columns.
pub fn distinguish_casts(query: &mut Query) {
    let _: ControlFlow<()> = query.visit(&mut Casts);
}

struct Casts;

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { body, order_by, .. } = query;
        if let SetExpr::Select(select) = body.as_mut() {
            let several = in_several_forms(select);
            if !several.is_empty() {
                let mut parts: Vec<&mut Expr> = parts(select);
                if let Some(OrderByKind::Expressions(keys)) = order_by.as_mut().map(|order| &mut order.kind) {
                    parts.extend(keys.iter_mut().map(|key| &mut key.expr));
                }
                for part in parts {
                    wrap(part, &several);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// What is cast among the keys and outputs of a grouped query, and occurs there in another form as well: as it is, or cast to
/// another type.
fn in_several_forms(select: &mut Select) -> Vec<Expr> {
    if matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
        return Vec::new();
    }
    let mut casts: Vec<(Expr, Expr)> = Vec::new();
    let parts = parts(select);
    for part in &parts {
        each(part, &mut |expr| {
            if let Expr::Cast { expr: inner, .. } = expr
                && casts.len() < MOST_FORMS
            {
                casts.push((plain(inner), plain(expr)));
            }
        });
    }
    let mut several = Vec::new();
    for (inner, cast) in &casts {
        let occurrences = parts.iter().map(|part| count(part, inner)).sum::<usize>();
        let same = casts.iter().filter(|(of, as_cast)| of == inner && as_cast == cast);
        if occurrences > same.count() && !several.contains(inner) {
            several.push(inner.clone());
        }
    }
    several
}

/// The expressions of a query that may become keys and outputs.
fn parts(select: &mut Select) -> Vec<&mut Expr> {
    let mut parts = Vec::new();
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            parts.push(expr);
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        parts.extend(keys);
    }
    parts.extend(&mut select.having);
    parts.extend(&mut select.qualify);
    for NamedWindowDefinition(_, window) in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(window) = window {
            parts.extend(&mut window.partition_by);
            parts.extend(window.order_by.iter_mut().map(|by| &mut by.expr));
        }
    }
    parts
}

fn each(part: &Expr, look: &mut impl FnMut(&Expr)) {
    let _: ControlFlow<()> = visit_expressions(part, |expr| {
        look(expr);
        ControlFlow::Continue(())
    });
}

fn count(part: &Expr, sought: &Expr) -> usize {
    let mut count = 0;
    each(part, &mut |expr| count += usize::from(plain(expr) == *sought));
    count
}

/// The expression with its columns as they are without a table's name.
fn plain(expr: &Expr) -> Expr {
    let mut plain = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut plain, |expr| {
        if let Expr::CompoundIdentifier(names) = expr
            && let Some(last) = names.pop()
        {
            *expr = Expr::Identifier(last);
        }
        ControlFlow::Continue(())
    });
    plain
}

fn wrap(part: &mut Expr, several: &[Expr]) {
    let _: ControlFlow<()> = visit_expressions_mut(part, |expr| {
        if matches!(expr, Expr::Cast { expr: inner, .. } if several.contains(&plain(inner))) {
            let name = Expr::value(Value::SingleQuotedString(expr.to_string()));
            let cast = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = call(cast, name);
        }
        ControlFlow::Continue(())
    });
}

fn call(cast: Expr, name: Expr) -> Expr {
    let args = [cast, name].map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(NAMED_CAST)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn told_apart(sql: &str) -> String {
        let mut query = Parser::new(&GenericDialect {})
            .try_with_sql(sql)
            .unwrap()
            .parse_query()
            .unwrap();
        distinguish_casts(&mut query);
        query.to_string()
    }

    #[test]
    fn forms_of_one_thing_are_named() {
        for (sql, expected) in [
            (
                "SELECT d, CAST(t.d AS TIMESTAMP) AS s, count(*) FROM t GROUP BY d, CAST(t.d AS TIMESTAMP) ORDER BY CAST(d AS TIMESTAMP)",
                "SELECT d, named_cast(CAST(t.d AS TIMESTAMP), 'CAST(t.d AS TIMESTAMP)') AS s, count(*) FROM t GROUP BY d, named_cast(CAST(t.d AS TIMESTAMP), 'CAST(t.d AS TIMESTAMP)') ORDER BY named_cast(CAST(d AS TIMESTAMP), 'CAST(d AS TIMESTAMP)')",
            ),
            (
                "SELECT 1 FROM (SELECT x::INT, x::TEXT FROM t GROUP BY 1, 2) AS s",
                "SELECT 1 FROM (SELECT named_cast(x::INT, 'x::INT'), named_cast(x::TEXT, 'x::TEXT') FROM t GROUP BY 1, 2) AS s",
            ),
        ] {
            assert_eq!(told_apart(sql), expected);
        }
    }

    #[test]
    fn one_form_stays() {
        for sql in [
            "SELECT CAST(d AS TIMESTAMP) AS s, count(*) FROM t GROUP BY CAST(d AS TIMESTAMP)",
            "SELECT d, CAST(d AS TIMESTAMP) FROM t",
            "SELECT a, CAST(b AS INT), max(CAST(c AS INT)) FROM t GROUP BY a, CAST(b AS INT)",
        ] {
            assert_eq!(told_apart(sql), sql);
        }
    }
}

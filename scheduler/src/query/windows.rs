//! Named windows, written out before a statement is planned: DataFusion 55 takes `OVER (w ROWS …)` for a window without
//! partition and order, and answers wrongly without a word. The rules are those of the SQL standard, as PostgreSQL keeps them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, Statement, VisitMut, VisitorMut,
    WindowSpec, WindowType,
};

use crate::port::QueryError;

/// Writes every use of a named window out in full.
pub fn write_out(statement: &mut Statement) -> Result<(), QueryError> {
    match statement.visit(&mut WriteOut::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(QueryError::Invalid { message }),
    }
}

/// The windows of one `SELECT`, by name as it is compared.
type Windows = Vec<(String, WindowSpec)>;

/// Walks a statement with the windows of the `SELECT`s that are around.
#[derive(Default)]
struct WriteOut {
    around: Vec<Windows>,
}

impl VisitorMut for WriteOut {
    type Break = String;

    /// The `ORDER BY` of a query sees the windows of its `SELECT`.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let windows = match query.body.as_ref() {
            SetExpr::Select(select) => defined(&select.named_window),
            _ => Ok(Windows::new()),
        };
        self.enter(windows)
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        let windows = defined(&select.named_window);
        if let Ok(windows) = &windows {
            for (definition, (_, spec)) in select.named_window.iter_mut().zip(windows) {
                definition.1 = NamedWindowExpr::WindowSpec(spec.clone());
            }
        }
        self.enter(windows)
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<String> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        {
            let known = self.around.last().map_or(&[][..], Vec::as_slice);
            match extended(spec, known) {
                Ok(whole) => *spec = whole,
                Err(message) => return ControlFlow::Break(message),
            }
        }
        ControlFlow::Continue(())
    }
}

impl WriteOut {
    fn enter(&mut self, windows: Result<Windows, String>) -> ControlFlow<String> {
        match windows {
            Ok(windows) => {
                self.around.push(windows);
                ControlFlow::Continue(())
            }
            Err(message) => ControlFlow::Break(message),
        }
    }
}

/// The windows of a `WINDOW` clause, each in full; a later one may build on an earlier one.
fn defined(definitions: &[NamedWindowDefinition]) -> Result<Windows, String> {
    let mut windows = Windows::new();
    for NamedWindowDefinition(name, definition) in definitions {
        let spec = match definition {
            NamedWindowExpr::NamedWindow(other) => find(other, &windows)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => extended(spec, &windows)?,
        };
        windows.push((compared(name), spec));
    }
    Ok(windows)
}

/// The window that `spec` means: what it says itself, on top of the one that it names.
fn extended(spec: &WindowSpec, known: &[(String, WindowSpec)]) -> Result<WindowSpec, String> {
    let Some(name) = &spec.window_name else {
        return Ok(spec.clone());
    };
    let base = find(name, known)?;
    if !spec.partition_by.is_empty() {
        return Err(format!(
            "PARTITION BY cannot be added to window {name}, write the whole window"
        ));
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return Err(format!("window {name} has an ORDER BY already"));
    }
    if base.window_frame.is_some() {
        return Err(format!(
            "window {name} has a frame and cannot be built upon, write OVER {name} or the whole window"
        ));
    }
    let order_by = if spec.order_by.is_empty() {
        &base.order_by
    } else {
        &spec.order_by
    };
    Ok(WindowSpec {
        window_name: None,
        partition_by: base.partition_by.clone(),
        order_by: order_by.clone(),
        window_frame: spec.window_frame.clone(),
    })
}

fn find<'a>(name: &Ident, known: &'a [(String, WindowSpec)]) -> Result<&'a WindowSpec, String> {
    let wanted = compared(name);
    let found = known.iter().find(|(known, _)| *known == wanted);
    found
        .map(|(_, spec)| spec)
        .ok_or_else(|| format!("window {name} is not defined"))
}

/// A name as SQL compares it: in lower case unless quoted.
fn compared(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn written_out(sql: &str) -> Result<String, QueryError> {
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        write_out(&mut statements[0])?;
        Ok(statements[0].to_string())
    }

    #[test]
    fn a_frame_keeps_the_partition_and_order_of_the_window_it_builds_on() {
        let whole = "sum(x) OVER (PARTITION BY p ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)";
        for sql in [
            "SELECT sum(x) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY p ORDER BY d)",
            "SELECT sum(x) OVER (W ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW v AS (PARTITION BY p), w AS (v ORDER BY d)",
            "SELECT 1 FROM u WHERE EXISTS (SELECT sum(x) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY p ORDER BY d))",
            "SELECT y FROM t WINDOW w AS (PARTITION BY p ORDER BY d) ORDER BY sum(x) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
            "SELECT 1 UNION SELECT sum(x) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY p ORDER BY d)",
        ] {
            let written = written_out(sql).unwrap();
            assert!(written.contains(whole), "{written}");
        }
    }

    #[test]
    fn a_window_that_is_used_by_its_name_stays() {
        let sql = "SELECT lag(x) OVER w FROM t WINDOW w AS (PARTITION BY p)";
        assert_eq!(written_out(sql).unwrap(), sql);
        let chained = written_out("SELECT lag(x) OVER v FROM t WINDOW w AS (PARTITION BY p), v AS w").unwrap();
        assert!(chained.ends_with("v AS (PARTITION BY p)"), "{chained}");
    }

    #[test]
    fn what_cannot_be_built_upon_is_refused_by_name() {
        for (over, says) in [
            ("(nope ROWS UNBOUNDED PRECEDING)", "window nope is not defined"),
            ("(w PARTITION BY q)", "PARTITION BY cannot be added"),
            ("(w ORDER BY q)", "has an ORDER BY already"),
            ("(f ROWS UNBOUNDED PRECEDING)", "has a frame"),
        ] {
            let sql = format!(
                "SELECT sum(x) OVER {over} FROM t WINDOW w AS (PARTITION BY p ORDER BY d), f AS (ORDER BY d ROWS UNBOUNDED PRECEDING)"
            );
            let refused = written_out(&sql).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}

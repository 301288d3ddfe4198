//! Named windows in `QUALIFY` and `ORDER BY`: the engine looks their names up in the list of `SELECT` only, and takes
//! `sum(x) OVER w` elsewhere for the aggregate `sum(x)`.

use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, WindowSpec, WindowType,
};

use crate::syntax::names::compared;
use crate::syntax::refusal::{Checked, Refusal};
use crate::syntax::walk::{Pass, walk};

/// The windows of one `SELECT`, by name.
type Windows = Vec<(String, WindowSpec)>;

/// Writes the named windows in the clauses of a `SELECT` out.
pub(super) fn of_select(select: &mut Select) -> Checked {
    let mut out = WriteOut {
        windows: defined(&select.named_window),
        queries: 0,
    };
    walk(&mut select.projection, &mut out)?;
    walk(&mut select.distinct, &mut out)?;
    walk(&mut select.qualify, &mut out)
}

/// Writes the named windows in a query's `ORDER BY` out: they are those of its `SELECT`.
pub(super) fn of_order(query: &mut Query) -> Checked {
    let windows = match query.body.as_ref() {
        SetExpr::Select(select) => defined(&select.named_window),
        _ => Windows::new(),
    };
    walk(&mut query.order_by, &mut WriteOut { windows, queries: 0 })
}

/// A window may be another one's name; a name that is not defined is the engine's to refuse.
fn defined(definitions: &[NamedWindowDefinition]) -> Windows {
    let mut windows = Windows::new();
    for NamedWindowDefinition(name, definition) in definitions {
        let spec = match definition {
            NamedWindowExpr::WindowSpec(spec) => Some(spec.clone()),
            NamedWindowExpr::NamedWindow(other) => find(&windows, &compared(other)).cloned(),
        };
        if let Some(spec) = spec {
            windows.push((compared(name), spec));
        }
    }
    windows
}

fn find<'a>(windows: &'a [(String, WindowSpec)], name: &str) -> Option<&'a WindowSpec> {
    windows.iter().find(|(known, _)| known == name).map(|(_, spec)| spec)
}

struct WriteOut {
    windows: Windows,
    /// How many subqueries are around: they have windows of their own.
    queries: usize,
}

impl Pass for WriteOut {
    fn enter_query(&mut self, _: &mut Query) -> Checked {
        self.queries += 1;
        Ok(())
    }

    fn leave_query(&mut self, _: &mut Query) -> Checked {
        self.queries -= 1;
        Ok(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Function(function) = expr
            && self.queries == 0
            && let Some(WindowType::NamedWindow(name)) = &function.over
        {
            let Some(spec) = find(&self.windows, &compared(name)) else {
                return Err(Refusal::invalid(format!("window {name} is not defined")));
            };
            function.over = Some(WindowType::WindowSpec(spec.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    #[tokio::test]
    async fn a_named_window_is_one_in_qualify_and_order_by() {
        let context = session("CREATE TABLE t (a INT, b INT) AS VALUES (1, 10), (1, 20), (2, 5)").await;
        for (sql, expected) in [
            (
                "SELECT a, b FROM t WINDOW w AS (PARTITION BY a ORDER BY b DESC) QUALIFY row_number() OVER w = 1",
                "a,b|1,20|2,5",
            ),
            (
                "SELECT b FROM t WINDOW w AS (PARTITION BY a), v AS w ORDER BY sum(b) OVER V, b",
                "b|5|10|20",
            ),
            (
                "SELECT sum(b) OVER w AS s FROM t WINDOW w AS (PARTITION BY a)",
                "s|30|30|5",
            ),
            (
                "SELECT b FROM t WINDOW w AS (ORDER BY b) QUALIFY rank() OVER w = 1 UNION ALL SELECT 7",
                "b|5|7",
            ),
            (
                "SELECT a FROM t QUALIFY sum(b) OVER w > 1",
                "error: window w is not defined",
            ),
            (
                "SELECT a FROM t ORDER BY sum(b) OVER w",
                "error: window w is not defined",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }
}

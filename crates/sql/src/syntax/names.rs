//! Names of output columns. An expression without an alias is named by its own text, `SELECT 1` by `1`, and a name that
//! occurs again in one list is told apart as `a_1`, since the engine refuses equal names. A plain column keeps its
//! name.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement,
};

use super::refusal::Checked;
use super::walk::{Pass, walk};

/// The longest name, in characters; an expression may be a megabyte of text.
const LONGEST: usize = 200;

/// A name as SQL compares it: in lower case unless quoted.
pub(crate) fn compared(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// Returns an identifier that means exactly this name.
pub(crate) fn quoted(name: impl Into<String>) -> Ident {
    Ident::with_quote('"', name)
}

/// Names the columns of every query of a statement.
pub(crate) fn give(statement: &mut Statement) -> Checked {
    walk(statement, &mut Names::default())
}

/// Walks a statement from the outside: an expression's text is taken before anything in it is named.
#[derive(Default)]
struct Names {
    /// The queries that are operands of an expression, by address: nobody sees their names.
    operands: Vec<*const Query>,
}

impl Pass for Names {
    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } =
            expr
        {
            self.operands.push(std::ptr::from_ref(query.as_ref()));
        }
        Ok(())
    }

    fn enter_query(&mut self, query: &mut Query) -> Checked {
        let address = std::ptr::from_ref::<Query>(query);
        let seen = match self.operands.iter().rposition(|operand| *operand == address) {
            Some(at) => {
                self.operands.swap_remove(at);
                false
            }
            None => true,
        };
        let given = name_body(&mut query.body, seen);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(orders) = &mut order_by.kind
        {
            for order in orders {
                order_by_name(&mut order.expr, &given);
            }
        }
        Ok(())
    }
}

/// What was written, and the name that it was given.
type Given = Vec<(Expr, Ident)>;

/// Names the columns of every `SELECT` of a body and returns the names of the first, which are those of the whole.
fn name_body(body: &mut SetExpr, seen: bool) -> Given {
    match body {
        SetExpr::Select(select) => name_select(select, seen),
        SetExpr::SetOperation { left, right, .. } => {
            let given = name_body(left, seen);
            name_body(right, seen);
            given
        }
        _ => Given::new(),
    }
}

/// The only column of an operand needs no name.
fn name_select(select: &mut Select, seen: bool) -> Given {
    if !seen && select.projection.len() < 2 {
        return Given::new();
    }
    let written: HashSet<String> = select.projection.iter().filter_map(written_name).collect();
    let mut taken = written.clone();
    let mut given = Given::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        let (name, plain) = match own_name(expr) {
            Some(name) => (name, true),
            None if expands(expr) => continue,
            None => (text(expr), false),
        };
        // Beside an alias of the same name, a column is left to the engine, which refuses the two.
        if plain && (written.contains(&name) || taken.insert(name.clone())) {
            continue;
        }
        let alias = quoted(free(name, &mut taken, plain));
        let expr = std::mem::replace(expr, Expr::Tuple(Vec::new()));
        if !plain {
            given.push((expr.clone(), alias.clone()));
        }
        *item = SelectItem::ExprWithAlias { expr, alias };
    }
    given
}

fn written_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(compared(alias)),
        _ => None,
    }
}

/// The name of a plain column, perhaps in brackets.
pub(crate) fn own_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(compared(name)),
        Expr::CompoundIdentifier(names) => names.last().map(compared),
        Expr::Nested(inner) => own_name(inner),
        _ => None,
    }
}

/// Whether an expression may stand for several columns, as the fields of a struct.
fn expands(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => matches!(compared(name).as_str(), "unnest" | "unnest_outer"),
            _ => false,
        },
        _ => false,
    }
}

/// The text of an expression, as the name of its column. A function that is called without brackets, as `CURRENT_DATE`,
/// may be a column of that name.
fn text(expr: &Expr) -> String {
    if let Expr::Function(Function {
        name,
        args: FunctionArguments::None,
        ..
    }) = expr
        && let Some(ObjectNamePart::Identifier(name)) = name.0.last()
    {
        return compared(name);
    }
    let text = expr.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The name, or the first of `name_1`, `name_2` … that is free; it is taken then. `again` says that the name is known
/// to be taken.
fn free(name: String, taken: &mut HashSet<String>, again: bool) -> String {
    if !again && taken.insert(name.clone()) {
        return name;
    }
    let mut n = 1_usize;
    loop {
        let other = format!("{name}_{n}");
        if taken.insert(other.clone()) {
            return other;
        }
        n += 1;
    }
}

/// `ORDER BY` of an expression that stands in the list means that column. A number is a column's place already.
fn order_by_name(expr: &mut Expr, given: &Given) {
    if matches!(expr, Expr::Value(_)) {
        return;
    }
    if let Some((_, name)) = given.iter().find(|(written, _)| written == expr) {
        *expr = Expr::Identifier(name.clone());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    const TABLES: &str = "CREATE TABLE t (a INT, b INT) AS VALUES (1, 10), (1, 20), (2, 30);
        CREATE TABLE u (a INT) AS VALUES (2), (3)";

    #[tokio::test]
    async fn an_expression_is_named_by_its_text() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT 1", "1|1"),
            ("SELECT count(*) FROM t", "count(*)|3"),
            ("SELECT a, sum(b) FROM t GROUP BY a ORDER BY a", "a,sum(b)|1,30|2,30"),
            (
                "SELECT CAST(a AS BIGINT), (b) FROM t WHERE b = 30",
                "CAST(a AS BIGINT),b|2,30",
            ),
            ("SELECT t.a FROM t WHERE b = 30", "a|2"),
            ("SELECT \"1\" + 1 FROM (SELECT 1) s", "\"1\" + 1|2"),
            (
                "WITH c AS (SELECT count(*) FROM t) SELECT \"count(*)\" FROM c",
                "count(*)|3",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_name_that_occurs_again_is_told_apart() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT a, a FROM t WHERE b = 30", "a,a_1|2,2"),
            ("SELECT 1, 1, 1", "1,1_1,1_2|1,1,1"),
            ("SELECT t.a, u.a FROM t JOIN u ON t.a = u.a", "a,a_1|2,2"),
            ("SELECT a, a AS a_1, a FROM t WHERE b = 30", "a,a_1,a_2|2,2,2"),
            (
                "SELECT (SELECT max(a) FROM t), (SELECT max(a) FROM t)",
                "(SELECT max(a) FROM t),(SELECT max(a) FROM t)_1|2,2",
            ),
            ("SELECT 1, 1 UNION ALL SELECT 2, 2", "1,1_1|1,1|2,2"),
            ("SELECT a, a_1 FROM (SELECT a, a FROM t) s WHERE a = 2", "a,a_1|2,2"),
            (
                "SELECT count(*) FROM u WHERE EXISTS (SELECT 1, 1 FROM t WHERE t.a = u.a)",
                "count(*)|1",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
        assert!(answer(&context, "SELECT b AS a, a FROM t").await.starts_with("error"));
    }

    #[tokio::test]
    async fn expressions_that_are_repeated_still_resolve() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            (
                "SELECT a+1, count(*) FROM t GROUP BY a+1 ORDER BY a+1",
                "a + 1,count(*)|2,2|3,1",
            ),
            ("SELECT count(*) FROM t ORDER BY count(*)", "count(*)|3"),
            ("SELECT DISTINCT a+1 FROM t ORDER BY a+1 DESC", "a + 1|3|2"),
            ("SELECT DISTINCT a+1 FROM t ORDER BY 1", "a + 1|2|3"),
            ("SELECT a+1 FROM t ORDER BY b DESC", "a + 1|3|2|2"),
            ("SELECT a+1 FROM t UNION SELECT a FROM u ORDER BY a+1 DESC", "a + 1|3|2"),
            (
                "SELECT a % 2, sum(b) FROM t GROUP BY 1 ORDER BY sum(b), 1",
                "a % 2,sum(b)|0,30|1,30",
            ),
            (
                "SELECT upper('x'), count(*) FROM t GROUP BY upper('x')",
                "upper('x'),count(*)|X,3",
            ),
            (
                "SELECT a, row_number() OVER (ORDER BY b) FROM t ORDER BY row_number() OVER (ORDER BY b) DESC",
                "a,row_number() OVER (ORDER BY b)|2,3|1,2|1,1",
            ),
            (
                "SELECT sum(b) FROM t GROUP BY a HAVING sum(b) > 10 AND a = 2",
                "sum(b)|30",
            ),
            (
                "SELECT a, (SELECT count(*) FROM u WHERE u.a = t.a) FROM t WHERE b > 10 ORDER BY a",
                "a,(SELECT count(*) FROM u WHERE u.a = t.a)|1,0|2,1",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[test]
    fn what_is_no_expression_of_its_own_is_left() {
        for sql in [
            "SELECT *, a AS b FROM t",
            "SELECT unnest(s) FROM t",
            "SELECT a FROM t WHERE b = (SELECT max(b) FROM t)",
        ] {
            assert_eq!(prepared(sql), sql);
        }
        let long = prepared(&format!("SELECT a IN ({})", vec!["1"; 500].join(", ")));
        assert!(long.contains("…\""), "{long}");
    }
}

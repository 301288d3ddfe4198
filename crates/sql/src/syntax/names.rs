//! Names of output columns. An expression without an alias is named by its own text, `SELECT 1` by `1`; a plain column
//! keeps its name. The engine refuses two columns of one name. In a subquery the second is renamed `a_1`; in the result it
//! has an internal name ([`declared`]), and an analyzer rule restores its own (`semantics/expressions/outputs`).

mod stars;

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor,
};

use self::stars::Stars;
pub(super) use self::stars::{last, left_out};
use super::refusal::{Checked, Refusal};
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

/// Who sees the columns of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Whoever asked: they are the result's.
    Result,
    /// The query around, by their names.
    Around,
    /// The query around, where a name may be one of a table before the query.
    Lateral,
    /// Nobody: the query is an operand of an expression.
    Nowhere,
}

/// Walks a statement from the outside: an expression's text is taken before anything in it is named.
#[derive(Default)]
struct Names {
    /// Whether the statement's own query has been entered.
    begun: bool,
    /// The queries that are to come and are not seen by the query around, by address.
    coming: Vec<(*const Query, Seen)>,
}

impl Names {
    fn come(&mut self, query: &Query, seen: Seen) {
        self.coming.push((std::ptr::from_ref(query), seen));
    }

    fn seen(&mut self, query: &Query) -> Seen {
        if !std::mem::replace(&mut self.begun, true) {
            return Seen::Result;
        }
        let address = std::ptr::from_ref(query);
        match self.coming.iter().rposition(|(coming, _)| *coming == address) {
            Some(at) => self.coming.swap_remove(at).1,
            None => Seen::Around,
        }
    }

    /// Names the columns of every `SELECT` of a body and returns the names of the first, which are those of the whole.
    fn name_body(&mut self, body: &mut SetExpr, seen: Seen) -> Given {
        match body {
            SetExpr::Select(select) => name_select(select, seen),
            SetExpr::SetOperation { left, right, .. } => {
                let given = self.name_body(left, seen);
                self.name_body(right, seen);
                given
            }
            SetExpr::Query(query) => {
                self.come(query, seen);
                Given::default()
            }
            _ => Given::default(),
        }
    }
}

impl Pass for Names {
    fn enter_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } =
            expr
        {
            self.come(query, Seen::Nowhere);
        }
        Ok(())
    }

    fn enter_factor(&mut self, factor: &mut TableFactor) -> Checked {
        if let TableFactor::Derived {
            lateral: true,
            subquery,
            ..
        } = factor
        {
            self.come(subquery, Seen::Lateral);
        }
        Ok(())
    }

    fn enter_query(&mut self, query: &mut Query) -> Checked {
        let seen = self.seen(query);
        let given = self.name_body(&mut query.body, seen);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(orders) = &mut order_by.kind
        {
            for order in orders {
                order_by_name(&mut order.expr, &given)?;
            }
        }
        Ok(())
    }
}

/// The names of a list, as `ORDER BY` refers to them.
#[derive(Default)]
struct Given {
    /// What was written without a name, and the name that it was given.
    names: Vec<(Expr, Ident)>,
    /// What may be one of several columns.
    ambiguous: HashSet<String>,
}

/// The only column of an operand needs no name.
fn name_select(select: &mut Select, seen: Seen) -> Given {
    if seen == Seen::Nowhere && select.projection.len() < 2 {
        return Given::default();
    }
    let stars = Stars::of(select);
    let mut used = Used::new(select, seen);
    let mut given = Given {
        names: Vec::new(),
        ambiguous: ambiguous(&select.projection),
    };
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let alias = match own_name(expr) {
                    Some(name) => used.again(&name, stars.hold(expr, &name, seen)),
                    None if expands(expr) => None,
                    None => {
                        let alias = used.first(text(expr));
                        given.names.push((expr.clone(), alias.clone()));
                        Some(alias)
                    }
                };
                if let Some(alias) = alias {
                    let expr = std::mem::replace(expr, Expr::Tuple(Vec::new()));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = compared(alias);
                let held = own_name(expr).is_some_and(|own| own == name) && stars.hold(expr, &name, seen);
                if let Some(other) = used.again(&name, held) {
                    *alias = other;
                }
            }
            _ => {}
        }
    }
    given
}

/// The names of one list.
struct Used {
    /// Those of the columns so far.
    so_far: HashSet<String>,
    /// Those and all that are written as aliases.
    taken: HashSet<String>,
    seen: Seen,
}

impl Used {
    fn new(select: &Select, seen: Seen) -> Self {
        Self {
            so_far: HashSet::new(),
            taken: select.projection.iter().filter_map(written_name).collect(),
            seen,
        }
    }

    /// Returns another name in the place of one that was used before, or that is `held` by a star.
    fn again(&mut self, name: &str, held: bool) -> Option<Ident> {
        let again = !self.so_far.insert(name.to_owned()) || held;
        self.taken.insert(name.to_owned());
        again.then(|| self.other(name))
    }

    /// Returns the name of a column that is named by its text, or another if it is taken.
    fn first(&mut self, name: String) -> Ident {
        if self.taken.insert(name.clone()) {
            self.so_far.insert(name.clone());
            return quoted(name);
        }
        self.other(&name)
    }

    /// Returns the first of `name_1`, `name_2` … that is free, or a name of ours where the result has the name again.
    fn other(&mut self, name: &str) -> Ident {
        let mut n = 1_usize;
        loop {
            let other = match self.seen {
                Seen::Result => format!("{AGAIN}{n}_{name}"),
                _ => format!("{name}_{n}"),
            };
            if self.taken.insert(other.clone()) {
                self.so_far.insert(other.clone());
                return quoted(other);
            }
            n += 1;
        }
    }
}

/// How a name begins that stands for one which the result has already; a number and that name follow.
const AGAIN: &str = "__parcours_again_";

/// Returns the name that stands behind one of ours.
pub(crate) fn declared(name: &str) -> Option<&str> {
    name.strip_prefix(AGAIN)?.split_once('_').map(|(_, declared)| declared)
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

/// The names that several columns of a list have which are not one column.
fn ambiguous(projection: &[SelectItem]) -> HashSet<String> {
    let mut first: HashMap<String, &Expr> = HashMap::new();
    let mut ambiguous = HashSet::new();
    for item in projection {
        let named = match item {
            SelectItem::UnnamedExpr(expr) => own_name(expr).map(|name| (name, expr)),
            SelectItem::ExprWithAlias { expr, alias } => Some((compared(alias), expr)),
            _ => None,
        };
        let Some((name, expr)) = named else { continue };
        match first.get(&name) {
            Some(known) if !are_one(known, expr) => {
                ambiguous.insert(name);
            }
            Some(_) => {}
            None => {
                first.insert(name, expr);
            }
        }
    }
    ambiguous
}

/// Whether both are one expression, or one column with and without its table.
fn are_one(left: &Expr, right: &Expr) -> bool {
    let bare = matches!(left, Expr::Identifier(_)) || matches!(right, Expr::Identifier(_));
    let plain = || {
        own_name(left)
            .zip(own_name(right))
            .is_some_and(|(left, right)| left == right)
    };
    left == right || (bare && plain())
}

/// `ORDER BY` of an expression that stands in the list means that column. A number is a column's place already.
fn order_by_name(expr: &mut Expr, given: &Given) -> Checked {
    match expr {
        Expr::Value(_) => return Ok(()),
        Expr::Identifier(name) if given.ambiguous.contains(&compared(name)) => {
            return Err(Refusal::invalid(format!(
                "two columns of the result are called {name}: order by the number of one, or rename it"
            )));
        }
        _ => {}
    }
    if let Some((_, name)) = given.names.iter().find(|(written, _)| written == expr) {
        *expr = Expr::Identifier(name.clone());
    }
    Ok(())
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
    async fn a_result_may_have_a_name_twice() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT a, a FROM t WHERE b = 30", "a,a|2,2"),
            ("SELECT 1, 1, 1", "1,1,1|1,1,1"),
            ("SELECT t.a, u.a FROM t JOIN u ON t.a = u.a", "a,a|2,2"),
            ("SELECT a, a AS a_1, a FROM t WHERE b = 30", "a,a_1,a|2,2,2"),
            ("SELECT a, a AS a FROM t WHERE b = 30", "a,a|2,2"),
            ("SELECT a AS a, a FROM t WHERE b = 30", "a,a|2,2"),
            ("SELECT b AS a, a FROM t WHERE b = 30", "a,a|30,2"),
            ("SELECT a AS x, b AS X, a + b AS x FROM t WHERE b = 30", "x,x,x|2,30,32"),
            ("SELECT a + 1 AS x, b AS x FROM t ORDER BY 2 DESC LIMIT 1", "x,x|3,30"),
            (
                "SELECT a AS x, a AS x, t.b, b FROM t ORDER BY x DESC, b LIMIT 1",
                "x,x,b,b|2,2,30,30",
            ),
            (
                "SELECT count(*), count(*), sum(a) AS n, max(b) AS n FROM t",
                "count(*),count(*),n,n|3,3,4,30",
            ),
            ("SELECT *, b FROM t WHERE b = 30", "a,b,b|2,30,30"),
            (
                "SELECT b, *, t.b, b AS b FROM t WHERE b = 30",
                "b,a,b,b,b|30,2,30,30,30",
            ),
            ("SELECT *, b FROM t ORDER BY b DESC LIMIT 1", "a,b,b|2,30,30"),
            ("SELECT DISTINCT *, a FROM t ORDER BY b DESC LIMIT 1", "a,b,a|2,30,2"),
            ("SELECT t.*, a FROM t WHERE b = 30", "a,b,a|2,30,2"),
            ("SELECT t.*, u.a, b FROM t JOIN u ON t.a = u.a", "a,b,a,b|2,30,2,30"),
            ("SELECT * EXCLUDE (b), b FROM t WHERE b = 30", "a,b|2,30"),
            ("SELECT *, b + 1 AS c FROM t WHERE b = 30", "a,b,c|2,30,31"),
            (
                "SELECT *, row_number() OVER (ORDER BY b) AS n FROM t QUALIFY n = 3",
                "a,b,n|2,30,3",
            ),
            (
                "SELECT (SELECT max(a) FROM t), (SELECT max(a) FROM t)",
                "(SELECT max(a) FROM t),(SELECT max(a) FROM t)|2,2",
            ),
            ("SELECT 1, 1 UNION ALL SELECT 2, 2", "1,1|1,1|2,2"),
            (
                "(SELECT a AS x, b AS x FROM t WHERE b = 30) UNION ALL (SELECT a, a FROM u)",
                "x,x|2,2|2,30|3,3",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
    }

    #[test]
    fn an_order_by_a_name_of_two_columns_is_refused() {
        for sql in [
            "SELECT a + 1 AS x, b AS x FROM t ORDER BY b, X DESC",
            "SELECT a AS x, b AS x FROM t UNION SELECT 1, 2 ORDER BY x",
            "SELECT t.a, u.a FROM t JOIN u ON t.a = u.a ORDER BY a",
            "SELECT 1 FROM (SELECT b AS a, a FROM t ORDER BY a LIMIT 1) s",
        ] {
            let said = prepared(sql);
            assert!(
                said.starts_with("refused: two columns of the result are called"),
                "{sql}: {said}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_occurs_again_in_a_subquery_gets_a_number() {
        let context = session(TABLES).await;
        for (sql, expected) in [
            ("SELECT a, a_1 FROM (SELECT a, a FROM t) s WHERE a = 2", "a,a_1|2,2"),
            (
                "SELECT x, x_1 FROM (SELECT a AS x, b AS x FROM t) s WHERE x = 2",
                "x,x_1|2,30",
            ),
            ("SELECT * FROM (SELECT *, b FROM t) s WHERE b_1 = 30", "a,b,b_1|2,30,30"),
            (
                "SELECT count(*) FROM u WHERE EXISTS (SELECT 1, 1 FROM t WHERE t.a = u.a)",
                "count(*)|1",
            ),
        ] {
            assert_eq!(answer(&context, sql).await, expected, "{sql}");
        }
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
            "SELECT l.b FROM t AS x, LATERAL (SELECT *, x.b, c FROM u WHERE u.a = x.a) l",
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

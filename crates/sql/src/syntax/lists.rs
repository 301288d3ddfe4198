//! Subqueries in a list of `IN`. After `IN (` the parser takes a query in brackets for the whole operand, and stumbles over
//! the comma behind it. The first element of such a list gets a plus sign, which is taken away from the tree again.

use std::borrow::Cow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, UnaryOperator};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::chains::first_operand;
use super::refusal::Checked;
use super::text::is_space;
use super::walk::{Pass, walk};

/// Returns the text with a plus sign before each subquery that begins a list of `IN`.
pub(super) fn marked(sql: Cow<'_, str>) -> Cow<'_, str> {
    if !has_double_bracket(&sql) {
        return sql;
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, &sql).tokenize_with_location() else {
        return sql;
    };
    let tokens: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !is_space(&token.token)).collect();
    let first = (0..tokens.len()).filter_map(|at| first_of_list(&tokens[at..]));
    let places: Vec<Location> = first.map(|token| token.span.start).collect();
    match places.is_empty() {
        true => sql,
        false => Cow::Owned(with_plus(&sql, &places)),
    }
}

/// Whether a bracket opens behind another one.
fn has_double_bracket(sql: &str) -> bool {
    let mut signs = sql.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let mut before = None;
    signs.any(|sign| before.replace(sign) == Some(b'(') && sign == b'(')
}

/// The bracket of the subquery that is the first of several elements, where tokens begin with such an `IN`.
fn first_of_list<'a>(tokens: &[&'a TokenWithSpan]) -> Option<&'a TokenWithSpan> {
    let [word, open, bracket, rest @ ..] = tokens else {
        return None;
    };
    let brackets = open.token == Token::LParen && bracket.token == Token::LParen;
    if keyword(&word.token) != Some(Keyword::IN) || !brackets {
        return None;
    }
    let inner = rest.iter().find(|token| token.token != Token::LParen)?;
    let begins = matches!(
        keyword(&inner.token),
        Some(Keyword::SELECT | Keyword::WITH | Keyword::VALUES)
    );
    (begins && goes_on(&behind(rest)?.token)).then_some(*bracket)
}

/// The token behind the bracket that closes one which is open already.
fn behind<'a>(tokens: &[&'a TokenWithSpan]) -> Option<&'a TokenWithSpan> {
    let mut open = 1_usize;
    let closed = tokens.iter().position(|token| {
        match token.token {
            Token::LParen => open += 1,
            Token::RParen => open -= 1,
            _ => {}
        }
        open == 0
    })?;
    tokens.get(closed + 1).copied()
}

/// Whether a list, or an expression of it, goes on with this token, and no query.
fn goes_on(token: &Token) -> bool {
    let of_query = matches!(
        keyword(token),
        Some(
            Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::MINUS
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
        )
    );
    *token != Token::RParen && !of_query
}

fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn with_plus(sql: &str, places: &[Location]) -> String {
    let mut written = String::with_capacity(sql.len() + places.len());
    let mut places = places.iter().peekable();
    let (mut line, mut column) = (1, 1);
    for character in sql.chars() {
        if places
            .next_if(|place| place.line == line && place.column == column)
            .is_some()
        {
            written.push('+');
        }
        written.push(character);
        match character {
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
    }
    written
}

/// Whether a bracket follows the sign, and a subquery that.
fn begins_with_subquery(expr: &Expr) -> bool {
    match expr {
        Expr::Subquery(_) => true,
        Expr::Nested(inner) => {
            let mut first: &Expr = inner;
            while let Some(operand) = first_operand(first) {
                first = operand;
            }
            begins_with_subquery(first)
        }
        _ => false,
    }
}

/// Takes the plus signs before subqueries away.
pub(super) fn unmark(statement: &mut Statement) -> Checked {
    walk(statement, &mut Unmark)
}

struct Unmark;

impl Pass for Unmark {
    fn leave_expr(&mut self, expr: &mut Expr) -> Checked {
        if let Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr: inner,
        } = expr
            && begins_with_subquery(inner)
        {
            *expr = std::mem::replace(inner.as_mut(), Expr::Tuple(Vec::new()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::testing::prepared;

    #[test]
    fn a_subquery_that_begins_a_list_is_marked() {
        for (written, becomes) in [
            ("x IN ((SELECT 1), 2)", "x IN (+(SELECT 1), 2)"),
            (
                "x in (\n ((SELECT 'é)')), (SELECT 2))",
                "x in (\n +((SELECT 'é)')), (SELECT 2))",
            ),
            ("x IN ((SELECT 1) + 1, 2)", "x IN (+(SELECT 1) + 1, 2)"),
            ("x IN ((SELECT 1))", "x IN ((SELECT 1))"),
            (
                "x IN ((SELECT 1) UNION (SELECT 2))",
                "x IN ((SELECT 1) UNION (SELECT 2))",
            ),
            ("x IN ((1), 2)", "x IN ((1), 2)"),
            ("x IN ((SELECT 1", "x IN ((SELECT 1"),
            ("f((SELECT 1), 2)", "f((SELECT 1), 2)"),
            ("'IN ((SELECT 1), 2)'", "'IN ((SELECT 1), 2)'"),
        ] {
            assert_eq!(marked(Cow::Borrowed(written)), becomes);
        }
    }

    #[test]
    fn the_mark_does_not_stay() {
        let written = "SELECT a IN ((SELECT max(b) FROM u), (SELECT 1), 2) AS x FROM t";
        let marked = marked(Cow::Borrowed(written));
        assert_eq!(prepared(&marked), written);
    }

    #[test]
    fn nor_before_what_begins_with_a_subquery() {
        for written in [
            "SELECT a IN (((SELECT max(b) FROM u) + 1), 2) AS x FROM t",
            "SELECT a IN (((SELECT max(b) FROM u) IS NULL), true) AS x FROM t",
            "SELECT a IN ((((SELECT max(b) FROM u) || 'a') LIKE 'b'), true) AS x FROM t",
        ] {
            let marked = marked(Cow::Borrowed(written));
            assert_eq!(prepared(&marked), written);
        }
    }
}

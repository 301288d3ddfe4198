//! What the parser stumbles over and no result depends on, blanked before it is parsed.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::lists;
use super::text::is_space;

/// Returns the text without what the parser stumbles over and no result depends on: a byte-order mark at its beginning,
/// and `MATERIALIZED` and `NOT MATERIALIZED` before a query of `WITH`. Blanks take their places, so that a message
/// about the text names the place that its author sees. Subqueries that begin a list of `IN` are told apart from a query
/// that is the whole operand.
pub fn without_hints(sql: &str) -> Cow<'_, str> {
    lists::marked(match sql.strip_prefix('\u{feff}') {
        None => without_materialized(sql),
        Some(text) => Cow::Owned(format!(" {}", without_materialized(text))),
    })
}

fn without_materialized(sql: &str) -> Cow<'_, str> {
    const HINT: &str = "materialized";
    let has_hint = |at: &[u8]| at.eq_ignore_ascii_case(HINT.as_bytes());
    if !sql.as_bytes().windows(HINT.len()).any(has_hint) {
        return Cow::Borrowed(sql);
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else {
        return Cow::Borrowed(sql);
    };
    let tokens: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !is_space(&token.token)).collect();
    let mut hints: Vec<Span> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = |n: usize| {
            at.checked_sub(n)
                .and_then(|at| tokens.get(at))
                .map(|token| &token.token)
        };
        let opens = tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
        if !opens || !is_word(Some(&token.token), Keyword::MATERIALIZED) {
            continue;
        }
        match is_word(before(1), Keyword::NOT) {
            true if is_word(before(2), Keyword::AS) => {
                hints.extend(tokens.get(at - 1).map(|not| not.span));
                hints.push(token.span);
            }
            false if is_word(before(1), Keyword::AS) => hints.push(token.span),
            _ => {}
        }
    }
    Cow::Owned(blanked(sql, &hints))
}

fn is_word(token: Option<&Token>, keyword: Keyword) -> bool {
    matches!(token, Some(Token::Word(word)) if word.keyword == keyword && word.quote_style.is_none())
}

/// Returns the text with blanks in these places, each within one line.
fn blanked(sql: &str, places: &[Span]) -> String {
    let mut blanked = String::with_capacity(sql.len());
    let (mut line, mut column) = (1, 1);
    for character in sql.chars() {
        let within = places
            .iter()
            .any(|place| place.start.line == line && (place.start.column..place.end.column).contains(&column));
        blanked.push(if within { ' ' } else { character });
        match character {
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
    }
    blanked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_and_marks_that_the_parser_does_not_know_become_blanks() {
        for (written, becomes) in [
            (
                "WITH a AS MATERIALIZED (SELECT 1) SELECT",
                "WITH a AS              (SELECT 1) SELECT",
            ),
            (
                "WITH a AS not Materialized\n(SELECT 1)",
                "WITH a AS                 \n(SELECT 1)",
            ),
            ("SELECT 'é', materialized (1)", "SELECT 'é', materialized (1)"),
            (
                "SELECT 'AS MATERIALIZED (' AS materialized",
                "SELECT 'AS MATERIALIZED (' AS materialized",
            ),
            ("\u{feff}SELECT 1", " SELECT 1"),
        ] {
            assert_eq!(without_hints(written), becomes);
        }
    }
}

//! Turns the `?` placeholders of JDBC, ODBC and DB-API into the `$1`, `$2`, … that the planner knows. It reads the
//! statement with the planner's own tokenizer, so a `?` in a string, a comment, a quoted identifier or an operator stays
//! what it is; everything but the placeholders is passed on byte for byte.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

/// Why a statement's placeholders cannot be numbered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum PlaceholderError {
    /// The statement cannot be split into tokens.
    #[error("syntax error: {0}")]
    Syntax(String),
    /// Both kinds appear, so that `$1` could mean two parameters.
    #[error("the statement mixes ? and $n placeholders, use one kind")]
    Mixed,
    /// A placeholder is neither `?` nor `$` and a number from 1.
    #[error("placeholder {0} is not supported, use ? or $1, $2, …")]
    Unsupported(String),
}

/// The statement with each `?` replaced by `$1`, `$2`, … from left to right.
pub(super) fn number(sql: &str) -> Result<String, PlaceholderError> {
    if !sql.contains(['?', '$']) {
        return Ok(sql.to_owned());
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| PlaceholderError::Syntax(error.to_string()))?;
    let marks = question_marks(&tokens)?;
    Ok(replace(sql, &marks))
}

/// Where the `?` stand, once it is certain that they are the only placeholders.
fn question_marks(tokens: &[TokenWithSpan]) -> Result<Vec<Location>, PlaceholderError> {
    let (mut marks, mut numbered) = (Vec::new(), false);
    for token in tokens {
        let Token::Placeholder(text) = &token.token else {
            continue;
        };
        match text.as_str() {
            "?" => marks.push(token.span.start),
            text if is_number(text) => numbered = true,
            text => return Err(PlaceholderError::Unsupported(text.to_owned())),
        }
    }
    if numbered && !marks.is_empty() {
        Err(PlaceholderError::Mixed)
    } else {
        Ok(marks)
    }
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('$')
        .is_some_and(|digits| digits.parse::<u16>().is_ok_and(|number| number > 0))
}

/// Replaces the characters at these locations, which the tokenizer counts in lines and characters from 1.
fn replace(sql: &str, marks: &[Location]) -> String {
    let mut answer = String::with_capacity(sql.len() + 2 * marks.len());
    let (mut line, mut column, mut next) = (1, 1, 0);
    for character in sql.chars() {
        match marks.get(next) {
            Some(mark) if (mark.line, mark.column) == (line, column) => {
                next += 1;
                answer.push('$');
                answer.push_str(&next.to_string());
            }
            _ => answer.push(character),
        }
        (line, column) = if character == '\n' {
            (line + 1, 1)
        } else {
            (line, column + 1)
        };
    }
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn question_marks_are_numbered_from_left_to_right() {
        assert_eq!(number("select ? + ?, f(?)").unwrap(), "select $1 + $2, f($3)");
        assert_eq!(number("select ?||'x', ?-1").unwrap(), "select $1||'x', $2-1");
        assert_eq!(
            number("select\n\t'é', ?,\r\n  ?").unwrap(),
            "select\n\t'é', $1,\r\n  $2"
        );
        assert_eq!(
            number("select x from t where a=?and b in (?,?)").unwrap(),
            "select x from t where a=$1and b in ($2,$3)"
        );
    }

    #[test]
    fn strings_comments_quoted_names_and_operators_are_left_alone() {
        for sql in [
            "select 'is it? it''s', \"a?b\", `c?` from t -- why?\n",
            "select /* ? /* nested ? */ */ 1",
            "select $$ a ? b $$, $q$ ? $q$",
            "select a @? 'path'",
            "select E'\\'?', U&'?', X'00'",
            "select $1, $2",
            "select 1",
        ] {
            assert_eq!(number(sql).unwrap(), sql);
        }
    }

    #[test]
    fn a_mark_after_each_kind_of_quoting_is_found() {
        let sql = "select '?' || \"?\" /* ? */ || ? -- ?\n || $$?$$ || ?";
        assert_eq!(
            number(sql).unwrap(),
            "select '?' || \"?\" /* ? */ || $1 -- ?\n || $$?$$ || $2"
        );
    }

    #[test]
    fn mixtures_and_foreign_kinds_are_refused() {
        assert_eq!(number("select ?, $1"), Err(PlaceholderError::Mixed));
        for sql in ["select ?1", "select $name", "select $0", "select $99999999"] {
            assert!(matches!(number(sql), Err(PlaceholderError::Unsupported(_))), "{sql}");
        }
        assert!(matches!(number("select 'open, ?"), Err(PlaceholderError::Syntax(_))));
    }
}

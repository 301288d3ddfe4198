//! `LIKE ANY (a, b)` is a `LIKE` for each pattern, joined by `OR`; `LIKE … ESCAPE` with a literal pattern says the same
//! with the backslash, which the engine and PostgreSQL escape with by default.

use datafusion::sql::sqlparser::ast::{Array, BinaryOperator, Expr, Value, ValueWithSpan};

use super::{bracketed, may_copy, taken};
use crate::syntax::chains::joined_by;
use crate::syntax::refusal::{Checked, Refusal, refuse};

/// The most patterns of one `LIKE ANY`.
const MAX_PATTERNS: usize = 1_000;

/// Rewrites a comparison with a pattern.
pub(super) fn rewrite(expr: &mut Expr) -> Checked {
    let (Expr::Like {
        any,
        pattern,
        escape_char,
        ..
    }
    | Expr::ILike {
        any,
        pattern,
        escape_char,
        ..
    }) = expr
    else {
        return Ok(());
    };
    if let Some(escape) = escape_char.take() {
        let escape = single(&escape)?;
        escaped(pattern, escape)?;
    }
    match any {
        true => alternatives(expr),
        false => Ok(()),
    }
}

/// The escape of a pattern; nothing if it is empty, which means that there is none.
fn single(escape: &ValueWithSpan) -> Result<Option<char>, Refusal> {
    let text = match &escape.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
        _ => return Err(Refusal::invalid("ESCAPE takes one character in single quotes")),
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (escape, None) => Ok(escape),
        _ => Err(Refusal::invalid("ESCAPE takes one character in single quotes")),
    }
}

fn escaped(pattern: &mut Expr, escape: Option<char>) -> Checked {
    match pattern {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text),
            ..
        }) => {
            *text = with_backslash(text, escape)?;
            Ok(())
        }
        Expr::Nested(inner) => escaped(inner, escape),
        Expr::Tuple(patterns) | Expr::Array(Array { elem: patterns, .. }) => {
            patterns.iter_mut().try_for_each(|pattern| escaped(pattern, escape))
        }
        _ => refuse("ESCAPE is supported with a literal pattern only, use \\ in others"),
    }
}

fn with_backslash(text: &str, escape: Option<char>) -> Result<String, Refusal> {
    let mut written = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(next) = characters.next() {
        let literal = match Some(next) == escape {
            true => characters
                .next()
                .ok_or_else(|| Refusal::invalid("a pattern of LIKE must not end with its escape"))?,
            false if next == '\\' => next,
            false => {
                written.push(next);
                continue;
            }
        };
        if matches!(literal, '%' | '_' | '\\') {
            written.push('\\');
        }
        written.push(literal);
    }
    Ok(written)
}

fn alternatives(expr: &mut Expr) -> Checked {
    let (insensitive, negated, left, pattern) = match taken(expr) {
        Expr::Like {
            negated, expr, pattern, ..
        } => (false, negated, expr, pattern),
        Expr::ILike {
            negated, expr, pattern, ..
        } => (true, negated, expr, pattern),
        other => {
            *expr = other;
            return Ok(());
        }
    };
    if negated {
        return refuse("NOT LIKE ANY is read in two ways, write NOT (x LIKE ANY (…))");
    }
    let patterns = patterns(*pattern)?;
    if patterns.len() > MAX_PATTERNS {
        return Err(Refusal::too_large(format!(
            "LIKE ANY has more than {MAX_PATTERNS} patterns, use ~ with one regular expression"
        )));
    }
    may_copy([left.as_ref()], patterns.len())?;
    let like = |pattern| match insensitive {
        true => Expr::ILike {
            negated,
            any: false,
            expr: left.clone(),
            pattern: Box::new(pattern),
            escape_char: None,
        },
        false => Expr::Like {
            negated,
            any: false,
            expr: left.clone(),
            pattern: Box::new(pattern),
            escape_char: None,
        },
    };
    match joined_by(&BinaryOperator::Or, patterns.into_iter().map(like).collect()) {
        Some(any) => *expr = bracketed(any),
        None => return refuse("LIKE ANY needs at least one pattern"),
    }
    Ok(())
}

/// The patterns of a list, an array, or one pattern in brackets.
fn patterns(listed: Expr) -> Result<Vec<Expr>, Refusal> {
    match listed {
        Expr::Tuple(patterns) | Expr::Array(Array { elem: patterns, .. }) => Ok(patterns),
        Expr::Nested(inner) if matches!(*inner, Expr::Array(_) | Expr::Nested(_)) => patterns(*inner),
        Expr::Nested(pattern) if !matches!(*pattern, Expr::Subquery(_)) => Ok(vec![*pattern]),
        _ => refuse("LIKE ANY takes a list of patterns, as in LIKE ANY ('a%', 'b%')"),
    }
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, prepared, session};

    #[tokio::test]
    async fn patterns_with_an_escape_say_what_they_said() {
        let context = session(
            r"CREATE TABLE t (n INT, s VARCHAR) AS VALUES (1, '10%'), (2, '100'), (3, 'a_b'), (4, 'axb'), (5, 'a\b'), (6, 'a!b')",
        )
        .await;
        for (condition, expected) in [
            ("s LIKE '10!%' ESCAPE '!'", "n|1"),
            ("s LIKE '10%' ESCAPE '!'", "n|1|2"),
            ("s LIKE 'a!_b' ESCAPE '!'", "n|3"),
            ("s LIKE 'a_b' ESCAPE '!'", "n|3|4|5|6"),
            (r"s LIKE 'a\b' ESCAPE '!'", "n|5"),
            ("s LIKE 'a!!b' ESCAPE '!'", "n|6"),
            (r"s LIKE 'a\_b' ESCAPE '\'", "n|3"),
            (r"s LIKE 'a\b' ESCAPE ''", "n|5"),
            ("s NOT LIKE 'a#_b' ESCAPE '#'", "n|1|2|4|5|6"),
            ("s ILIKE 'A#_B' ESCAPE '#'", "n|3"),
            ("s LIKE ANY ('10%', 'axb')", "n|1|2|4"),
            ("s ILIKE ANY ('AXB')", "n|4"),
            ("s LIKE ANY ('10!%', 'a!_b') ESCAPE '!'", "n|1|3"),
            ("NOT (s LIKE ANY ('1%', 'a%'))", "n"),
            ("s LIKE ANY (ARRAY['10%', 'axb'])", "n|1|2|4"),
            ("s LIKE ANY ((ARRAY['10!%', 'a!_b'])) ESCAPE '!'", "n|1|3"),
            ("s LIKE ANY (('axb'))", "n|4"),
        ] {
            let sql = format!("SELECT n FROM t WHERE {condition}");
            assert_eq!(answer(&context, &sql).await, expected, "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_rewritten_is_refused_by_name() {
        for (condition, says) in [
            ("s LIKE p ESCAPE '!'", "literal pattern"),
            ("s LIKE 'a!' ESCAPE '!'", "must not end"),
            ("s LIKE 'a' ESCAPE 'xy'", "one character"),
            ("s NOT LIKE ANY ('a', 'b')", "two ways"),
            ("s LIKE ANY (SELECT p FROM u)", "list of patterns"),
            ("s LIKE ANY p", "list of patterns"),
        ] {
            let said = prepared(&format!("SELECT 1 AS x FROM t WHERE {condition}"));
            assert!(
                said.starts_with("refused") && said.contains(says),
                "{condition}: {said}"
            );
        }
    }
}

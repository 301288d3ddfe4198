//! The size of a statement's text, before it is parsed. The parser bounds the nesting of expressions by itself; what it
//! builds in loops (`1 + 1 + …`) or recurses into without counting (types of types) is bounded here, since even
//! dropping a tree that is too deep overflows a thread's stack. Names that rewritten statements use are reserved here
//! as well.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use super::refusal::{Checked, Refusal};

/// The longest statement, in bytes. A list of 20,000 codes takes a fifth of it.
pub const MAX_BYTES: usize = 1 << 20;

/// The most tokens, white space and comments aside. A list of 20,000 codes has 40,000.
pub const MAX_TOKENS: usize = 200_000;

/// The deepest nesting of brackets of all kinds. The parser's own limit on what stands within them is lower.
pub const MAX_BRACKETS: usize = 128;

/// The most operators in one expression and those around it: each makes the tree one deeper until it is balanced.
pub const MAX_OPERATORS: usize = 5_000;

/// The most `ARRAY<`, `STRUCT<` and `MAP<` in a statement, and of brackets in a row, as in `INT[][]`.
pub const MAX_TYPE_NESTING: usize = 16;

/// The most subscripts and dots in a row, as in `x[1].a[2].b`: each makes the tree one deeper.
pub const MAX_ACCESSES: usize = 64;

/// The most times that one word may follow itself, as in `NOT NOT` or `INTERVAL INTERVAL`.
pub const MAX_REPEATED_WORDS: usize = 16;

/// Beginnings of names that only rewritten statements may use.
const RESERVED: [&str; 2] = ["__all_", "__parcours"];

/// Checks the text before it is parsed: its size, its tokens, its nesting, and that it uses no reserved name.
pub fn check_text(sql: &str) -> Result<(), Refusal> {
    if sql.len() > MAX_BYTES {
        return Err(Refusal::too_large(format!(
            "the statement has more than {MAX_BYTES} bytes, load long lists as a table and join it"
        )));
    }
    // What is no token is reported by the parser, with its place.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Ok(());
    };
    let mut count = Count::default();
    tokens
        .iter()
        .filter(|token| !is_space(token))
        .try_for_each(|token| count.token(token))
}

/// Whether a token is white space or a comment.
pub(super) fn is_space(token: &Token) -> bool {
    matches!(
        token,
        Token::Whitespace(
            Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_)
        )
    )
}

/// What has been read so far.
#[derive(Default)]
struct Count {
    tokens: usize,
    /// Every open bracket, the operators in it since the last comma, and the subscripts and dots before it.
    open: Vec<(Bracket, usize, usize)>,
    /// The operators outside of all brackets.
    outside: usize,
    /// The operators of all open brackets together.
    operators: usize,
    types: usize,
    brackets: usize,
    repeated: usize,
    /// The subscripts and dots that follow each other.
    accesses: usize,
    last: Option<Token>,
}

/// What is open: a bracket, or a `CASE` that waits for its `END`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Sign,
    Case,
}

impl Count {
    fn token(&mut self, token: &Token) -> Checked {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS {
            return Err(Refusal::too_large(format!(
                "the statement has more than {MAX_TOKENS} words and signs, load long lists as a table and join it"
            )));
        }
        reserved(token)?;
        self.words(token)?;
        self.types(token)?;
        self.accesses(token)?;
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => self.enter(Bracket::Sign)?,
            Token::RParen | Token::RBracket | Token::RBrace => self.leave(),
            Token::Comma | Token::SemiColon => self.restart(),
            Token::Word(word) if word.keyword == Keyword::CASE => self.enter(Bracket::Case)?,
            Token::Word(word) if self.in_case() => match word.keyword {
                Keyword::END => self.leave_case(),
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE => self.restart(),
                _ if chains(token) => self.operator()?,
                _ => {}
            },
            token if chains(token) => self.operator()?,
            _ => {}
        }
        self.last = Some(token.clone());
        Ok(())
    }

    fn words(&mut self, token: &Token) -> Checked {
        let repeats = matches!((token, &self.last), (Token::Word(word), Some(Token::Word(last)))
            if word.value.eq_ignore_ascii_case(&last.value));
        self.repeated = if repeats { self.repeated + 1 } else { 0 };
        match self.repeated > MAX_REPEATED_WORDS {
            true => Err(Refusal::too_large("a word is repeated too often in a row")),
            false => Ok(()),
        }
    }

    fn types(&mut self, token: &Token) -> Checked {
        let of_type = matches!((token, &self.last), (Token::Lt, Some(Token::Word(word)))
            if matches!(word.keyword, Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP));
        self.types += usize::from(of_type);
        match (token, &self.last) {
            (Token::LBracket, Some(Token::RBracket)) => self.brackets += 1,
            (Token::RBracket, _) => {}
            (_, Some(Token::RBracket)) => self.brackets = 0,
            _ => {}
        }
        match self.types > MAX_TYPE_NESTING || self.brackets > MAX_TYPE_NESTING {
            true => Err(Refusal::too_large(format!(
                "types and subscripts are nested more than {MAX_TYPE_NESTING} deep"
            ))),
            false => Ok(()),
        }
    }

    fn accesses(&mut self, token: &Token) -> Checked {
        self.accesses = match token {
            Token::Period | Token::LBracket => self.accesses + 1,
            Token::Word(_) if self.last == Some(Token::Period) => self.accesses,
            // What stands before a bracket is counted on when it is left.
            Token::LParen | Token::RBracket | Token::RParen | Token::RBrace => self.accesses,
            _ => 0,
        };
        match self.accesses > MAX_ACCESSES {
            true => Err(Refusal::too_large(format!(
                "more than {MAX_ACCESSES} subscripts and fields follow each other, name parts of them in a subquery"
            ))),
            false => Ok(()),
        }
    }

    fn in_case(&self) -> bool {
        matches!(self.open.last(), Some((Bracket::Case, ..)))
    }

    fn here(&mut self) -> &mut usize {
        self.open
            .last_mut()
            .map_or(&mut self.outside, |(_, operators, _)| operators)
    }

    fn enter(&mut self, bracket: Bracket) -> Checked {
        if self.open.len() == MAX_BRACKETS {
            return Err(Refusal::too_large(format!(
                "brackets are nested more than {MAX_BRACKETS} deep, name parts of the statement with WITH"
            )));
        }
        self.open.push((bracket, 0, std::mem::take(&mut self.accesses)));
        Ok(())
    }

    fn leave(&mut self) {
        // A CASE that is not ended before is an error of the text.
        while let Some((bracket, operators, accesses)) = self.open.pop() {
            self.operators -= operators;
            self.accesses = accesses;
            if bracket == Bracket::Sign {
                return;
            }
        }
    }

    fn leave_case(&mut self) {
        if let Some((_, operators, _)) = self.open.pop() {
            self.operators -= operators;
        }
    }

    /// A comma ends an expression: the next one begins anew.
    fn restart(&mut self) {
        self.operators -= std::mem::take(self.here());
    }

    fn operator(&mut self) -> Checked {
        *self.here() += 1;
        self.operators += 1;
        match self.operators > MAX_OPERATORS {
            true => Err(Refusal::too_large(format!(
                "an expression has more than {MAX_OPERATORS} operators, use IN (…) for long lists or join a table"
            ))),
            false => Ok(()),
        }
    }
}

/// Whether a token makes the tree one deeper: every sign between two operands, and the words that are operators.
fn chains(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::NOTNULL
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::SIMILAR
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::DIV
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::OVERLAPS
                | Keyword::OPERATOR
                | Keyword::MEMBER
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::MINUS
        ),
        Token::Number(..)
        | Token::Placeholder(_)
        | Token::Period
        | Token::Colon
        | Token::EOF
        | Token::Whitespace(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::HexStringLiteral(_) => false,
        _ => true,
    }
}

fn reserved(token: &Token) -> Checked {
    if let Token::Word(word) = token {
        let name = word.value.to_lowercase();
        if RESERVED.iter().any(|begin| name.starts_with(begin)) {
            return Err(Refusal::invalid(
                "names that begin with __all_ or __parcours are reserved, use another",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(sql: &str) -> String {
        check_text(sql).unwrap_err().to_string()
    }

    #[test]
    fn a_list_of_twenty_thousand_codes_passes() {
        let codes = vec!["'A10BA02'"; 20_000].join(", ");
        check_text(&format!("SELECT count(*) FROM t WHERE code IN ({codes})")).unwrap();
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(refused(&format!("SELECT '{}'", "x".repeat(MAX_BYTES))).contains("bytes"));
        assert!(refused(&format!("SELECT {}", vec!["1"; 150_000].join(","))).contains("words and signs"));
    }

    #[test]
    fn a_chain_of_operators_is_bounded_and_a_comma_begins_a_new_one() {
        assert!(refused(&format!("SELECT {}", vec!["1"; 6_000].join("+"))).contains("5000 operators"));
        let ors = vec!["a = 1"; 2_000].join(" OR ");
        check_text(&format!("SELECT {ors}, {ors}")).unwrap();
        let sums = vec!["1"; 2_000].join("+");
        check_text(&format!("SELECT {sums}, {sums}, {sums}, {sums}")).unwrap();
        let branches = vec!["WHEN a = 1 AND b = 2 THEN 3 + 4"; 4_000].join(" ");
        check_text(&format!("SELECT CASE {branches} ELSE 0 END")).unwrap();
        assert!(refused(&format!("SELECT {}", vec!["CASE WHEN a THEN 1 END"; 6_000].join("+"))).contains("operators"));
        assert!(refused(&format!("SELECT {}", vec!["end"; 6_000].join("+"))).contains("operators"));
        let nested = format!("SELECT ({sums} + ({sums} + ({sums})))");
        assert!(refused(&nested).contains("operators"));
    }

    #[test]
    fn nesting_is_bounded_where_the_parser_does_not_count() {
        assert!(refused(&format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200))).contains("nested"));
        assert!(
            refused(&format!(
                "SELECT CAST(x AS {}INT{})",
                "ARRAY<".repeat(40),
                ">".repeat(40)
            ))
            .contains("types")
        );
        assert!(refused(&format!("SELECT x::INT{}", "[]".repeat(40))).contains("types"));
        assert!(refused(&format!("SELECT {} '1 day'", "INTERVAL ".repeat(40))).contains("repeated"));
    }

    #[test]
    fn subscripts_and_dots_in_a_row_are_bounded() {
        for form in ["[1]", ".a", "[y.a + 2].a"] {
            check_text(&format!("SELECT x{}, y", form.repeat(10))).unwrap();
        }
        for form in [".a", "[1].a", "(f(x)[1]).a"] {
            let said = refused(&format!("SELECT x{}", form.repeat(100)));
            assert!(said.contains("64 subscripts and fields"), "{said}");
        }
        let columns = vec!["t.a = 1 OR t.b[1].c = 2"; 500].join(" OR ");
        check_text(&format!("SELECT {columns}")).unwrap();
    }

    #[test]
    fn reserved_names_are_refused_and_texts_may_contain_them() {
        for sql in [
            "SELECT 1 AS __all_left",
            "SELECT * FROM t AS \"__PARCOURS_x\"",
            "WITH __parcours AS (SELECT 1) SELECT 1",
        ] {
            assert!(refused(sql).contains("reserved"));
        }
        check_text("SELECT '__all_left'").unwrap();
    }
}

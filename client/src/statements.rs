//! Splits text into SQL statements at the semicolons that end them, not at those inside quotes or comments.
//!
//! It reads tokens only, and judges nothing: whether a statement is valid is the scheduler's to say. Used by
//! `parcours sql` for files and by the shell to know when a statement is complete.

use std::iter::Peekable;
use std::str::CharIndices;

/// What a text splits into.
#[derive(Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Statements that a semicolon ended, trimmed, without it; empty ones are left out.
    pub complete: Vec<&'a str>,
    /// What follows the last semicolon, trimmed; empty when nothing but blanks and comments does.
    pub rest: &'a str,
    /// The quote or comment the text ends inside of, if any.
    pub open: Option<&'static str>,
}

/// Splits a text.
pub fn split(text: &str) -> Script<'_> {
    let mut reader = Reader {
        text,
        chars: text.char_indices().peekable(),
        open: None,
    };
    let mut complete = Vec::new();
    let (mut start, mut holds_something) = (0, false);
    while let Some(token) = reader.token() {
        match token {
            Token::Semicolon(at) => {
                if holds_something {
                    complete.push(text[start..at].trim());
                }
                (start, holds_something) = (at + 1, false);
            }
            Token::Blank => {}
            Token::Something => holds_something = true,
        }
    }
    let rest = if holds_something || reader.open.is_some() {
        text[start..].trim()
    } else {
        ""
    };
    Script {
        complete,
        rest,
        open: reader.open,
    }
}

enum Token {
    Semicolon(usize),
    Blank,
    Something,
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    open: Option<&'static str>,
}

impl Reader<'_> {
    fn token(&mut self) -> Option<Token> {
        let (at, first) = self.chars.next()?;
        Some(match first {
            ';' => Token::Semicolon(at),
            c if c.is_whitespace() => Token::Blank,
            '-' if self.eat('-') => self.line_comment(),
            '/' if self.eat('*') => self.block_comment(),
            '\'' => self.quoted('\'', self.escapes_before(at), "quote '"),
            '"' => self.quoted('"', false, "quote \""),
            '`' => self.quoted('`', false, "quote `"),
            '$' => self.dollar(at),
            c if is_word(c) => self.word(),
            _ => Token::Something,
        })
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.chars.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn line_comment(&mut self) -> Token {
        while self.chars.next().is_some_and(|(_, c)| c != '\n') {}
        Token::Blank
    }

    /// Comments nest, as in the SQL standard.
    fn block_comment(&mut self) -> Token {
        let mut depth = 1;
        while depth > 0 {
            match self.chars.next() {
                Some((_, '*')) if self.eat('/') => depth -= 1,
                Some((_, '/')) if self.eat('*') => depth += 1,
                Some(_) => {}
                None => {
                    self.open = Some("comment /*");
                    break;
                }
            }
        }
        Token::Blank
    }

    /// A doubled quote reads as the end and another beginning, which comes to the same.
    fn quoted(&mut self, quote: char, escapes: bool, name: &'static str) -> Token {
        loop {
            match self.chars.next() {
                Some((_, '\\')) if escapes => {
                    self.chars.next();
                }
                Some((_, c)) if c == quote => return Token::Something,
                Some(_) => {}
                None => {
                    self.open = Some(name);
                    return Token::Something;
                }
            }
        }
    }

    /// Backslashes escape in E'…' alone; the E must stand by itself.
    fn escapes_before(&self, at: usize) -> bool {
        let mut before = self.text[..at].chars().rev();
        matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(is_word)
    }

    /// `$tag$ … $tag$`; a placeholder such as `$1` is no tag.
    fn dollar(&mut self, at: usize) -> Token {
        let after = &self.text[at + 1..];
        let Some(length) = after.find(|c: char| !is_word(c)) else {
            return self.word();
        };
        let tagged = after[length..].starts_with('$') && !after.starts_with(|c: char| c.is_ascii_digit());
        if !tagged {
            return self.word();
        }
        let tag = &self.text[at..at + length + 2];
        let body = at + tag.len();
        let end = match self.text[body..].find(tag) {
            Some(found) => body + found + tag.len(),
            None => {
                self.open = Some("quote $$");
                self.text.len()
            }
        };
        while self.chars.next_if(|&(position, _)| position < end).is_some() {}
        Token::Something
    }

    fn word(&mut self) -> Token {
        while self.chars.next_if(|&(_, c)| is_word(c) || c == '$').is_some() {}
        Token::Something
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Vec<&str> {
        let script = split(text);
        assert_eq!((script.rest, script.open), ("", None), "{text}");
        script.complete
    }

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(complete("select 1; select 2 ;\n;;"), ["select 1", "select 2"]);
        assert_eq!(
            split("select 1; select 2"),
            Script {
                complete: vec!["select 1"],
                rest: "select 2",
                open: None
            }
        );
        assert_eq!(complete(" \n"), Vec::<&str>::new());
    }

    #[test]
    fn quotes_hide_semicolons() {
        for text in [
            "select 'a;b'",
            "select 'it''s; fine'",
            "select \"a;\"\"b\"",
            "select `a;b`",
            "select E'a\\';b'",
            "select $$a;b$$",
            "select $t$a;$$;b$t$",
            r"select 'a\'",
            "select name'a;b'",
        ] {
            assert_eq!(complete(&format!("{text};")), [text]);
        }
    }

    #[test]
    fn comments_hide_semicolons_and_quotes() {
        assert_eq!(complete("select 1 -- it's; here\n;"), ["select 1 -- it's; here"]);
        assert_eq!(
            complete("select /* ; ' /* ; */ ' */ 1;"),
            ["select /* ; ' /* ; */ ' */ 1"]
        );
        assert_eq!(complete("-- only a comment\n;"), Vec::<&str>::new());
        assert_eq!(complete("select 1; -- the end"), ["select 1"]);
        assert_eq!(complete("select 4 - -1 / 2;"), ["select 4 - -1 / 2"]);
    }

    #[test]
    fn placeholders_are_no_dollar_quotes() {
        assert_eq!(complete("select $1; select $2;"), ["select $1", "select $2"]);
        assert_eq!(complete("select $1$2;"), ["select $1$2"]);
    }

    #[test]
    fn what_is_left_open_is_named() {
        for (text, open) in [
            ("select 'a;", "quote '"),
            ("select \"a;", "quote \""),
            ("select /* /* */ ;", "comment /*"),
            ("select $x$ ; $$", "quote $$"),
        ] {
            let script = split(text);
            assert_eq!((script.open, script.rest), (Some(open), text));
        }
    }

    #[test]
    fn letters_beyond_ascii_are_no_trouble() {
        assert_eq!(
            complete("select 'é;ü' as \"à;\"; select '日本;';"),
            ["select 'é;ü' as \"à;\"", "select '日本;'"]
        );
    }
}

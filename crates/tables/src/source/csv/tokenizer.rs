//! Bytes to fields, whatever chunks they come in. Stricter than RFC 4180 readers usually are: after a closing quote only
//! a delimiter or a line end may follow; a quote must be closed, on its line unless the description says that fields hold
//! line ends; and none stands inside a field that does not begin with one, unless the description says so. Each of these
//! faults could swallow rows and still leave the right number of fields, so all of them stop the file. Empty lines are
//! skipped; lines end in LF, CRLF or CR.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::super::ROW_BYTES;
use super::super::error::Position;
use super::rows::Rows;
use crate::spec::CsvOptions;

/// Why a file's rows cannot be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Quotes { line: u64, byte: u64, problem: Problem },
    TooLong { line: u64, byte: u64, limit: usize },
}

/// What is wrong with the quotes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The file ends inside quotes.
    Open,
    /// The line ends inside quotes.
    LineEnd,
    /// Text follows a closing quote.
    TextBehind,
    /// A quote stands inside a field that does not begin with one.
    Stray,
}

impl Problem {
    /// What is wrong, and what to do.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Open => "a quote is not closed",
            Self::LineEnd => {
                "a quote is not closed at the end of the line: if fields hold line ends, say csv = { multiline = true }"
            }
            Self::TextBehind => {
                "text follows a closing quote: if quotes inside fields have a character before them, say it, such as csv = { \
                 escape = \"\\\\\" }"
            }
            Self::Stray => {
                "a quote stands inside a field that does not begin with one: if that is how it is written, say csv = { \
                 stray_quotes = true }"
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a row; line ends here belong to none.
    RowStart,
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside quotes: the end of the field, or half of a doubled quote.
    QuoteInQuoted,
    /// After the escape character inside quotes.
    Escaped,
}

/// Splits one file into rows.
pub(super) struct Tokenizer {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    multiline: bool,
    stray_quotes: bool,
    /// Lines to be left out before the first row.
    skip_lines: u64,
    state: State,
    /// Whether the last byte was a CR that ended a line, so that an LF now ends no other.
    after_cr: bool,
    line: u64,
    byte: u64,
}

impl Tokenizer {
    pub(super) fn new(options: &CsvOptions) -> Self {
        Self {
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            multiline: options.multiline,
            stray_quotes: options.stray_quotes,
            skip_lines: options.skip_lines,
            state: State::RowStart,
            after_cr: false,
            line: 1,
            byte: 0,
        }
    }

    /// Counts bytes that were taken from the file beforehand.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.byte += bytes;
    }

    /// Reads `input` until it ends or `rows` are full; returns the bytes read.
    pub(super) fn feed(&mut self, input: &[u8], rows: &mut Rows) -> Result<usize, Broken> {
        let mut at = 0;
        while at < input.len() && !(self.state == State::RowStart && rows.is_full()) {
            let step = self.step(&input[at..], rows)?;
            at += step;
            self.byte += step as u64;
        }
        Ok(at)
    }

    /// The end of the file ends the last row, if its line end is missing.
    pub(super) fn finish(&mut self, rows: &mut Rows) -> Result<(), Broken> {
        match self.state {
            State::RowStart => {}
            State::Quoted | State::Escaped => return Err(self.quotes(rows, Problem::Open)),
            State::FieldStart | State::Unquoted | State::QuoteInQuoted => {
                rows.end_field();
                rows.end_row();
            }
        }
        self.state = State::RowStart;
        Ok(())
    }

    /// Reads some bytes of `input`, which is not empty, in the present state.
    fn step(&mut self, input: &[u8], rows: &mut Rows) -> Result<usize, Broken> {
        match self.state {
            State::RowStart if self.skip_lines > 0 => Ok(self.skip_line(input)),
            State::RowStart => Ok(self.row_start(input[0], rows)),
            State::FieldStart if Some(input[0]) == self.quote => {
                self.state = State::Quoted;
                Ok(1)
            }
            State::FieldStart | State::Unquoted => self.unquoted(input, rows),
            State::Quoted => self.quoted(input, rows),
            State::QuoteInQuoted => self.after_quote(input[0], rows),
            State::Escaped => {
                self.push(&input[..1], rows)?;
                self.state = State::Quoted;
                Ok(1)
            }
        }
    }

    /// Leaves out bytes of a line before the first row, to the end of the line or of the input.
    fn skip_line(&mut self, input: &[u8]) -> usize {
        if self.after_cr && input[0] == b'\n' {
            self.after_cr = false;
            return 1;
        }
        match memchr2(b'\n', b'\r', input) {
            None => input.len(),
            Some(at) => {
                self.skip_lines -= 1;
                self.end_line(input[at]);
                at + 1
            }
        }
    }

    fn row_start(&mut self, byte: u8, rows: &mut Rows) -> usize {
        match byte {
            b'\n' if self.after_cr => self.after_cr = false,
            b'\n' | b'\r' => self.end_line(byte),
            _ => {
                self.after_cr = false;
                rows.begin_row(Position::Line {
                    line: self.line,
                    byte: self.byte,
                });
                self.state = State::FieldStart;
                return 0;
            }
        }
        1
    }

    fn unquoted(&mut self, input: &[u8], rows: &mut Rows) -> Result<usize, Broken> {
        self.state = State::Unquoted;
        match memchr3(self.delimiter, b'\n', b'\r', input) {
            None => {
                self.push_unquoted(input, rows)?;
                Ok(input.len())
            }
            Some(at) => {
                self.push_unquoted(&input[..at], rows)?;
                self.end_field(input[at], rows);
                Ok(at + 1)
            }
        }
    }

    fn push_unquoted(&self, text: &[u8], rows: &mut Rows) -> Result<(), Broken> {
        let stray = self.quote.is_some_and(|quote| memchr(quote, text).is_some());
        match stray && !self.stray_quotes {
            true => Err(self.quotes(rows, Problem::Stray)),
            false => self.push(text, rows),
        }
    }

    fn quoted(&mut self, input: &[u8], rows: &mut Rows) -> Result<usize, Broken> {
        let quote = self.quote.unwrap_or_default();
        let ends = memchr2(quote, self.escape.unwrap_or(quote), input);
        let text = &input[..ends.unwrap_or(input.len())];
        if !self.multiline && memchr2(b'\n', b'\r', text).is_some() {
            return Err(self.quotes(rows, Problem::LineEnd));
        }
        self.push(text, rows)?;
        self.line += memchr_iter(b'\n', text).count() as u64;
        let Some(at) = ends else { return Ok(text.len()) };
        self.state = match input[at] == quote {
            true => State::QuoteInQuoted,
            false => State::Escaped,
        };
        Ok(at + 1)
    }

    fn after_quote(&mut self, byte: u8, rows: &mut Rows) -> Result<usize, Broken> {
        if Some(byte) == self.quote {
            self.push(&[byte], rows)?;
            self.state = State::Quoted;
        } else if byte == self.delimiter || byte == b'\n' || byte == b'\r' {
            self.end_field(byte, rows);
        } else {
            return Err(self.quotes(rows, Problem::TextBehind));
        }
        Ok(1)
    }

    /// Ends a field at a delimiter, and its row at a line end.
    fn end_field(&mut self, byte: u8, rows: &mut Rows) {
        rows.end_field();
        self.state = State::FieldStart;
        if byte != self.delimiter {
            rows.end_row();
            self.state = State::RowStart;
            self.end_line(byte);
        }
    }

    fn end_line(&mut self, byte: u8) {
        self.line += 1;
        self.after_cr = byte == b'\r';
    }

    fn push(&self, bytes: &[u8], rows: &mut Rows) -> Result<(), Broken> {
        if rows.open_bytes() + bytes.len() > ROW_BYTES {
            let (line, byte) = line_and_byte(rows.open_position());
            return Err(Broken::TooLong {
                line,
                byte,
                limit: ROW_BYTES,
            });
        }
        rows.push(bytes);
        Ok(())
    }

    fn quotes(&self, rows: &Rows, problem: Problem) -> Broken {
        let (line, byte) = line_and_byte(rows.open_position());
        Broken::Quotes { line, byte, problem }
    }
}

fn line_and_byte(position: Position) -> (u64, u64) {
    match position {
        Position::Line { line, byte } => (line, byte),
        Position::Row(row) => (row, 0),
    }
}

//! Bytes to fields, whatever chunks they come in. Stricter than RFC 4180 readers usually are: after a closing quote only
//! a delimiter or a line end may follow, and a quote must be closed. Either fault could swallow rows and still leave the
//! right number of fields, so both stop the file. A quote inside an unquoted field is an ordinary character; empty lines
//! are skipped; lines end in LF, CRLF or CR.

use memchr::{memchr, memchr_iter, memchr3};

use super::super::error::Position;
use super::rows::Rows;
use crate::spec::CsvOptions;

/// The longest row, in bytes. A quote that is never closed would otherwise read the rest of the file into memory.
pub(super) const ROW_BYTES: usize = 1 << 20;

/// Why a file's rows cannot be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Quotes {
        line: u64,
        byte: u64,
        problem: &'static str,
    },
    TooLong {
        line: u64,
        byte: u64,
        limit: usize,
    },
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
}

/// Splits one file into rows.
pub(super) struct Tokenizer {
    delimiter: u8,
    quote: Option<u8>,
    state: State,
    /// Whether the last byte was a CR that ended a line, so that an LF now ends no other.
    after_cr: bool,
    line: u64,
    byte: u64,
}

impl Tokenizer {
    pub(super) fn new(options: &CsvOptions) -> Self {
        let (delimiter, quote) = (options.delimiter, options.quote);
        Self {
            delimiter,
            quote,
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
            State::Quoted => return Err(self.quotes(rows, "a quote is not closed")),
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
            State::RowStart => Ok(self.row_start(input[0], rows)),
            State::FieldStart if Some(input[0]) == self.quote => {
                self.state = State::Quoted;
                Ok(1)
            }
            State::FieldStart | State::Unquoted => self.unquoted(input, rows),
            State::Quoted => self.quoted(input, rows),
            State::QuoteInQuoted => self.after_quote(input[0], rows),
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
                self.push(input, rows)?;
                Ok(input.len())
            }
            Some(at) => {
                self.push(&input[..at], rows)?;
                self.end_field(input[at], rows);
                Ok(at + 1)
            }
        }
    }

    fn quoted(&mut self, input: &[u8], rows: &mut Rows) -> Result<usize, Broken> {
        let closing = self.quote.and_then(|quote| memchr(quote, input));
        let text = &input[..closing.unwrap_or(input.len())];
        self.push(text, rows)?;
        self.line += memchr_iter(b'\n', text).count() as u64;
        if closing.is_some() {
            self.state = State::QuoteInQuoted;
            return Ok(text.len() + 1);
        }
        Ok(text.len())
    }

    fn after_quote(&mut self, byte: u8, rows: &mut Rows) -> Result<usize, Broken> {
        if Some(byte) == self.quote {
            self.push(&[byte], rows)?;
            self.state = State::Quoted;
        } else if byte == self.delimiter || byte == b'\n' || byte == b'\r' {
            self.end_field(byte, rows);
        } else {
            return Err(self.quotes(rows, "text follows a closing quote"));
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

    fn quotes(&self, rows: &Rows, problem: &'static str) -> Broken {
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

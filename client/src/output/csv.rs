//! CSV that reads back to the same values: RFC 4180 quoting, a header, `\n` line ends, NULL as an empty field and the
//! empty string as `""`.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::cells::{Cells, exact};
use super::destination::Destination;
use super::{OutputError, Sink, flushed};

pub struct Csv {
    to: Destination,
    line: String,
    cell: String,
}

impl Csv {
    /// Writes the header.
    pub fn new(schema: SchemaRef, to: Destination) -> Result<Self, OutputError> {
        let mut csv = Self {
            to,
            line: String::new(),
            cell: String::new(),
        };
        for (at, field) in schema.fields().iter().enumerate() {
            csv.separate(at);
            quote(field.name(), &mut csv.line);
        }
        csv.end_line()?;
        Ok(csv)
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.line.push(',');
        }
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.line.push('\n');
        self.to.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl Sink for Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let options = exact();
        let cells = Cells::of(batch, &options)?;
        for row in 0..batch.num_rows() {
            for column in 0..batch.num_columns() {
                self.separate(column);
                self.cell.clear();
                if cells.append(row, column, &mut self.cell)? {
                    quote(&self.cell, &mut self.line);
                }
            }
            self.end_line()?;
        }
        if self.to.is_terminal() {
            self.to.flush()?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Destination, OutputError> {
        flushed(self.to)
    }
}

fn quote(cell: &str, line: &mut String) {
    let outer_blank = cell.starts_with(char::is_whitespace) || cell.ends_with(char::is_whitespace);
    if !cell.is_empty() && !outer_blank && !cell.contains([',', '"', '\n', '\r']) {
        line.push_str(cell);
        return;
    }
    line.push('"');
    for c in cell.chars() {
        if c == '"' {
            line.push('"');
        }
        line.push(c);
    }
    line.push('"');
}

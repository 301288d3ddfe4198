//! A table for people: numbers on the right, NULL shown as such and apart from the empty string, control characters
//! spelt out. It holds the first rows, up to a bound, and counts the others.

use std::io::Write;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::cells::{Cells, exact, numeric, plain};
use super::destination::Destination;
use super::{OutputError, Sink, flushed};

/// How a table is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Rows shown; the rest is counted. `None` shows all.
    pub max_rows: Option<usize>,
    /// Whether a line with the number of rows follows.
    pub footer: bool,
}

pub struct Table {
    schema: SchemaRef,
    to: Destination,
    layout: Layout,
    held: Vec<RecordBatch>,
    shown: bool,
    rows: usize,
}

impl Table {
    pub fn new(schema: SchemaRef, to: Destination, layout: Layout) -> Self {
        Self {
            schema,
            to,
            layout,
            held: Vec::new(),
            shown: false,
            rows: 0,
        }
    }

    fn bound(&self) -> usize {
        self.layout.max_rows.unwrap_or(usize::MAX)
    }

    /// Writes what is held; a person need not wait for the rows that are only counted.
    fn show(&mut self) -> Result<(), OutputError> {
        let text = render(&self.schema, &self.held)?;
        writeln!(self.to, "{text}")?;
        self.to.flush()?;
        self.held.clear();
        self.shown = true;
        Ok(())
    }

    fn footer(&self) -> String {
        let rows = |count: usize| {
            if count == 1 {
                "1 row".to_owned()
            } else {
                format!("{} rows", grouped(count))
            }
        };
        match self.rows.checked_sub(self.bound()) {
            Some(left_out) if left_out > 0 => format!(
                "({}, {} of them not shown: see --max-rows, or -o for all)",
                rows(self.rows),
                grouped(left_out)
            ),
            _ => format!("({})", rows(self.rows)),
        }
    }
}

impl Sink for Table {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let room = self.bound().saturating_sub(self.rows);
        self.rows += batch.num_rows();
        if room > 0 && batch.num_rows() > 0 {
            self.held.push(batch.slice(0, room.min(batch.num_rows())));
        }
        if !self.shown && self.rows > self.bound() {
            self.show()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Destination, OutputError> {
        if !self.shown {
            self.show()?;
        }
        if self.layout.footer {
            let footer = self.footer();
            writeln!(self.to, "{footer}")?;
        }
        flushed(self.to)
    }
}

/// The batches as one aligned table, without a line end.
pub fn render(schema: &Schema, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(schema.fields().iter().map(|field| plain(field.name())));
    for batch in batches {
        append(batch, &mut table)?;
    }
    for (column, is_number) in table.column_iter_mut().zip(numeric(schema)) {
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table.to_string())
}

fn append(batch: &RecordBatch, table: &mut comfy_table::Table) -> Result<(), ArrowError> {
    let options = exact();
    let cells = Cells::of(batch, &options)?;
    for row in 0..batch.num_rows() {
        let mut line = Vec::with_capacity(batch.num_columns());
        for column in 0..batch.num_columns() {
            let mut text = String::new();
            let present = cells.append(row, column, &mut text)?;
            line.push(if present { plain(&text) } else { "NULL".to_owned() });
        }
        table.add_row(line);
    }
    Ok(())
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

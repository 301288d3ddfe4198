//! How results leave the command line: a table for people, CSV and JSON lines for other programs, Arrow and Parquet
//! with their types intact. One module per format; all but the table write batch by batch and hold none back.

mod arrow_ipc;
mod cells;
mod csv;
mod destination;
mod jsonl;
mod parquet;
mod table;

use std::io::{self, Write};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

pub use cells::plain;
pub use destination::Destination;
pub use table::{Layout, render};

/// The formats a result can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// An aligned table, cut after --max-rows
    Table,
    /// RFC 4180 with a header; NULL is an empty field, an empty string is ""
    Csv,
    /// One JSON object per row
    Jsonl,
    /// Arrow IPC: the file format with -o, the stream format otherwise
    Arrow,
    /// Parquet, compressed by Zstandard
    Parquet,
}

impl Format {
    /// Whether the bytes are not for a terminal, nor to be concatenated.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Arrow | Format::Parquet)
    }
}

/// Writes one result, batch by batch.
pub trait Sink: Send {
    /// Takes the next batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError>;
    /// Ends the result: footers, and what a table has held back. The destination is handed back flushed, and a file is
    /// not under its name until it is [kept](Destination::keep).
    fn finish(self: Box<Self>) -> Result<Destination, OutputError>;
}

/// A result that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The destination.
    #[error("cannot write the result: {0}")]
    Io(#[from] io::Error),
    /// A value or type the format cannot hold.
    #[error("cannot write the result: {0}")]
    Encode(ArrowError),
}

impl OutputError {
    /// Whether the reader of our output has simply gone, as `head` does.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, OutputError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<ArrowError> for OutputError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => OutputError::Io(error),
            error => OutputError::Encode(error),
        }
    }
}

/// Writes a line on standard output; unlike `println!` it does not panic when nobody reads it any more.
pub fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// A sink for one result of this schema.
pub fn sink(format: Format, schema: SchemaRef, to: Destination, layout: Layout) -> Result<Box<dyn Sink>, OutputError> {
    Ok(match format {
        Format::Table => Box::new(table::Table::new(schema, to, layout)),
        Format::Csv => Box::new(csv::Csv::new(schema, to)?),
        Format::Jsonl => Box::new(jsonl::JsonLines::new(schema, to)),
        Format::Arrow => arrow_ipc::sink(schema, to)?,
        Format::Parquet => Box::new(parquet::Parquet::new(schema, to)?),
    })
}

/// The schema with a number after each name that was there already: JSON and Parquet know columns by name alone.
fn distinct_names(schema: &Schema) -> SchemaRef {
    let mut taken = std::collections::HashSet::new();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let ways = std::iter::once(field.name().clone()).chain((2..).map(|n| format!("{}_{n}", field.name())));
            let name = ways
                .into_iter()
                .find(|name| taken.insert(name.clone()))
                .unwrap_or_default();
            field.as_ref().clone().with_name(name)
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The batch under another schema of the same types.
fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
}

fn flushed(mut to: Destination) -> Result<Destination, OutputError> {
    to.flush()?;
    Ok(to)
}

#[cfg(test)]
mod tests;

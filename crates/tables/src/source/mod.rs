//! Rows out of source files, validated, as a stream in bounded memory. It expands globs, fingerprints files, and turns
//! CSV and plain Parquet into batches of exactly the table's schema; it never casts in silence, never repeats a value in
//! a message, and never writes one to disk. What a table should look like is [`crate::spec`]'s.
//!
//! **Memory.** Per stream: two chunks of [`ReadOptions::chunk_bytes`], rows of one batch (at most
//! [`ReadOptions::batch_rows`] rows or 16 MiB of text), and their columns. A row is at most 8 MiB long. Parquet adds the
//! compressed column chunks of one row group of the source.
//!
//! **Bad rows.** A row whose value has the wrong type, lies out of bounds or is missing where it may not be either stops
//! the stream or is set aside, see [`OnBad`]. Broken quoting always stops it, because then nobody knows where rows end.

mod assemble;
mod check;
mod csv;
mod error;
mod expand;
mod file;
mod folders;
mod limit;
mod mapping;
mod marks;
mod parquet;
mod parse;
mod positions;
mod reject;
mod rejected;
mod resolve;
mod rule;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

use crate::spec::{Format, Table};
use crate::store::Stores;

pub use error::{BadRow, FieldCounts, Position, Reason, SourceError};
pub use expand::{expand, matches};
pub use file::{Fingerprint, SourceFile};
pub use folders::SourcePrint;
pub use limit::RejectLimit;
pub(crate) use positions::Positions;
pub(crate) use reject::Rejected;
pub use reject::{OnBad, RejectFile};
pub(crate) use rejected::shown;
pub use rejected::{RejectedRow, RowValues};
pub use resolve::{patient_type, resolve_schema};

/// The longest row, in bytes: half of the longest message that executors, the scheduler and usual clients pass on. In CSV, a quote that is never closed would
/// otherwise read the rest of the file into memory.
const ROW_BYTES: usize = 8 << 20;

/// How a source is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The most rows of a batch; 8192 by default.
    pub batch_rows: usize,
    /// Bytes fetched at once from the store; 4 MiB by default, at least 16. One chunk is fetched ahead.
    pub chunk_bytes: usize,
    /// What happens to a bad row; the stream stops by default.
    pub on_bad: OnBad,
    /// Whether batches say where each row stands, in two more columns (see `positions.rs`); false by default.
    pub positions: bool,
    /// Counts the bytes fetched, for a progress bar.
    pub bytes_read: Arc<AtomicU64>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            batch_rows: 8192,
            chunk_bytes: 4 << 20,
            on_bad: OnBad::Stop,
            positions: false,
            bytes_read: Arc::default(),
        }
    }
}

/// The rows of one file as batches of `schema`, in the file's order. `schema` is what [`Table::schema`] or
/// [`resolve_schema`] gave for `table`. After an error the stream ends; batches before it must not be kept.
pub fn read(
    stores: &Stores,
    table: &Table,
    schema: SchemaRef,
    file: &SourceFile,
    options: ReadOptions,
) -> Result<BoxStream<'static, Result<RecordBatch, SourceError>>, SourceError> {
    let rules = rule::Rules::new(table, schema)?;
    let rules = if options.positions {
        rules.with_positions()
    } else {
        rules
    };
    let bytes = file.bytes(stores, &options)?;
    match table.format {
        Format::Csv => csv::stream(table, rules, bytes, options),
        Format::Parquet => Ok(parquet::stream(table, rules, bytes, options)),
    }
}

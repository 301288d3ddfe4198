//! Where rows stand in their files, as columns that travel with them: for what is found out about a row only after it was
//! sorted among others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};

use super::error::Position;

/// The two columns, named as no column of a table can be: a CSV row's line and byte, a Parquet row's number and NULL.
pub(crate) struct Positions;

const COLUMNS: [(&str, bool); 2] = [("#row", false), ("#byte", true)];

impl Positions {
    /// How many columns they are.
    pub(crate) const COUNT: usize = COLUMNS.len();

    /// The schema with the columns after its own.
    pub(crate) fn appended_to(schema: &Schema) -> SchemaRef {
        let positions = COLUMNS.map(|(name, nullable)| Arc::new(Field::new(name, DataType::UInt64, nullable)));
        let fields = schema.fields().iter().cloned().chain(positions);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The columns of some rows.
    pub(super) fn columns(rows: impl Iterator<Item = Position>) -> [ArrayRef; 2] {
        let pair = |position| match position {
            Position::Line { line, byte } => (line, Some(byte)),
            Position::Row(row) => (row, None),
        };
        let (rows, bytes): (Vec<u64>, Vec<Option<u64>>) = rows.map(pair).unzip();
        [Arc::new(UInt64Array::from(rows)), Arc::new(UInt64Array::from(bytes))]
    }

    /// The place of one row of a batch whose first such column is `at`.
    pub(crate) fn read(batch: &RecordBatch, at: usize, row: usize) -> Position {
        let first = batch.column(at).as_primitive::<UInt64Type>().value(row);
        let bytes = batch.column(at + 1).as_primitive::<UInt64Type>();
        match bytes.is_null(row) {
            true => Position::Row(first),
            false => Position::Line {
                line: first,
                byte: bytes.value(row),
            },
        }
    }
}

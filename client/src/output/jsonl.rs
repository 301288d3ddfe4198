//! JSON lines: one object per row, every column in every object, NULL as `null`. Whole numbers and decimals are
//! written with all their digits; bytes as hexadecimal text.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::json::writer::{LineDelimited, Writer, WriterBuilder};
use arrow::record_batch::RecordBatch;

use super::destination::Destination;
use super::{OutputError, Sink, distinct_names, flushed, renamed};

pub struct JsonLines {
    schema: SchemaRef,
    writer: Writer<Destination, LineDelimited>,
}

impl JsonLines {
    pub fn new(schema: SchemaRef, to: Destination) -> Self {
        let writer = WriterBuilder::new().with_explicit_nulls(true).build(to);
        Self {
            schema: distinct_names(&schema),
            writer,
        }
    }
}

impl Sink for JsonLines {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.writer.write(&renamed(batch, &self.schema)?)?;
        if self.writer.get_ref().is_terminal() {
            self.writer.get_mut().flush()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Destination, OutputError> {
        self.writer.finish()?;
        flushed(self.writer.into_inner())
    }
}

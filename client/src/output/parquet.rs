//! Parquet, compressed by Zstandard, one row group per million rows or so. The file is not encrypted: it is the
//! person's own, on the person's own machine.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::destination::Destination;
use super::{OutputError, Sink, distinct_names, flushed, renamed};

pub struct Parquet {
    schema: SchemaRef,
    writer: ArrowWriter<Destination>,
}

impl Parquet {
    pub fn new(schema: SchemaRef, to: Destination) -> Result<Self, OutputError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let schema = distinct_names(&schema);
        let writer = ArrowWriter::try_new(to, schema.clone(), Some(properties))?;
        Ok(Self { schema, writer })
    }
}

impl Sink for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        Ok(self.writer.write(&renamed(batch, &self.schema)?)?)
    }

    fn finish(self: Box<Self>) -> Result<Destination, OutputError> {
        flushed(self.writer.into_inner()?)
    }
}

impl From<ParquetError> for OutputError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => OutputError::Io(*error),
                Err(error) => OutputError::Encode(arrow::error::ArrowError::ExternalError(error)),
            },
            error => OutputError::Encode(error.into()),
        }
    }
}

//! Batches in, one sealed Arrow IPC stream out. Small batches are gathered first: a partition of many slivers costs more
//! in headers than in data.

use std::io::Write;

use arrow::compute::BatchCoalescer;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};

use super::PartitionKey;
use super::store::{PartitionStore, PartitionWriter, StoreError};

const ROWS_PER_BATCH: usize = 8192;

/// What a finished partition holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) batches: u64,
    pub(crate) bytes: u64,
}

/// A partition being written.
pub(crate) struct PartitionFile {
    stream: StreamWriter<Counted>,
    gathered: BatchCoalescer,
    rows: u64,
    batches: u64,
}

struct Counted {
    writer: PartitionWriter,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

impl PartitionFile {
    pub(crate) fn create(store: &PartitionStore, key: &PartitionKey, schema: &SchemaRef) -> Result<Self> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let counted = Counted {
            writer: store.create(key).map_err(store_error)?,
            bytes: 0,
        };
        Ok(Self {
            stream: StreamWriter::try_new_with_options(counted, schema, options)?,
            gathered: BatchCoalescer::new(schema.clone(), ROWS_PER_BATCH),
            rows: 0,
            batches: 0,
        })
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.gathered.push_batch(batch)?;
        self.write_gathered()
    }

    fn write_gathered(&mut self) -> Result<()> {
        while let Some(batch) = self.gathered.next_completed_batch() {
            self.batches += 1;
            self.stream.write(&batch)?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Written> {
        self.gathered.finish_buffered_batch()?;
        self.write_gathered()?;
        self.stream.finish()?;
        let counted = self.stream.into_inner()?;
        let bytes = counted.bytes;
        counted.writer.finish().map_err(store_error)?;
        Ok(Written {
            rows: self.rows,
            batches: self.batches,
            bytes,
        })
    }
}

pub(crate) fn store_error(error: StoreError) -> DataFusionError {
    match error {
        StoreError::Full { .. } => DataFusionError::ResourcesExhausted(error.to_string()),
        StoreError::Io(error) => DataFusionError::IoError(error),
        error => DataFusionError::Execution(error.to_string()),
    }
}

//! Arrow IPC: the file format for files, which can be mapped and read in any order, the stream format elsewhere.

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::record_batch::RecordBatch;

use super::destination::Destination;
use super::{OutputError, Sink, flushed};

/// The variant that suits the destination.
pub fn sink(schema: SchemaRef, to: Destination) -> Result<Box<dyn Sink>, OutputError> {
    Ok(match to.is_file() {
        true => Box::new(IpcFile(FileWriter::try_new(to, &schema)?)),
        false => Box::new(IpcStream(StreamWriter::try_new(to, &schema)?)),
    })
}

struct IpcFile(FileWriter<Destination>);

impl Sink for IpcFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Destination, OutputError> {
        self.0.finish()?;
        flushed(self.0.into_inner()?)
    }
}

struct IpcStream(StreamWriter<Destination>);

impl Sink for IpcStream {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Destination, OutputError> {
        self.0.finish()?;
        flushed(self.0.into_inner()?)
    }
}

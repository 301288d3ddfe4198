//! The old INT96 timestamps have nanoseconds, and a table has microseconds: a value that would lose digits is a bad row. The
//! reader is asked for such columns twice, in microseconds and in nanoseconds. The latter wrap around outside the years 1677
//! to 2262, but what remains of them beside the former is right all the same.

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::arrow::async_reader::ParquetRecordBatchStream;
use ::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use ::parquet::errors::{ParquetError, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
use futures::StreamExt;

use super::bytes_reader::BytesReader;
use super::convert::Conversion;
use super::{SourceBytes, is_int96, roots};
use crate::source::Reason;
use crate::source::marks::Marks;

/// The INT96 columns of a file, in nanoseconds.
pub(super) struct Nanos {
    stream: ParquetRecordBatchStream<BytesReader>,
    /// For each column of the table that is INT96 in the file, its index in the table, in the order of the file.
    columns: Vec<usize>,
}

impl Nanos {
    /// None if no column that the table reads is INT96. `positions` has for each column of the table its place in the file.
    pub(super) fn open(
        bytes: SourceBytes,
        metadata: &ArrowReaderMetadata,
        positions: &[Option<usize>],
        batch_rows: usize,
    ) -> Result<Option<Self>> {
        let roots = roots(metadata);
        let mut read: Vec<(usize, usize)> = (positions.iter().enumerate())
            .filter_map(|(column, position)| Some(((*position)?, column)))
            .filter(|(position, _)| is_int96(&roots[*position]))
            .collect();
        if read.is_empty() {
            return Ok(None);
        }
        read.sort_unstable();
        let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new())?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(BytesReader::new(bytes), metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), read.iter().map(|(position, _)| *position));
        let stream = builder.with_projection(mask).with_batch_size(batch_rows).build()?;
        let columns = read.into_iter().map(|(_, column)| column).collect();
        Ok(Some(Self { stream, columns }))
    }

    /// Marks the rows of the next batch that would lose digits. `batch` has the same rows in microseconds, and `places` the
    /// place of each column of the table in it.
    pub(super) async fn mark(
        &mut self,
        batch: &RecordBatch,
        places: &[Option<(usize, Conversion)>],
        marks: &mut Marks,
    ) -> Result<()> {
        let nanos = self.stream.next().await.transpose()?;
        let nanos = nanos.filter(|nanos| nanos.num_rows() == batch.num_rows());
        let nanos = nanos.ok_or_else(|| ParquetError::General("its columns have not the same rows".to_owned()))?;
        for (at, column) in self.columns.iter().enumerate() {
            let Some((place, _)) = &places[*column] else { continue };
            let rows = lossy(batch.column(*place), nanos.column(at));
            rows.for_each(|row| marks.mark(row, *column, Reason::LosesDigits));
        }
        Ok(())
    }
}

/// The rows whose nanoseconds are more than their microseconds say.
fn lossy<'a>(micros: &'a ArrayRef, nanos: &'a ArrayRef) -> impl Iterator<Item = usize> + 'a {
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let nanos = nanos.as_primitive::<TimestampNanosecondType>();
    (0..micros.len()).filter(|row| micros.is_valid(*row) && micros.value(*row).wrapping_mul(1000) != nanos.value(*row))
}

//! A source file as the Parquet reader wants it: ranges of bytes, and a footer at the end.

use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderOptions;
use ::parquet::arrow::async_reader::AsyncFileReader;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};

use super::super::error::SourceError;
use super::super::file::SourceBytes;

/// Reads ranges of one file.
pub(super) struct BytesReader {
    bytes: SourceBytes,
}

impl BytesReader {
    pub(super) fn new(bytes: SourceBytes) -> Self {
        Self { bytes }
    }
}

impl AsyncFileReader for BytesReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let external = |error: SourceError| ParquetError::External(Box::new(error));
        self.bytes.get(range).map_err(external).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size = self.bytes.size;
        async move {
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

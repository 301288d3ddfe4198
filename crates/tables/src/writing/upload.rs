//! Streams a file's bytes into the object store: one request for a small file, a multipart upload for a larger one, and no
//! trace of either after [`Upload::abort`].

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::{ParquetError, Result as ParquetResult};

/// Bytes of one part of an upload; S3 takes no less than 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts in flight at once.
const PARTS_IN_FLIGHT: usize = 2;

/// A file on its way to the store.
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    small: Vec<Bytes>,
    small_bytes: usize,
    parts: Option<WriteMultipart>,
}

impl Upload {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self {
            store,
            path,
            small: Vec::new(),
            small_bytes: 0,
            parts: None,
        }
    }

    /// Gives up: parts already sent are removed by the store.
    pub(crate) async fn abort(self) -> object_store::Result<()> {
        match self.parts {
            Some(parts) => parts.abort().await,
            None => Ok(()),
        }
    }

    async fn push(&mut self, bytes: Bytes) -> object_store::Result<()> {
        if let Some(parts) = &mut self.parts {
            parts.wait_for_capacity(PARTS_IN_FLIGHT).await?;
            parts.put(bytes);
            return Ok(());
        }
        self.small_bytes += bytes.len();
        self.small.push(bytes);
        if self.small_bytes >= PART_BYTES {
            let upload = self.store.put_multipart(&self.path).await?;
            let parts = self
                .parts
                .insert(WriteMultipart::new_with_chunk_size(upload, PART_BYTES));
            self.small.drain(..).for_each(|bytes| parts.put(bytes));
        }
        Ok(())
    }

    async fn finish(&mut self) -> object_store::Result<()> {
        match self.parts.take() {
            Some(parts) => parts.finish().await.map(|_| ()),
            None => {
                let payload = PutPayload::from_iter(self.small.drain(..));
                self.store.put(&self.path, payload).await.map(|_| ())
            }
        }
    }
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, ParquetResult<()>> {
        self.push(bytes).map(|done| done.map_err(external)).boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, ParquetResult<()>> {
        self.finish().map(|done| done.map_err(external)).boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use futures::TryStreamExt;
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;

    use super::*;

    fn piece(n: usize) -> Bytes {
        Bytes::from(vec![n as u8; 3 << 20])
    }

    #[tokio::test]
    async fn small_and_large_files_arrive_whole() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for pieces in [0, 1, 2, 3, 9] {
            let path = Path::from(format!("file-{pieces}"));
            let mut upload = Upload::new(Arc::clone(&store), path.clone());
            for n in 0..pieces {
                upload.write(piece(n)).await.unwrap();
            }
            upload.complete().await.unwrap();
            let found = store.get(&path).await.unwrap().bytes().await.unwrap();
            let expected: Vec<u8> = (0..pieces).flat_map(|n| piece(n).to_vec()).collect();
            assert_eq!(found.len(), expected.len());
            assert!(found == expected, "{pieces} pieces");
        }
    }

    #[tokio::test]
    async fn an_aborted_upload_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
        for pieces in [1, 9] {
            let mut upload = Upload::new(Arc::clone(&store), Path::from("file"));
            for n in 0..pieces {
                upload.write(piece(n)).await.unwrap();
            }
            upload.abort().await.unwrap();
            let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert!(listed.is_empty());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{pieces} pieces");
        }
    }
}

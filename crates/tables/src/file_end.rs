//! The end of a data file, where its footer is, read in one request for Parquet's metadata reader. What lies before it is
//! read on demand.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::{ParquetError, Result as ParquetResult};

/// The last bytes of a file.
pub(crate) struct FileEnd {
    store: Arc<dyn ObjectStore>,
    path: Path,
    from: u64,
    bytes: Bytes,
}

impl FileEnd {
    /// Reads the last `length` bytes of the file, which has `size`.
    pub(crate) async fn read(store: Arc<dyn ObjectStore>, path: Path, size: u64, length: usize) -> ParquetResult<Self> {
        let from = size.saturating_sub(length as u64);
        let bytes = get(&store, &path, from..size).await?;
        Ok(Self {
            store,
            path,
            from,
            bytes,
        })
    }

    /// The part of what was read that `range` names, if all of it was.
    fn part(&self, range: &Range<u64>) -> Option<Bytes> {
        let at = |position: u64| usize::try_from(position.checked_sub(self.from)?).ok();
        let (start, end) = (at(range.start)?, at(range.end)?);
        (start <= end && end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

impl MetadataFetch for FileEnd {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        match self.part(&range) {
            Some(bytes) => futures::future::ready(Ok(bytes)).boxed(),
            None => get(&self.store, &self.path, range).boxed(),
        }
    }
}

async fn get(store: &Arc<dyn ObjectStore>, path: &Path, range: Range<u64>) -> ParquetResult<Bytes> {
    let read = store.get_range(path, range).await;
    read.map_err(|error| ParquetError::External(Box::new(error)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn any_range_is_served_from_the_end_or_from_the_store() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (path, content) = (Path::from("file"), (0..100).collect::<Vec<u8>>());
        store.put(&path, content.clone().into()).await.unwrap();
        for length in [1, 30, 100, 1000] {
            let mut end = FileEnd::read(Arc::clone(&store), path.clone(), 100, length)
                .await
                .unwrap();
            for range in [0..100, 70..100, 69..71, 99..100, 0..1] {
                let found = end.fetch(range.clone()).await.unwrap();
                assert_eq!(
                    found,
                    content[range.start as usize..range.end as usize],
                    "{length} {range:?}"
                );
            }
        }
    }
}

//! One source file: what it was when it was found, its bytes in ranges, and its fingerprint. Every fetch asks for the
//! version that was found, so a file replaced under a running load is an error and not a mixture.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use sha2::{Digest, Sha256};
use url::Url;

use super::ReadOptions;
use super::error::SourceError;
use crate::store::Stores;

/// A file that a source pattern matched.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFile {
    /// Where it is: `file:///…` or `s3://bucket/…`.
    pub url: Url,
    /// Its size in bytes.
    pub size: u64,
    /// What its store calls this version of it: an S3 ETag, or inode, time and size of a local file.
    pub etag: Option<String>,
}

/// The identity of a file's content, for recognising a source that was loaded before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content, 64 hexadecimal digits.
    pub sha256: String,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sha256)
    }
}

impl SourceFile {
    pub(super) fn new(url: Url, meta: &ObjectMeta) -> Self {
        Self {
            url,
            size: meta.size,
            etag: meta.e_tag.clone(),
        }
    }

    /// Reads the whole file once and digests it. An ETag would be cheaper but says nothing across stores, and a
    /// modification time lies after a copy.
    pub async fn fingerprint(&self, stores: &Stores) -> Result<Fingerprint, SourceError> {
        let options = ReadOptions::default();
        let bytes = self.bytes(stores, &options)?;
        let hash = bytes
            .chunks(options.chunk_bytes)
            .try_fold(Sha256::new(), |mut hash, chunk| async move {
                hash.update(&chunk);
                Ok(hash)
            });
        let sha256 = hash
            .await?
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Fingerprint {
            size: self.size,
            sha256,
        })
    }

    /// The file's bytes, ready to be fetched.
    pub(super) fn bytes(&self, stores: &Stores, options: &ReadOptions) -> Result<SourceBytes, SourceError> {
        let location = self.url.to_string();
        let (store, path) = stores.resolve(&self.url).map_err(|source| SourceError::Store {
            location: location.clone(),
            source,
        })?;
        let (size, etag) = (self.size, self.etag.clone());
        Ok(SourceBytes {
            store,
            path,
            name: location,
            size,
            etag,
            read: Arc::clone(&options.bytes_read),
        })
    }
}

/// A file in its store.
#[derive(Clone)]
pub(super) struct SourceBytes {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The file's URL, for messages.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    etag: Option<String>,
    read: Arc<AtomicU64>,
}

impl SourceBytes {
    /// The bytes of a range, of the version that was found.
    pub(super) async fn get(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let options = GetOptions {
            if_match: self.etag.clone(),
            range: Some(range.clone().into()),
            ..GetOptions::default()
        };
        let result = self
            .store
            .get_opts(&self.path, options)
            .await
            .map_err(|source| self.error(source))?;
        let bytes = result.bytes().await.map_err(|source| self.error(source))?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(SourceError::Changed {
                file: self.name.clone(),
            });
        }
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    /// The whole file in chunks, one fetched ahead of the one in use.
    pub(super) fn chunks(self, chunk_bytes: usize) -> BoxStream<'static, Result<Bytes, SourceError>> {
        let (size, step) = (self.size, chunk_bytes.max(16));
        let starts = (0..size).step_by(step);
        let fetch = move |start: u64| {
            let source = self.clone();
            async move { source.get(start..size.min(start + step as u64)).await }
        };
        stream::iter(starts).map(fetch).buffered(2).boxed()
    }

    fn error(&self, source: object_store::Error) -> SourceError {
        let file = self.name.clone();
        match source {
            object_store::Error::Precondition { .. } => SourceError::Changed { file },
            source => SourceError::Read { file, source },
        }
    }
}

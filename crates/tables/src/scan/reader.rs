//! Opens one encrypted file for one scan: decodes its footer (or finds it decoded), makes sure that every column the scan
//! reads is encrypted under a key that is granted now, and brings the page index of those that are open. A footer
//! that is not in the cache is read together with the key material beside the file; both are asked for at once. A file in
//! clear, moved or altered is refused here.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parcours_keys::{ExternalMaterial, FileKeys, KeyError};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::footers::{Footer, FooterKey};
use super::page_index::{self, has_float_bounds, without_index};
use super::{Caches, ScanError, ScanKeys, file_context};
use crate::file_end::FileEnd;
use crate::sidecar::{self, SidecarError};

/// Bytes read from a file's end in the first request, when the plan does not say: enough for most footers.
const FOOTER_HINT: usize = 64 * 1024;

/// Makes the readers of one scan.
pub(super) struct DecryptingReaderFactory {
    inner: DefaultParquetFileReaderFactory,
    store: Arc<dyn ObjectStore>,
    store_name: String,
    keys: ScanKeys,
    columns: Arc<Vec<String>>,
    wants_index: bool,
}

impl std::fmt::Debug for DecryptingReaderFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptingReaderFactory")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl DecryptingReaderFactory {
    pub(super) fn new(keys: &ScanKeys, store: Arc<dyn ObjectStore>, columns: Vec<String>, wants_index: bool) -> Self {
        Self {
            store_name: store.to_string(),
            inner: DefaultParquetFileReaderFactory::new(Arc::clone(&store)),
            store,
            keys: keys.clone(),
            columns: Arc::new(columns),
            wants_index,
        }
    }
}

impl ParquetFileReaderFactory for DecryptingReaderFactory {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(self.reader(partition, file, size_hint, metrics)?))
    }
}

impl DecryptingReaderFactory {
    /// The reader of one file.
    pub(super) fn reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<DecryptingReader> {
        let context = file_context(&file.object_meta.location)?;
        let (grants, unwraps) = self.keys.of_table(&context.dataset, &context.table);
        let classes = grants.classes(&context.dataset, &context.table);
        let key = FooterKey {
            grants,
            store: self.store_name.clone(),
            path: file.object_meta.location.clone(),
            size: file.object_meta.size,
        };
        let footer_hint = size_hint.unwrap_or(FOOTER_HINT);
        let inner = self.inner.create_reader(partition, file, Some(footer_hint), metrics)?;
        Ok(DecryptingReader {
            inner,
            store: Arc::clone(&self.store),
            footer_hint,
            key,
            keys: FileKeys::of_classes(unwraps, context, classes),
            caches: Arc::clone(&self.keys.caches),
            columns: Arc::clone(&self.columns),
            wants_index: self.wants_index,
        })
    }
}

/// Reads one encrypted file as if it were in clear.
pub(super) struct DecryptingReader {
    inner: Box<dyn AsyncFileReader + Send>,
    store: Arc<dyn ObjectStore>,
    /// Bytes of the file's end that the first request asks for.
    footer_hint: usize,
    key: FooterKey,
    keys: Arc<FileKeys>,
    caches: Arc<Caches>,
    columns: Arc<Vec<String>>,
    wants_index: bool,
}

impl DecryptingReader {
    /// The footer as [`Self::known_footer`]; where Parquet cannot read it, the error names the file.
    async fn footer(&mut self) -> ParquetResult<Arc<ParquetMetaData>> {
        let footer = self.known_footer().await;
        footer.map_err(|error| match error {
            ParquetError::External(_) => error,
            error => {
                let file = self.keys.context().clone();
                tracing::error!(%file, cause = %error, "a data file is damaged");
                ParquetError::External(Box::new(ScanError::Damaged { file }))
            }
        })
    }

    /// The footer, decoded before or now, with every needed column granted now.
    async fn known_footer(&mut self) -> ParquetResult<Arc<ParquetMetaData>> {
        if let Some(known) = self.caches.footers.get(&self.key) {
            match self.require_known(&known).await {
                Ok(()) => return self.with_index(known).await,
                // Decoded while a key was out of reach: read it again, now that the key may be there.
                Err(KeyError::StaleFooter { .. }) => self.caches.footers.remove(&self.key),
                Err(error) => return Err(refused(error)),
            }
        }
        let mut decoded = self.decode().await;
        if self.was_wrapped_anew().await {
            decoded = self.decode().await;
        }
        let decoded = decoded?;
        let granted = require(&self.columns, &decoded).await;
        if let Err(error) = granted {
            let stale = matches!(error, KeyError::StaleFooter { .. });
            return Err(refused(self.keys.denial().filter(|_| stale).unwrap_or(error)));
        }
        self.caches.footers.put(self.key.clone(), decoded.clone());
        self.with_index(decoded).await
    }

    /// As [`require`], for a footer that was decoded before. Where its keys have been wrapped anew since and the old master
    /// key has gone, the key material is read again: the data keys are the same, and so the footer stays good.
    async fn require_known(&mut self, known: &Footer) -> Result<(), KeyError> {
        let granted = require(&self.columns, known).await;
        if !granted.as_ref().is_err_and(KeyError::is_denial) || !known.keys.refers_outside() {
            return granted;
        }
        match self.has_other_material(&known.keys).await {
            true => require(&self.columns, known).await,
            false => granted,
        }
    }

    /// Whether a key has gone because keys were wrapped anew after the material was read that was decoded with.
    async fn was_wrapped_anew(&mut self) -> bool {
        let has_gone = matches!(self.keys.denial(), Some(KeyError::Unknown { .. }));
        let keys = Arc::clone(&self.keys);
        has_gone && keys.refers_outside() && self.has_other_material(&keys).await
    }

    /// Reads the key material again, and gives it to the keys; true if it is not what they knew.
    async fn has_other_material(&mut self, keys: &FileKeys) -> bool {
        let material = self.fetch_material().await;
        material.is_ok_and(|material| material.is_some_and(|material| keys.supply(material)))
    }

    async fn decode(&mut self) -> ParquetResult<Footer> {
        let properties = self.keys.properties().map_err(refused)?;
        let size = self.key.size;
        let end = FileEnd::read(Arc::clone(&self.store), self.key.path.clone(), size, self.footer_hint);
        // A file written before key material lay outside has none there, and asks for none.
        let (end, material) = futures::join!(end, self.fetch_material());
        let trouble = match material {
            Ok(Some(material)) => {
                self.keys.supply(material);
                None
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let decoding = ParquetMetaDataReader::new()
            .with_prefetch_hint(Some(self.footer_hint))
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_decryption_properties(Some(properties))
            .load_and_finish(end?, size);
        // Some footers that were tampered with make Parquet's reader panic before it finds that they do not authenticate.
        let decoded = AssertUnwindSafe(decoding).catch_unwind().await;
        let decoded = decoded.unwrap_or_else(|_| Err(refused(unreadable(&self.keys))));
        if let Some(error) = trouble.filter(|_| self.keys.refers_outside()) {
            return Err(unread(error));
        }
        // Parquet's own words for a refused footer key say less than the key service's.
        let metadata = decoded.map_err(|error| self.keys.denial().map_or(error, refused))?;
        let metadata = match has_float_bounds(&metadata) {
            true => without_index(metadata)?,
            false => metadata,
        };
        Ok(Footer {
            metadata: Arc::new(metadata),
            keys: Arc::clone(&self.keys),
        })
    }

    async fn fetch_material(&mut self) -> Result<Option<ExternalMaterial>, SidecarError> {
        self.caches.footers.count_material();
        sidecar::fetch(self.store.as_ref(), &self.key.path, self.keys.context()).await
    }

    /// Adds the page index of the columns that are open, if the scan filters and the footer says that there is one. Columns
    /// that stay closed look as if they had none, in either case.
    async fn with_index(&mut self, footer: Footer) -> ParquetResult<Arc<ParquetMetaData>> {
        let present = footer.metadata.column_index().is_some() && footer.metadata.offset_index().is_some();
        if !self.wants_index || present || !has_index(&footer.metadata) {
            return Ok(footer.metadata);
        }
        let metadata = footer.metadata.as_ref().clone();
        let metadata = Arc::new(page_index::load(metadata, self.inner.as_mut()).await?);
        self.caches.footers.put(
            self.key.clone(),
            Footer {
                metadata: Arc::clone(&metadata),
                keys: footer.keys,
            },
        );
        Ok(metadata)
    }
}

/// Makes sure that each of `columns` is encrypted under a key of its own that is granted now.
async fn require(columns: &[String], footer: &Footer) -> Result<(), KeyError> {
    let schema = footer.metadata.file_metadata().schema_descr();
    let leaf = |column: &String| {
        let found = schema
            .columns()
            .iter()
            .position(|leaf| leaf.path().parts().first() == Some(column));
        found.ok_or_else(|| KeyError::Material {
            object: footer.keys.context().to_string(),
            problem: format!("it lacks column {column}"),
        })
    };
    let leaves = columns.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
    footer.keys.require(&footer.metadata, &leaves).await
}

/// Whether the footer says where a page index is.
fn has_index(metadata: &ParquetMetaData) -> bool {
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    columns.any(|column| column.column_index_offset().is_some())
}

fn unreadable(keys: &FileKeys) -> KeyError {
    KeyError::Material {
        object: keys.context().to_string(),
        problem: "its footer cannot be read, it was altered".to_owned(),
    }
}

fn refused(error: KeyError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Key material that could not be read, as the store's failure or the material's own.
fn unread(error: SidecarError) -> ParquetError {
    match error {
        SidecarError::Key(error) => refused(error),
        SidecarError::Store { source, .. } => ParquetError::External(Box::new(source)),
    }
}

impl AsyncFileReader for DecryptingReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    /// Ignores the caller's options: which keys and which page index apply is decided here.
    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.footer().boxed()
    }
}

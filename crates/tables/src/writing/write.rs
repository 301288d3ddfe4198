//! One encrypted Parquet file: every column under the key of its class, footer encrypted, no Bloom filter, streamed to the
//! object store as it is encoded. Its key material is put beside it before its first byte, so that no file is without it
//! and whoever asks which master keys are in use also sees files that are being written. What a load wrote and did not
//! publish is removed by [`FileLitter`].

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parcours_keys::{ColumnClass, ExternalMaterial, FileContext, KeyService};
use parquet::arrow::{ArrowSchemaConverter, AsyncArrowWriter};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use serde_json::json;
use uuid::Uuid;

use super::shape::TableShape;
use super::upload::Upload;
use crate::delta::{LoggedFile, ROWS};
use crate::load::{LoadError, LoadOptions, Progress};
use crate::sidecar::{self, SidecarError};
use crate::snapshot::{DatasetRoot, class_of};

/// Files are a fifth larger than with zstd, and the processor time of queries less by a twelfth (ADR 19).
const COMPRESSION: Compression = Compression::LZ4_RAW;

/// Rows in a page. Those of a patient lie together, those of a code or a day everywhere: smaller pages would be read all the
/// same, each to be asked for, opened and begun.
const PAGE_ROWS: usize = 65_536;

/// Writes the files of one table.
pub(crate) struct TableWriter<'a> {
    root: &'a DatasetRoot,
    table: &'a TableShape,
    keys: &'a Arc<dyn KeyService>,
    options: &'a LoadOptions,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(
        root: &'a DatasetRoot,
        table: &'a TableShape,
        keys: &'a Arc<dyn KeyService>,
        options: &'a LoadOptions,
    ) -> Self {
        Self {
            root,
            table,
            keys,
            options,
        }
    }

    /// Begins a file of `shard`, under a name that no file ever had.
    pub(crate) async fn open(&self, shard: Option<usize>, litter: &mut FileLitter) -> Result<OpenFile, LoadError> {
        let name = format!("part-{}.parquet", Uuid::new_v4());
        let relative = match shard {
            Some(shard) => format!("shard={shard:04}/{name}"),
            None => name,
        };
        let folder = self.root.table_path(&self.table.name);
        let path = Path::parse(format!("{folder}/{relative}")).map_err(|e| LoadError::Write {
            path: folder,
            reason: e.to_string(),
        })?;
        let context = FileContext::new(&self.root.dataset, &self.table.name, &relative);
        let (properties, material) = self.properties(&context, &path).await?;
        litter.note(sidecar::path_of(&path));
        litter.note(path.clone());
        self.put_beside(&path, &material).await?;
        let upload = Upload::new(Arc::clone(&self.root.store), path.clone());
        let writer =
            AsyncArrowWriter::try_new(upload, Arc::clone(&self.table.schema), Some(properties)).map_err(|e| {
                LoadError::Write {
                    path: path.clone(),
                    reason: e.to_string(),
                }
            })?;
        Ok(OpenFile {
            writer,
            root: self.root.clone(),
            path,
            relative,
            shard,
            rows: 0,
            row_group_bytes: self.options.row_group_bytes(),
            progress: Arc::clone(&self.options.progress),
        })
    }

    async fn put_beside(&self, path: &Path, material: &ExternalMaterial) -> Result<(), LoadError> {
        let written = sidecar::write(self.root, path, material).await;
        written.map_err(|error| match error {
            SidecarError::Key(error) => LoadError::Key(error),
            SidecarError::Store { path, source } => LoadError::Write {
                path,
                reason: source.to_string(),
            },
        })
    }

    /// How the file is written, and the key material that has to lie beside it.
    async fn properties(
        &self,
        context: &FileContext,
        path: &Path,
    ) -> Result<(WriterProperties, ExternalMaterial), LoadError> {
        let columns = self.columns(path)?;
        let refuse = |e: parquet::errors::ParquetError| LoadError::Write {
            path: path.clone(),
            reason: e.to_string(),
        };
        let parquet_schema = ArrowSchemaConverter::new()
            .convert(&self.table.schema)
            .map_err(refuse)?;
        parcours_keys::check_columns(context, &parquet_schema, &columns)?;
        let encryption = parcours_keys::external_encryption(self.keys.as_ref(), context, &columns).await?;
        let builder = exact_statistics(WriterProperties::builder(), &self.table.schema)
            .set_compression(COMPRESSION)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_max_row_group_row_count(Some(self.options.row_group_rows))
            .set_dictionary_enabled(true)
            .set_created_by(concat!("parcours ", env!("CARGO_PKG_VERSION")).to_string());
        let properties = parcours_keys::apply(builder, encryption.properties).build();
        Ok((properties, encryption.material))
    }

    /// Every column with its class: a column without one would stay in clear.
    fn columns(&self, path: &Path) -> Result<Vec<(String, ColumnClass)>, LoadError> {
        let class = |field: &Arc<arrow::datatypes::Field>| {
            let reason = format!("column {} has no class", field.name());
            let class = class_of(field).ok_or_else(|| LoadError::Write {
                path: path.clone(),
                reason,
            })?;
            Ok((field.name().clone(), class))
        };
        self.table.schema.fields().iter().map(class).collect()
    }
}

/// Bounds are kept where they hold for every value, and not at all of floating-point numbers: those of Parquet leave NaN out,
/// which is greater than all others in a condition, so that rows would be passed over that a condition keeps.
fn exact_statistics(builder: WriterPropertiesBuilder, schema: &SchemaRef) -> WriterPropertiesBuilder {
    let floats = schema.fields().iter().filter(|field| field.data_type().is_floating());
    floats.fold(
        builder.set_statistics_enabled(EnabledStatistics::Page),
        |builder, field| {
            let column = ColumnPath::from(vec![field.name().clone()]);
            builder.set_column_statistics_enabled(column, EnabledStatistics::None)
        },
    )
}

/// A file being written.
pub(crate) struct OpenFile {
    writer: AsyncArrowWriter<Upload>,
    root: DatasetRoot,
    path: Path,
    relative: String,
    shard: Option<usize>,
    rows: u64,
    row_group_bytes: usize,
    progress: Arc<dyn Progress>,
}

impl OpenFile {
    pub(crate) async fn write(&mut self, rows: &RecordBatch) -> Result<(), LoadError> {
        self.writer.write(rows).await.map_err(|e| self.failed(e))?;
        if self.writer.in_progress_size() >= self.row_group_bytes {
            self.writer.flush().await.map_err(|e| self.failed(e))?;
        }
        self.rows += rows.num_rows() as u64;
        self.progress.written(rows.num_rows() as u64);
        Ok(())
    }

    /// Completes the file and asks the store what it has: only that goes into a log.
    pub(crate) async fn finish(mut self) -> Result<LoggedFile, LoadError> {
        let metadata = match self.writer.finish().await {
            Ok(metadata) => metadata,
            Err(error) => {
                let failed = self.failed(error);
                self.abort().await;
                return Err(failed);
            }
        };
        let meta = self.root.store.head(&self.path).await.map_err(|e| self.failed(e))?;
        let written = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        if written != self.rows || meta.size != self.writer.bytes_written() as u64 {
            return Err(self.failed("the store does not hold what was written"));
        }
        self.root.sync(&self.path).await.map_err(|e| self.failed(e))?;
        // The log is not encrypted: it says how many rows there are, and nothing of what is in them.
        let stats = json!({ ROWS: self.rows }).to_string();
        Ok(LoggedFile {
            path: self.relative,
            shard: self.shard,
            size: meta.size,
            rows: self.rows,
            stats,
            loads: BTreeSet::new(),
        })
    }

    /// Gives the upload up; what was sent of it is removed by the store.
    pub(crate) async fn abort(self) {
        let path = self.path;
        if let Err(error) = self.writer.into_inner().abort().await {
            tracing::warn!(%path, %error, "upload not aborted, vacuum will find what is left");
        }
    }

    fn failed(&self, error: impl ToString) -> LoadError {
        LoadError::Write {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// The files that a load began, with their key material, to be removed if it does not publish them.
pub(crate) struct FileLitter {
    store: Arc<dyn ObjectStore>,
    paths: Vec<Path>,
}

impl FileLitter {
    pub(crate) fn new(root: &DatasetRoot) -> Self {
        Self {
            store: Arc::clone(&root.store),
            paths: Vec::new(),
        }
    }

    fn note(&mut self, path: Path) {
        self.paths.push(path);
    }

    /// Removes them as well as it can; vacuum finds the rest.
    pub(crate) async fn remove(self) {
        for path in self.paths {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "file not removed, vacuum will find it"),
            }
        }
    }
}

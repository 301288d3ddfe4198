//! A dataset's own rows, decrypted, for whoever writes them anew or checks them: in the table's order, in memory bounded by
//! a batch of each file that is merged. Owns no decision about what is read; nothing goes to a disk.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use parcours_keys::{CacheOptions, ColumnClass, KeyService};

use crate::load::Progress;
use crate::provider::{SnapshotTable, partitioned};
use crate::scan::{Grants, Reading, ScanKeys, open_for_reading};
use crate::snapshot::{DataFile, TableSnapshot};
use crate::store::Stores;

/// Rows of a batch that is merged: each file holds one in memory.
const BATCH_ROWS: usize = 4096;
/// Batches decoded before they are asked for.
const BATCHES_AHEAD: usize = 4;
/// Bytes of footers kept: none is read twice.
const FOOTERS: usize = 1 << 20;

/// Reads the rows of one dataset.
pub(crate) struct Reread {
    keys: ScanKeys,
    context: Arc<TaskContext>,
}

impl Reread {
    /// Reads every column of `dataset`, with the keys that `keys` opens.
    pub(crate) fn new(dataset: &str, stores: &Arc<Stores>, keys: &Arc<dyn KeyService>) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::clone(stores) as _)
            .build_arc()?;
        let config = SessionConfig::new().with_batch_size(BATCH_ROWS);
        Ok(Self {
            keys: scan_keys(dataset, stores, keys, ColumnClass::ALL),
            context: SessionContext::new_with_config_rt(config, runtime).task_ctx(),
        })
    }

    /// The rows of some files in the table's order; file after file if it has none.
    pub(crate) fn merged(&self, table: &TableSnapshot, files: &[&DataFile]) -> Result<SendableRecordBatchStream> {
        let ordering = SnapshotTable::order_of(table)?;
        let files = files.iter().map(|file| partitioned(file));
        let groups = match ordering {
            Some(_) => files.map(|file| FileGroup::new(vec![file])).collect(),
            None => vec![FileGroup::new(files.collect())],
        };
        let source = Arc::new(ParquetSource::new(Arc::clone(table.schema())));
        let scan = FileScanConfigBuilder::new(table.store().clone(), source)
            .with_file_groups(groups)
            .with_output_ordering(ordering.clone().into_iter().collect());
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.build());
        let plan = match ordering {
            Some(ordering) => Arc::new(SortPreservingMergeExec::new(ordering, scan)),
            None => scan,
        };
        let rows = open_for_reading(plan, &self.keys)?.execute(0, Arc::clone(&self.context))?;
        // Readers drop the fields' metadata, which says the columns' classes.
        let classed = Arc::clone(table.schema());
        let schema = Arc::clone(&classed);
        let rows = rows.map(move |batch| Ok(RecordBatch::try_new(Arc::clone(&classed), batch?.columns().to_vec())?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// All rows of a sharded table in its order. Shards follow each other as their patients do, so that nothing is sorted; the
    /// next batches are decoded while the present one is in use.
    pub(crate) fn in_order(
        self: &Arc<Self>,
        table: &Arc<TableSnapshot>,
        progress: &Arc<dyn Progress>,
    ) -> SendableRecordBatchStream {
        let (rows, table, progress) = (Arc::clone(self), Arc::clone(table), Arc::clone(progress));
        let mut ahead = RecordBatchReceiverStreamBuilder::new(Arc::clone(table.schema()), BATCHES_AHEAD);
        let batches = ahead.tx();
        ahead.spawn(async move {
            let mut read = 0;
            for group in table.files_by_shard().into_iter().filter(|group| !group.is_empty()) {
                let mut shard = rows.merged(&table, &group)?;
                while let Some(batch) = shard.next().await {
                    if batches.send(batch).await.is_err() {
                        return Ok(());
                    }
                }
                read += group.iter().map(|file| file.size()).sum::<u64>();
                progress.read(read);
            }
            Ok(())
        });
        ahead.build()
    }

    /// The values of one column in some files, in no order to rely on.
    pub(crate) fn column(
        &self,
        table: &TableSnapshot,
        files: &[&DataFile],
        column: &str,
    ) -> Result<SendableRecordBatchStream> {
        self.values(Column {
            store: table.store().clone(),
            schema: table.schema(),
            files: files.iter().map(|file| partitioned(file)).collect(),
            name: column,
        })
    }

    /// The values of a column, in no order to rely on.
    pub(crate) fn values(&self, column: Column<'_>) -> Result<SendableRecordBatchStream> {
        let source = Arc::new(ParquetSource::new(Arc::clone(column.schema)));
        let scan = FileScanConfigBuilder::new(column.store, source)
            .with_file_groups(vec![FileGroup::new(column.files)])
            .with_projection_indices(Some(vec![column.schema.index_of(column.name)?]))?;
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.build());
        open_for_reading(scan, &self.keys)?.execute(0, Arc::clone(&self.context))
    }
}

/// A column in some files of a table, which need not be in a version yet.
pub(crate) struct Column<'a> {
    pub(crate) store: ObjectStoreUrl,
    /// The schema of the files.
    pub(crate) schema: &'a SchemaRef,
    pub(crate) files: Vec<PartitionedFile>,
    pub(crate) name: &'a str,
}

/// The keys of some classes of a dataset, in the name of nobody's query.
pub(crate) fn scan_keys(
    dataset: &str,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    classes: impl IntoIterator<Item = ColumnClass>,
) -> ScanKeys {
    let reading = Reading::new(Arc::clone(keys), Arc::clone(stores), CacheOptions::default(), FOOTERS);
    reading.keys(Grants::none().with(dataset, classes))
}

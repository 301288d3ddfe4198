//! Sorts a table's new rows by patient and declared order in bounded memory: sources are read side by side, each side
//! sorted by DataFusion's own external sort, and merged. What spills is sealed; nothing of a patient reaches a disk in
//! clear.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::{self, StreamExt, TryStreamExt};
use parcours_sealed::SpillFiles;

use super::options::Rejects;
use super::plan::TablePlan;
use super::{LoadError, LoadOptions, Progress};
use crate::source::{self, ReadOptions, SourceError, SourceFile};
use crate::spec::Table;
use crate::splits::FILE_ORDER;
use crate::store::Stores;

/// Rows of a batch inside the sort: small, since each sorted run in a merge holds one batch in memory.
const BATCH_ROWS: usize = 4096;

/// The sort of one load: one memory pool and one spill folder for all of its tables.
pub(super) struct Sorter {
    context: Arc<TaskContext>,
}

impl Sorter {
    pub(super) fn new(options: &LoadOptions, spill: &Arc<SpillFiles>) -> Result<Self, LoadError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.sort_bytes())))
            .with_disk_manager_builder(spill.disk_manager())
            .build_arc()
            .map_err(|e| sort_error("", e))?;
        // What every sorted side keeps back to merge with; more than its share and it could not even begin.
        let reserve = (options.sort_bytes() / (4 * options.parallel_sources)).min(10 << 20);
        let config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_sort_spill_reservation_bytes(reserve);
        Ok(Self {
            context: SessionContext::new_with_config_rt(config, runtime).task_ctx(),
        })
    }

    /// The new rows of `table`, sorted; in the order of the sources if the table has no order.
    pub(super) fn sorted(
        &self,
        table: &TablePlan,
        stores: &Arc<Stores>,
        options: &LoadOptions,
        rejects: &Rejects,
    ) -> Result<SendableRecordBatchStream, LoadError> {
        let ordering = ordering(table).map_err(|e| sort_error(table.name(), e))?;
        let sides = if ordering.is_some() {
            options.parallel_sources
        } else {
            1
        };
        let rows = source_plan(table, stores, options, rejects, sides).map_err(|e| sort_error(table.name(), e))?;
        let plan: Arc<dyn ExecutionPlan> = match ordering {
            None => rows,
            Some(ordering) => {
                let sorted = SortExec::new(ordering.clone(), rows).with_preserve_partitioning(true);
                Arc::new(SortPreservingMergeExec::new(ordering, Arc::new(sorted)))
            }
        };
        plan.execute(0, Arc::clone(&self.context))
            .map_err(|e| sort_error(table.name(), e))
    }
}

fn ordering(table: &TablePlan) -> DataFusionResult<Option<LexOrdering>> {
    let key = |name: &&str| {
        let column = Column::new_with_schema(name, &table.shape.schema)?;
        Ok(PhysicalSortExpr::new(Arc::new(column), FILE_ORDER))
    };
    Ok(LexOrdering::new(
        table
            .shape
            .sorted_by()
            .map(|name| key(&name))
            .collect::<DataFusionResult<Vec<_>>>()?,
    ))
}

/// The sources dealt out over at most `sides` partitions, the largest first to the emptiest.
fn source_plan(
    table: &TablePlan,
    stores: &Arc<Stores>,
    options: &LoadOptions,
    rejects: &Rejects,
    sides: usize,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let reading = ReadOptions {
        batch_rows: BATCH_ROWS,
        on_bad: rejects.policy(),
        bytes_read: Arc::clone(&bytes_read),
        ..ReadOptions::default()
    };
    let side = |files| {
        let side = SourceSide {
            table: table.spec.clone(),
            schema: Arc::clone(&table.shape.schema),
            files,
            stores: Arc::clone(stores),
            reading: reading.clone(),
            progress: Arc::clone(&options.progress),
        };
        Arc::new(side) as Arc<dyn PartitionStream>
    };
    let sides = deal(&table.new, sides).into_iter().map(side).collect();
    let plan = StreamingTableExec::try_new(Arc::clone(&table.shape.schema), sides, None, None, false, None)?;
    Ok(Arc::new(plan))
}

fn deal(sources: &[(SourceFile, String)], sides: usize) -> Vec<Vec<SourceFile>> {
    let mut dealt = vec![(0, Vec::new()); sides.min(sources.len()).max(1)];
    if dealt.len() == 1 {
        return vec![sources.iter().map(|(file, _)| file.clone()).collect()];
    }
    let mut largest_first: Vec<&SourceFile> = sources.iter().map(|(file, _)| file).collect();
    largest_first.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.url.cmp(&b.url)));
    for file in largest_first {
        if let Some((bytes, side)) = dealt.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.size;
            side.push(file.clone());
        }
    }
    dealt.into_iter().map(|(_, side)| side).collect()
}

/// Some of a table's sources, read one after the other.
struct SourceSide {
    table: Table,
    schema: SchemaRef,
    files: Vec<SourceFile>,
    stores: Arc<Stores>,
    reading: ReadOptions,
    progress: Arc<dyn Progress>,
}

impl fmt::Debug for SourceSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSide")
            .field("table", &self.table.name)
            .field("files", &self.files.len())
            .finish()
    }
}

impl PartitionStream for SourceSide {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (table, schema, stores) = (self.table.clone(), Arc::clone(&self.schema), Arc::clone(&self.stores));
        let (reading, progress) = (self.reading.clone(), Arc::clone(&self.progress));
        let bytes_read = Arc::clone(&self.reading.bytes_read);
        let plain = plain_schema(&self.schema);
        let open = move |file: SourceFile| {
            source::read(&stores, &table, Arc::clone(&plain), &file, reading.clone()).map_err(external)
        };
        let opened = stream::iter(self.files.clone()).map(open);
        let rows = opened.map_ok(|rows| rows.map_err(external)).try_flatten();
        let classed = Arc::clone(&self.schema);
        let rows = rows.map(move |batch: DataFusionResult<RecordBatch>| {
            progress.read(bytes_read.load(Ordering::Relaxed));
            Ok(RecordBatch::try_new(Arc::clone(&classed), batch?.columns().to_vec())?)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// The schema without metadata: what sources are read as.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| field.as_ref().clone().with_metadata(Default::default());
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

fn external(error: SourceError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The source's own error where one lies below DataFusion's, else DataFusion's.
pub(crate) fn sort_error(table: &str, error: DataFusionError) -> LoadError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<SourceError>() {
            Ok(source) => LoadError::Source(*source),
            Err(other) => whole_error(table, DataFusionError::External(other)),
        },
        DataFusionError::Context(_, inner) => sort_error(table, *inner),
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(inner) => sort_error(table, inner),
            Err(shared) => whole_error(table, DataFusionError::Shared(shared)),
        },
        other => whole_error(table, other),
    }
}

fn whole_error(table: &str, error: DataFusionError) -> LoadError {
    LoadError::Sort {
        table: table.to_string(),
        source: Box::new(error),
    }
}

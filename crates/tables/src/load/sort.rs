//! Sorts a table's new rows by patient and declared order in bounded memory: sources are read side by side, each side
//! sorted by DataFusion's own external sort, and merged. What spills is sealed; nothing of a patient reaches a disk in
//! clear.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};
use parcours_sealed::SpillFiles;

use super::options::Rejects;
use super::plan::TablePlan;
use super::pool::SortPool;
use super::profile::RowsRead;
use super::sources::Source;
use super::{LoadError, LoadOptions, Progress};
use crate::source::{self, Positions, ReadOptions, SourceError, SourceFile};
use crate::spec::Table;
use crate::splits::FILE_ORDER;
use crate::store::Stores;
use crate::writing::shape::TableShape;

/// Rows of a batch inside the sort: small, since each sorted run in a merge holds one batch in memory.
pub(super) const BATCH_ROWS: usize = 4096;

/// The sorts of one load: one memory pool and one spill folder for all of its tables.
pub(super) struct Sorter {
    runtime: Arc<RuntimeEnv>,
    bytes: usize,
}

impl Sorter {
    pub(super) fn new(options: &LoadOptions, spill: &Arc<SpillFiles>, stores: &Arc<Stores>) -> Result<Self, LoadError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(SortPool::new(options.sort_bytes())))
            .with_disk_manager_builder(spill.disk_manager())
            .with_object_store_registry(Arc::clone(stores) as _)
            .build_arc()
            .map_err(|e| sort_error("", e))?;
        Ok(Self {
            runtime,
            bytes: options.sort_bytes(),
        })
    }

    /// What a plan with so many sorts at once runs in.
    pub(super) fn context(&self, sorts: usize) -> Arc<TaskContext> {
        // What every sort keeps back to merge with; more than its share and it could not even begin.
        let reserve = (self.bytes / (4 * sorts.max(1))).min(10 << 20);
        let config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_sort_spill_reservation_bytes(reserve);
        SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime)).task_ctx()
    }

    /// The new rows of `table`, sorted; in the order of the sources if the table has no order.
    pub(super) fn sorted(
        &self,
        table: &TablePlan,
        stores: &Arc<Stores>,
        options: &LoadOptions,
        rejects: &Rejects,
        read: &Arc<RowsRead>,
    ) -> Result<SendableRecordBatchStream, LoadError> {
        let ordering = ordering(&table.shape).map_err(|e| sort_error(table.name(), e))?;
        let sides = if ordering.is_some() {
            options.parallel_sources
        } else {
            1
        };
        let reading = ReadOptions {
            batch_rows: BATCH_ROWS,
            on_bad: rejects.policy(),
            ..ReadOptions::default()
        };
        let rows = source_plan(table, stores, options, &reading, read, sides);
        let rows = rows.map_err(|e| sort_error(table.name(), e))?;
        let plan = match ordering {
            None => rows,
            Some(ordering) => sorted(rows, ordering),
        };
        plan.execute(0, self.context(options.parallel_sources))
            .map_err(|e| sort_error(table.name(), e))
    }
}

/// A plan's partitions, each sorted, merged into one.
pub(super) fn sorted(rows: Arc<dyn ExecutionPlan>, ordering: LexOrdering) -> Arc<dyn ExecutionPlan> {
    let sorted = SortExec::new(ordering.clone(), rows).with_preserve_partitioning(true);
    Arc::new(SortPreservingMergeExec::new(ordering, Arc::new(sorted)))
}

/// The order that a table is written in; none if it has none.
pub(super) fn ordering(table: &TableShape) -> DataFusionResult<Option<LexOrdering>> {
    let key = |name: &&str| {
        let column = Column::new_with_schema(name, &table.schema)?;
        Ok(PhysicalSortExpr::new(Arc::new(column), FILE_ORDER))
    };
    Ok(LexOrdering::new(
        table
            .sorted_by()
            .map(|name| key(&name))
            .collect::<DataFusionResult<Vec<_>>>()?,
    ))
}

/// A table's new sources, dealt out over at most `sides` partitions, the largest first to the emptiest; `read` counts their
/// rows. Where positions are read, each row also says, in a last column, which of the new sources it is from.
pub(super) fn source_plan(
    table: &TablePlan,
    stores: &Arc<Stores>,
    options: &LoadOptions,
    reading: &ReadOptions,
    read: &Arc<RowsRead>,
    sides: usize,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let schema = match reading.positions {
        true => with_places(&table.source_schema),
        false => Arc::clone(&table.source_schema),
    };
    let side = |files| {
        let side = SourceSide {
            table: table.spec.clone(),
            plain: plain_schema(&table.source_schema),
            schema: Arc::clone(&schema),
            files,
            stores: Arc::clone(stores),
            reading: reading.clone(),
            read: Arc::clone(read),
            progress: Arc::clone(&options.progress),
        };
        Arc::new(side) as Arc<dyn PartitionStream>
    };
    let sides = deal(&table.new, sides).into_iter().map(side).collect();
    let plan = StreamingTableExec::try_new(Arc::clone(&schema), sides, None, None, false, None)?;
    Ok(Arc::new(plan))
}

/// The schema with the place of each row after its columns: [`Positions`], and the number of its source.
pub(super) fn with_places(schema: &Schema) -> SchemaRef {
    let positions = Positions::appended_to(schema);
    let source = Arc::new(Field::new("#source", DataType::UInt32, false));
    let fields = positions.fields().iter().cloned().chain([source]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Sources with their numbers.
type Side = Vec<(u32, SourceFile)>;

fn deal(sources: &[Source], sides: usize) -> Vec<Side> {
    let mut sources: Side = (0..).zip(sources).map(|(at, (file, _))| (at, file.clone())).collect();
    let mut dealt = vec![(0, Side::new()); sides.min(sources.len()).max(1)];
    if dealt.len() == 1 {
        return vec![sources];
    }
    sources.sort_by(|(_, a), (_, b)| b.size.cmp(&a.size).then_with(|| a.url.cmp(&b.url)));
    for (at, file) in sources {
        if let Some((bytes, side)) = dealt.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.size;
            side.push((at, file));
        }
    }
    dealt.into_iter().map(|(_, side)| side).collect()
}

/// Some of a table's sources, read one after the other.
struct SourceSide {
    table: Table,
    /// What sources are read as.
    plain: SchemaRef,
    /// What they are given out as.
    schema: SchemaRef,
    files: Side,
    stores: Arc<Stores>,
    reading: ReadOptions,
    /// Counts the rows of each.
    read: Arc<RowsRead>,
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
        let (table, stores, plain) = (self.table.clone(), Arc::clone(&self.stores), Arc::clone(&self.plain));
        let (reading, progress) = (self.reading.clone(), Arc::clone(&self.progress));
        let bytes_read = Arc::clone(&self.reading.bytes_read);
        let (schema, read) = (Arc::clone(&self.schema), Arc::clone(&self.read));
        let open = move |(at, file): (u32, SourceFile)| {
            let rows = source::read(&stores, &table, Arc::clone(&plain), &file, reading.clone()).map_err(external)?;
            let (schema, read, numbered) = (Arc::clone(&schema), Arc::clone(&read), reading.positions);
            Ok::<_, DataFusionError>(rows.map_err(external).and_then(move |batch| {
                *read.lock().entry(file.url.to_string()).or_default() += batch.num_rows() as u64;
                let mut columns = batch.columns().to_vec();
                if numbered {
                    columns.push(Arc::new(UInt32Array::from(vec![at; batch.num_rows()])));
                }
                ready(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(DataFusionError::from))
            }))
        };
        let rows = stream::iter(self.files.clone()).map(open).try_flatten();
        let rows = rows.inspect(move |_: &DataFusionResult<RecordBatch>| {
            progress.read(bytes_read.load(Ordering::Relaxed));
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// The schema without metadata: what sources are read as.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| field.as_ref().clone().with_metadata(Default::default());
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

pub(super) fn external(error: SourceError) -> DataFusionError {
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

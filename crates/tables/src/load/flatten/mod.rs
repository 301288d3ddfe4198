//! Flattening: rows whose sources carry no patient id get it from the row of a main table that has the same keys, and the
//! columns asked for with it; then they are a sharded table like any other.
//!
//! Both sides are sorted by the keys and merged, and what comes of it is sorted by patient, each in its share of the load's
//! memory; what does not fit is spilled, sealed. Parents are read from the main table's encrypted files as they were just
//! written, so that a parent is exactly a row of that table. First those of this load, since keys of one flow come together;
//! where a row finds none among them, once more with those loaded before.

mod merge;
mod plan;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{TryStreamExt, stream};
use object_store::path::Path;
use parking_lot::Mutex;

use super::plan::TablePlan;
use super::profile::RowsRead;
use super::publish::WrittenTable;
use super::sort::{Sorter, ordering, plain_schema, sort_error, sorted, source_plan};
use super::{LoadError, Place, Writing};
use crate::delta::LoggedFile;
use crate::order;
use crate::provider::named;
use crate::reread::scan_keys;
use crate::scan::open_for_reading;
use crate::source::{self, OnBad, Positions, ReadOptions};
use crate::splits::FILE_ORDER;
use crate::writing::write::FileLitter;

use merge::{Findings, Joining, Merge, Orphans, Side, Sources};
pub(super) use plan::FlattenPlan;

impl Writing<'_> {
    /// Writes the new rows of a flattened table; `written` are the tables written before.
    pub(super) async fn flattened(
        &self,
        table: &TablePlan,
        sorter: &Sorter,
        written: &[WrittenTable],
        litter: &mut FileLitter,
    ) -> Result<WrittenTable, LoadError> {
        let nothing = || WrittenTable {
            name: table.name().to_owned(),
            ..WrittenTable::default()
        };
        let (false, Some(plan)) = (table.new.is_empty(), &table.flatten) else {
            return Ok(nothing());
        };
        let Some(main) = self.plan.tables.iter().find(|table| table.name() == plan.with) else {
            return Ok(nothing());
        };
        let flattening = Flattening {
            writing: self,
            table,
            plan,
            main,
            sorter,
        };
        let new = written.iter().find(|written| written.name == plan.with);
        flattening
            .run(new.map(|new| new.files.as_slice()).unwrap_or_default(), litter)
            .await
    }
}

struct Flattening<'a> {
    writing: &'a Writing<'a>,
    table: &'a TablePlan,
    plan: &'a FlattenPlan,
    main: &'a TablePlan,
    sorter: &'a Sorter,
}

impl Flattening<'_> {
    async fn run(&self, new: &[LoggedFile], litter: &mut FileLitter) -> Result<WrittenTable, LoadError> {
        let policy = self.writing.rejects.policy();
        let mut parents = self.main.kept_files.clone();
        let several = !parents.is_empty() && !new.is_empty();
        if several {
            let findings = Arc::<Mutex<Findings>>::default();
            let first = self.join(new, policy.clone(), Orphans::End, &findings, litter).await;
            if first.is_ok() || !findings.lock().orphan {
                return first;
            }
        }
        parents.extend_from_slice(new);
        let from = Sources {
            table: self.table.name().to_owned(),
            files: self.table.new.iter().map(|(file, _)| file.url.to_string()).collect(),
            columns: self
                .table
                .spec
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
        };
        let orphans = Orphans::Bad(policy.clone(), Arc::new(from));
        // Both sides were read to their ends before the first row was found to have no parent: other bad rows are listed.
        let reading = if several { OnBad::Skip } else { policy };
        self.join(&parents, reading, orphans, &Arc::default(), litter).await
    }

    /// Joins the table's new rows with the main table's rows in `parents`, and writes what comes of it.
    async fn join(
        &self,
        parents: &[LoggedFile],
        on_bad: OnBad,
        orphans: Orphans,
        findings: &Arc<Mutex<Findings>>,
        litter: &mut FileLitter,
    ) -> Result<WrittenTable, LoadError> {
        let failed = |error| sort_error(self.table.name(), error);
        let keys = order::converter(&self.table.source_schema, &self.plan.keys);
        let converter = Arc::new(keys.map_err(|error| failed(error.into()))?);
        let rows = |read: &Arc<RowsRead>| {
            let joined = self
                .joined(parents, on_bad, orphans, &converter, (findings, read))
                .map_err(failed)?;
            let ordering = ordering(&self.table.shape).map_err(failed)?;
            let plan = match ordering {
                Some(ordering) => sorted(joined, ordering),
                None => joined,
            };
            plan.execute(0, self.sorter.context(2 * self.sides() + 1))
                .map_err(failed)
        };
        let written = self.writing.table(self.table, rows, litter).await;
        let duplicate = findings.lock().duplicate.take();
        match (written, duplicate) {
            (Err(_), Some(keys)) => Err(self.duplicate(&keys, &converter).await?),
            (written, _) => written,
        }
    }

    /// Sources, and files of the main table, that are sorted side by side.
    fn sides(&self) -> usize {
        (self.writing.place.options.parallel_sources / 2).max(1)
    }

    fn joined(
        &self,
        parents: &[LoggedFile],
        on_bad: OnBad,
        orphans: Orphans,
        converter: &Arc<RowConverter>,
        (findings, read): (&Arc<Mutex<Findings>>, &Arc<RowsRead>),
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let columns = self.plan.main_columns();
        let position = |at: &usize| columns.partition_point(|other| other < at);
        let (main_keys, taken): (Vec<usize>, Vec<usize>) = (
            self.plan.main_keys.iter().map(position).collect(),
            self.plan.taken.iter().map(position).collect(),
        );
        let rows = by_keys(self.rows(on_bad, read)?, &self.plan.keys)?;
        let parents = by_keys(self.parents(parents, &columns)?, &main_keys)?;
        let schema = Arc::clone(&self.table.shape.schema);
        let joined = Joined {
            rows,
            parents,
            keys: self.plan.keys.clone(),
            main_keys,
            taken,
            own: self.plan.own.clone(),
            schema: Arc::clone(&schema),
            converter: Arc::clone(converter),
            orphans,
            findings: Arc::clone(findings),
        };
        let plan = StreamingTableExec::try_new(schema, vec![Arc::new(joined)], None, None, false, None)?;
        Ok(Arc::new(plan))
    }

    /// The table's new rows, each with its place.
    fn rows(&self, on_bad: OnBad, read: &Arc<RowsRead>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let reading = ReadOptions {
            batch_rows: super::sort::BATCH_ROWS,
            on_bad,
            positions: true,
            ..ReadOptions::default()
        };
        let Place { stores, options, .. } = self.writing.place;
        source_plan(self.table, stores, options, &reading, read, self.sides())
    }

    /// Some columns of some files of the main table.
    fn parents(&self, files: &[LoggedFile], columns: &[usize]) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let Place { root, stores, keys, .. } = self.writing.place;
        let schema = &self.main.shape.schema;
        let folder = root.table_path(self.main.name());
        let mut groups = vec![Vec::new(); self.sides().min(files.len()).max(1)];
        let count = groups.len();
        for (at, file) in files.iter().enumerate() {
            let path = Path::parse(format!("{folder}/{}", file.path)).map_err(external)?;
            groups[at % count].push(named(path, file.size));
        }
        let store = stores.object_store_url(&root.url).map_err(external)?;
        let scan = FileScanConfigBuilder::new(store, Arc::new(ParquetSource::new(Arc::clone(schema))))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(Some(columns.to_vec()))?;
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.build());
        let keys = scan_keys(&root.dataset, stores, keys, self.plan.main_classes(schema));
        open_for_reading(scan, &keys)
    }

    /// Names the places of rows of the main table that have these keys: files do not say where their rows came from, so that
    /// the sources are looked through.
    async fn duplicate(&self, keys: &OwnedRow, converter: &RowConverter) -> Result<LoadError, LoadError> {
        let reading = ReadOptions {
            on_bad: OnBad::Skip,
            positions: true,
            ..ReadOptions::default()
        };
        let mut places = Vec::new();
        for (file, _) in &self.main.new {
            let schema = plain_schema(&self.main.source_schema);
            let mut rows = source::read(
                self.writing.place.stores,
                &self.main.spec,
                schema,
                file,
                reading.clone(),
            )?;
            while let Some(batch) = rows.try_next().await? {
                let columns: Vec<_> = self
                    .plan
                    .main_keys
                    .iter()
                    .map(|at| Arc::clone(batch.column(*at)))
                    .collect();
                let found = converter.convert_columns(&columns);
                let found = found.map_err(|error| sort_error(self.main.name(), error.into()))?;
                let alike = (0..found.num_rows()).filter(|row| found.row(*row) == keys.row());
                let at = batch.num_columns() - Positions::COUNT;
                places.extend(alike.map(|row| format!("{} {}", file.url, Positions::read(&batch, at, row))));
            }
            places.truncate(2);
        }
        if places.len() < 2 {
            places.push("rows loaded before".to_owned());
        }
        Ok(LoadError::DuplicateKeys {
            table: self.main.name().to_owned(),
            flattened: self.table.name().to_owned(),
            columns: self.plan.on.clone(),
            places: places.join(" and "),
        })
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The rows of a plan sorted by keys.
fn by_keys(rows: Arc<dyn ExecutionPlan>, keys: &[usize]) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let key = |at: &usize| PhysicalSortExpr::new(Arc::new(Column::new(schema.field(*at).name(), *at)), FILE_ORDER);
    Ok(match LexOrdering::new(keys.iter().map(key)) {
        Some(ordering) => sorted(rows, ordering),
        None => rows,
    })
}

/// The join as a partition of a plan.
struct Joined {
    rows: Arc<dyn ExecutionPlan>,
    parents: Arc<dyn ExecutionPlan>,
    keys: Vec<usize>,
    main_keys: Vec<usize>,
    taken: Vec<usize>,
    own: Vec<usize>,
    schema: SchemaRef,
    converter: Arc<RowConverter>,
    orphans: Orphans,
    findings: Arc<Mutex<Findings>>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl PartitionStream for Joined {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let sides = self.rows.execute(0, Arc::clone(&context)).and_then(|rows| {
            let parents = self.parents.execute(0, context)?;
            Ok((
                Side::new(rows, self.keys.clone()),
                Side::new(parents, self.main_keys.clone()),
            ))
        });
        let joining = Joining {
            schema: Arc::clone(&self.schema),
            converter: Arc::clone(&self.converter),
            own: self.own.clone(),
            taken: self.taken.clone(),
            orphans: self.orphans.clone(),
            findings: Arc::clone(&self.findings),
        };
        let merge = sides.map(|(rows, parents)| Merge::new(joining, rows, parents));
        let joined = stream::once(async move { merge }).map_ok(|merge| {
            stream::try_unfold(merge, |mut merge| async move {
                Ok(merge.next().await?.map(|batch| (batch, merge)))
            })
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            joined.try_flatten(),
        ))
    }
}

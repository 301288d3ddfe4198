//! The checks of one data file: what its log says of it, then every row of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar};
use arrow::compute::kernels::cmp;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use parcours_keys::KeyError;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;

use super::VerifyError;
use super::disclosed::disclosed;
use super::report::{Fault, FaultKind};
use crate::order::RowOrder;
use crate::scan::{ScanKeys, open_file};
use crate::snapshot::{DataFile, TableSnapshot};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// One file on its way through the checks.
pub(super) struct FileCheck {
    table: Arc<TableSnapshot>,
    file: DataFile,
    keys: ScanKeys,
    store: Arc<dyn ObjectStore>,
    /// Rows of each row group, once the footer is read.
    groups: Vec<u64>,
    rows: u64,
    faults: BTreeMap<(FaultKind, Option<String>), Fault>,
}

/// Why the checks of a file go no further.
enum Stop {
    /// The fault is noted, and what follows would only repeat it.
    Noted,
    /// Nothing can be said of the file.
    Failed(VerifyError),
}

impl FileCheck {
    pub(super) fn new(
        table: &Arc<TableSnapshot>,
        file: &DataFile,
        keys: &ScanKeys,
        store: &Arc<dyn ObjectStore>,
    ) -> Self {
        Self {
            table: Arc::clone(table),
            file: file.clone(),
            keys: keys.clone(),
            store: Arc::clone(store),
            groups: Vec::new(),
            rows: 0,
            faults: BTreeMap::new(),
        }
    }

    /// Rows read, and the faults.
    pub(super) async fn run(mut self) -> Result<(u64, Vec<Fault>), VerifyError> {
        match self.check().await {
            Err(Stop::Failed(error)) => Err(error),
            Ok(()) | Err(Stop::Noted) => Ok((self.rows, self.faults.into_values().collect())),
        }
    }

    async fn check(&mut self) -> Result<(), Stop> {
        self.check_place();
        self.check_size().await?;
        let opened = open_file(&self.file, &self.table, &self.keys).map_err(|error| self.stop(error))?;
        self.check_rows(opened).await
    }

    /// Files lie in the folder of the shard that the log gives them.
    fn check_place(&mut self) {
        let folder = self.file.shard().map(|shard| format!("shard={shard:04}"));
        let found = self
            .file
            .logged()
            .path
            .split_once('/')
            .map(|(folder, _)| folder.to_owned());
        if folder != found {
            self.whole(
                FaultKind::Place,
                None,
                "it lies in the folder of another shard than the log says",
            );
        }
    }

    async fn check_size(&mut self) -> Result<(), Stop> {
        match self.store.head(self.file.path()).await {
            Ok(found) if found.size == self.file.size() => Ok(()),
            Ok(_) => Err(self.noted(
                FaultKind::Size,
                "it has not the size that the log gives, restore it from a copy",
            )),
            Err(object_store::Error::NotFound { .. }) => {
                Err(self.noted(FaultKind::Missing, "it is not there, restore it from a copy"))
            }
            Err(source) => Err(self.store_failed(source)),
        }
    }

    async fn check_rows<R: AsyncFileReader + Unpin + 'static>(&mut self, reader: R) -> Result<(), Stop> {
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
        let builder = builder.map_err(|error| self.unreadable(error))?;
        let groups = builder.metadata().row_groups().iter();
        self.groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        self.check_schema(builder.schema())?;
        if self.groups.iter().sum::<u64>() != self.file.rows() {
            self.whole(
                FaultKind::Rows,
                None,
                "it has not the number of rows that the log gives",
            );
        }
        let mut checks = self.row_checks()?;
        let rows = builder.with_batch_size(BATCH_ROWS).build();
        let mut rows = rows.map_err(|error| self.unreadable(error))?;
        while let Some(batch) = rows.try_next().await.map_err(|error| self.unreadable(error))? {
            let checked = checks.batch(&batch, self);
            checked.map_err(|error| self.stop(error.into()))?;
            self.rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// The columns of the table, by name and type; whether NULL occurs is looked at row by row.
    fn check_schema(&mut self, found: &Schema) -> Result<(), Stop> {
        let wanted = self.table.schema();
        let differs = wanted.fields().iter().zip(found.fields()).find_map(|(wanted, found)| {
            let same = (wanted.name(), wanted.data_type()) == (found.name(), found.data_type());
            (!same).then(|| wanted.name().clone())
        });
        if differs.is_none() && wanted.fields().len() == found.fields().len() {
            return Ok(());
        }
        self.whole(FaultKind::Schema, differs, "its columns are not the table's");
        Err(Stop::Noted)
    }

    fn row_checks(&mut self) -> Result<RowChecks, Stop> {
        let schema = Arc::clone(self.table.schema());
        for column in disclosed(&self.file.logged().stats) {
            let problem =
                "the log, which is in clear, gives bounds of its values: write the file anew with parcours compact";
            self.whole(FaultKind::Disclosure, Some(column), problem);
        }
        let order = RowOrder::new(&schema, self.table.sorted_by()).map_err(|error| self.stop(error.into()))?;
        let patient = self.table.patient_id().and_then(|id| schema.index_of(id).ok());
        let filled = (0..schema.fields().len()).filter(|at| !schema.field(*at).is_nullable() && Some(*at) != patient);
        Ok(RowChecks {
            order,
            patient,
            filled: filled.collect(),
        })
    }

    /// Notes a fault of the file as a whole.
    fn whole(&mut self, kind: FaultKind, column: Option<String>, problem: &str) {
        let fault = self.fault(kind, column.clone(), problem);
        self.faults.entry((kind, column)).or_insert(fault);
    }

    /// Notes a fault of these rows of the batch at hand.
    fn rows(&mut self, kind: FaultKind, column: Option<&str>, problem: &str, rows: &[usize]) {
        let Some(first) = rows.first() else { return };
        let (row, column) = (self.rows + *first as u64, column.map(str::to_owned));
        let fault = Fault {
            row_group: Some(self.group_of(row)),
            row: Some(row + 1),
            ..self.fault(kind, column.clone(), problem)
        };
        self.faults.entry((kind, column)).or_insert(fault).rows += rows.len() as u64;
    }

    fn fault(&self, kind: FaultKind, column: Option<String>, problem: &str) -> Fault {
        Fault {
            table: self.table.name().to_owned(),
            file: self.file.logged().path.clone(),
            kind,
            column,
            row_group: None,
            row: None,
            rows: 0,
            problem: problem.to_owned(),
        }
    }

    /// The row group, from 1, of a row, from 0.
    fn group_of(&self, row: u64) -> usize {
        let mut end = 0;
        let ended = |rows: &&u64| {
            end += **rows;
            end <= row
        };
        1 + self.groups.iter().take_while(ended).count()
    }

    fn noted(&mut self, kind: FaultKind, problem: &str) -> Stop {
        self.whole(kind, None, problem);
        Stop::Noted
    }

    fn store_failed(&self, source: object_store::Error) -> Stop {
        Stop::Failed(VerifyError::Store {
            path: self.file.path().clone(),
            source,
        })
    }

    /// What a failed reading says of the file. The engine's own words could hold a value: they are left out.
    fn unreadable(&mut self, error: ParquetError) -> Stop {
        let damaged = "it does not decrypt or decode from here on: it was altered, restore it from a copy";
        let inner = match error {
            ParquetError::External(inner) => inner,
            _ => return self.broken_off(damaged),
        };
        let inner = match inner.downcast::<KeyError>() {
            Ok(error) => return self.closed(*error),
            Err(inner) => inner,
        };
        match inner.downcast::<object_store::Error>() {
            Ok(error) if matches!(*error, object_store::Error::NotFound { .. }) => self.noted(
                FaultKind::Missing,
                "it, or its key material, is not there, restore it from a copy",
            ),
            Ok(error) => self.store_failed(*error),
            Err(_) => self.broken_off(damaged),
        }
    }

    /// A reading that ends at the row that would be next.
    fn broken_off(&mut self, problem: &str) -> Stop {
        match self.groups.is_empty() {
            true => self.whole(FaultKind::Unreadable, None, problem),
            false => self.rows(FaultKind::Unreadable, None, problem, &[0]),
        }
        Stop::Noted
    }

    fn closed(&mut self, error: KeyError) -> Stop {
        let kind = match &error {
            error if error.is_denial() => FaultKind::Closed,
            KeyError::Tampered { .. } | KeyError::Material { .. } => FaultKind::Unreadable,
            _ => return Stop::Failed(error.into()),
        };
        self.noted(kind, &error.to_string())
    }

    fn stop(&self, error: DataFusionError) -> Stop {
        Stop::Failed(VerifyError::Broken {
            path: self.file.path().clone(),
            reason: error.strip_backtrace(),
        })
    }
}

/// What every row of a file is checked for.
struct RowChecks {
    order: RowOrder,
    /// The patient id's position; none in an unsharded table.
    patient: Option<usize>,
    /// Other columns without NULL.
    filled: Vec<usize>,
}

impl RowChecks {
    fn batch(&mut self, batch: &RecordBatch, file: &mut FileCheck) -> Result<(), ArrowError> {
        let table = Arc::clone(&file.table);
        let name = |at: usize| Some(table.schema().field(at).name().as_str());
        if let Some(patient) = self.patient {
            let ids = batch.column(patient);
            file.rows(
                FaultKind::NoPatient,
                name(patient),
                "a row has no patient id",
                &nulls(ids),
            );
            let elsewhere = elsewhere(ids, &table, file.file.shard().unwrap_or(0))?;
            file.rows(
                FaultKind::WrongShard,
                None,
                "a row's patient belongs to another shard",
                &elsewhere,
            );
        }
        for at in &self.filled {
            let missing = nulls(batch.column(*at));
            file.rows(
                FaultKind::Null,
                name(*at),
                "a row has NULL where the table has none",
                &missing,
            );
        }
        let breaks = self.order.breaks(batch)?;
        file.rows(
            FaultKind::OutOfOrder,
            None,
            "a row is smaller than the row before it",
            &breaks,
        );
        Ok(())
    }
}

fn nulls(column: &ArrayRef) -> Vec<usize> {
    match column.null_count() {
        0 => Vec::new(),
        _ => (0..column.len()).filter(|row| column.is_null(*row)).collect(),
    }
}

/// The rows whose id lies before the shard's first point or not before its end. NULL lies nowhere.
fn elsewhere(ids: &ArrayRef, table: &TableSnapshot, shard: usize) -> Result<Vec<usize>, ArrowError> {
    let points = table.splits().points();
    let mut rows = Vec::new();
    if let Some(start) = shard.checked_sub(1).and_then(|before| points.get(before)) {
        rows.extend(where_true(&cmp::lt(ids, &scalar(start)?)?));
    }
    if let Some(end) = points.get(shard) {
        rows.extend(where_true(&cmp::gt_eq(ids, &scalar(end)?)?));
    }
    rows.sort_unstable();
    Ok(rows)
}

fn where_true(rows: &BooleanArray) -> impl Iterator<Item = usize> {
    (0..rows.len()).filter(|row| rows.is_valid(*row) && rows.value(*row))
}

fn scalar(point: &ScalarValue) -> Result<Scalar<ArrayRef>, ArrowError> {
    point
        .to_scalar()
        .map_err(|error| ArrowError::ComputeError(error.to_string()))
}

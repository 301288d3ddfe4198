//! Reports of loads, kept with the version that a load created: rows of a table of the dataset that no query sees. So they
//! are encrypted as all others, under the key of class `identity`, move to new master keys with them, and go with their
//! version.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::TryStreamExt;
use parcours_keys::{ColumnClass, KeyService};
use url::Url;

use super::options::NoProgress;
use super::sort::sort_error;
use super::{LoadError, LoadOptions, LoadReport, Writing};
use crate::delta::{CLASS_METADATA, LoggedFile};
use crate::reread::Reread;
use crate::snapshot::{DataFile, Snapshot};
use crate::store::Stores;
use crate::version::{Origin, TableVersion};
use crate::writing::commit::{NewTable, commit_table};
use crate::writing::shape::TableShape;
use crate::writing::write::{FileLitter, TableWriter};

/// The table that reports are kept in: a name that no description can give.
pub(crate) const REPORTS: &str = "_loads";

/// Whether a table holds what loads keep of themselves, and is shown to nobody: no description can give such a name.
pub(crate) fn is_of_loads(table: &str) -> bool {
    table.starts_with('_')
}

/// A column of a table that no query sees.
pub(super) fn classed(name: &str, data_type: DataType, class: ColumnClass, nullable: bool) -> Field {
    let metadata = HashMap::from([(CLASS_METADATA.to_owned(), class.as_str().to_owned())]);
    Field::new(name, data_type, nullable).with_metadata(metadata)
}

/// A table that no query sees.
pub(super) fn shape(name: String, columns: Vec<Field>) -> TableShape {
    TableShape {
        name,
        schema: Arc::new(Schema::new(columns)),
        patient: None,
        order: Vec::new(),
    }
}

fn reports_shape() -> TableShape {
    let columns = vec![
        classed("version", DataType::Int64, ColumnClass::Plain, false),
        classed("report", DataType::Utf8, ColumnClass::Identity, false),
    ];
    shape(REPORTS.to_owned(), columns)
}

impl Writing<'_> {
    /// Writes a report down, to be kept from version `number` on.
    pub(super) async fn keep(
        &self,
        report: &LoadReport,
        number: u64,
        litter: &mut FileLitter,
    ) -> Result<TableVersion, LoadError> {
        let file = self.write_report(report, number, litter).await?;
        let before = self.plan.base.as_ref().and_then(|base| base.table(REPORTS));
        let before = before.map(|table| table.files()).unwrap_or_default();
        let files: Vec<LoggedFile> = before.iter().map(|file| file.logged().clone()).chain([file]).collect();
        let table = NewTable {
            shape: &reports_shape(),
            files: &files,
            origin: Origin::default(),
        };
        commit_table(self.place.root, self.place.splits, table).await
    }

    async fn write_report(
        &self,
        report: &LoadReport,
        number: u64,
        litter: &mut FileLitter,
    ) -> Result<LoggedFile, LoadError> {
        let shape = reports_shape();
        let failed = |reason: String| LoadError::Write {
            path: self.place.root.table_path(REPORTS),
            reason,
        };
        let text = serde_json::to_string(report).map_err(|error| failed(error.to_string()))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![number as i64])),
            Arc::new(StringArray::from(vec![text])),
        ];
        let row =
            RecordBatch::try_new(Arc::clone(&shape.schema), columns).map_err(|error| failed(error.to_string()))?;
        self.write_kept(&shape, &row, litter).await
    }

    /// Writes rows of a table that no query sees into a file of their own.
    pub(super) async fn write_kept(
        &self,
        shape: &TableShape,
        rows: &RecordBatch,
        litter: &mut FileLitter,
    ) -> Result<LoggedFile, LoadError> {
        let options = LoadOptions {
            progress: Arc::new(NoProgress),
            ..self.place.options.clone()
        };
        let writer = TableWriter::new(self.place.root, shape, self.place.keys, &options);
        let mut file = writer.open(None, litter).await?;
        match file.write(rows).await {
            Ok(()) => file.finish().await,
            Err(error) => {
                file.abort().await;
                Err(error)
            }
        }
    }
}

/// The reports of the loads that made `dataset` what it is at `version`, or at its newest, newest first. Versions that were
/// loaded before reports were kept have none.
///
/// # Errors
/// [`LoadError`] where the version, the keys or the store fail.
pub async fn reports(
    into: &Url,
    dataset: &str,
    version: Option<u64>,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
) -> Result<Vec<LoadReport>, LoadError> {
    let snapshot = Snapshot::open(into, dataset, version, stores).await?;
    let Some(table) = snapshot.table(REPORTS) else {
        return Ok(Vec::new());
    };
    let failed = |error| sort_error(REPORTS, error);
    let files: Vec<&DataFile> = table.files().iter().collect();
    let rows = Reread::new(dataset, stores, keys).map_err(failed)?;
    let mut rows = rows.merged(table, &files).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        let (versions, texts) = (batch.column(0), batch.column(1));
        for (row, version) in versions.as_primitive::<Int64Type>().values().iter().enumerate() {
            let report = serde_json::from_str(texts.as_string::<i32>().value(row));
            found.push((
                *version,
                report.map_err(|error| failed(datafusion::error::DataFusionError::External(Box::new(error))))?,
            ));
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok(found.into_iter().map(|(_, report)| report).collect())
}

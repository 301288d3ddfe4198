//! How many patients a load brings rows of, and how many of them the dataset knew: the patient ids that were just written
//! are held against those of the version before, shard by shard, so that the patients of one shard are in memory at a time.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use futures::TryStreamExt;
use object_store::path::Path;

use super::profile::{Bits, bits_of};
use super::publish::WrittenTable;
use super::report::PatientsReport;
use super::sort::sort_error;
use super::{LoadError, Place, Writing};
use crate::provider::{named, partitioned};
use crate::reread::{Column, Reread};

/// Counts the patients of what was `written`.
pub(super) async fn count(writing: &Writing<'_>, written: &[WrittenTable]) -> Result<PatientsReport, LoadError> {
    let failed = |error| sort_error("", error);
    let Place { root, stores, keys, .. } = writing.place;
    let rows = Reread::new(&root.dataset, stores, keys).map_err(failed)?;
    let mut report = PatientsReport::default();
    for shard in 0..writing.plan.shards {
        let brought = patients(&rows, new_columns(writing, written, shard)?)
            .await
            .map_err(failed)?;
        if brought.is_empty() {
            continue;
        }
        let before = patients(&rows, columns_before(writing, shard)).await.map_err(failed)?;
        let known = brought.intersection(&before).count() as u64;
        report.known += known;
        report.new += brought.len() as u64 - known;
    }
    Ok(report)
}

/// The patient ids that were written into a shard.
fn new_columns<'a>(
    writing: &'a Writing<'_>,
    written: &[WrittenTable],
    shard: usize,
) -> Result<Vec<Column<'a>>, LoadError> {
    let Place { root, stores, .. } = writing.place;
    let store = stores
        .object_store_url(&root.url)
        .map_err(crate::snapshot::SnapshotError::from)?;
    let mut columns = Vec::new();
    for table in &writing.plan.tables {
        let (Some(patient), Some(written)) = (
            table.shape.patient(),
            written.iter().find(|written| written.name == table.name()),
        ) else {
            continue;
        };
        let folder = root.table_path(table.name());
        let files = written.files.iter().filter(|file| file.shard == Some(shard));
        let files =
            files.filter_map(|file| Some(named(Path::parse(format!("{folder}/{}", file.path)).ok()?, file.size)));
        columns.push(Column {
            store: store.clone(),
            schema: &table.shape.schema,
            files: files.collect::<Vec<PartitionedFile>>(),
            name: patient,
        });
    }
    Ok(columns)
}

/// The patient ids that the version before has in a shard.
fn columns_before<'a>(writing: &'a Writing<'_>, shard: usize) -> Vec<Column<'a>> {
    let tables = writing.plan.base.iter().flat_map(|base| base.tables());
    let column = |table: &'a Arc<crate::TableSnapshot>| {
        let files = table.files().iter().filter(|file| file.shard() == Some(shard));
        Some(Column {
            store: table.store().clone(),
            schema: table.schema(),
            files: files.map(partitioned).collect(),
            name: table.patient_id()?,
        })
    };
    tables.filter_map(column).collect()
}

/// The values of these columns.
async fn patients(rows: &Reread, columns: Vec<Column<'_>>) -> Result<HashSet<Bits>> {
    let mut patients = HashSet::new();
    for column in columns.into_iter().filter(|column| !column.files.is_empty()) {
        let mut ids = rows.values(column)?;
        while let Some(batch) = ids.try_next().await? {
            patients.extend(bits_of(batch.columns())?);
        }
    }
    Ok(patients)
}

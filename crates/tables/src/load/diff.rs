//! What a load would do: which sources are new, changed or gone, how their values would be read otherwise than before, and
//! which columns are others. Reads sources to digest them; needs no key, and writes nothing.

use std::sync::Arc;

use serde::Serialize;
use url::Url;

use super::draft::{Draft, Drafts};
use super::growth::Change;
use super::{LoadError, LoadOptions, plan};
use crate::snapshot::DatasetRoot;
use crate::spec::Dataset;
use crate::store::Stores;
use crate::version::SourceRecord;

/// What a load of a description would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetDiff {
    /// The dataset.
    pub dataset: String,
    /// The version that it would build on; none at the first load.
    pub version: Option<u64>,
    /// The tables of the description.
    pub tables: Vec<TableDiff>,
}

/// What a load would do to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDiff {
    /// The table.
    pub table: String,
    /// URLs of sources that would be loaded.
    pub new_sources: Vec<String>,
    /// Sources that were loaded before, and would not be read again.
    pub known_sources: usize,
    /// URLs of sources that have other bytes than when they were loaded.
    pub changed_sources: Vec<String>,
    /// URLs of sources that were loaded and are no longer there.
    pub missing_sources: Vec<String>,
    /// Rows of known sources that were set aside as bad ones: `--replace` tries them again.
    pub set_aside: u64,
    /// What the description says otherwise of values than when they were loaded, such as `csv.null`.
    pub reading: Vec<String>,
    /// What is different about columns, in words.
    pub columns: Vec<String>,
    /// Whether the load would be refused without `--replace`.
    pub needs_replace: bool,
}

/// Says what loading `dataset` into the folder `into` would do.
///
/// # Errors
/// [`LoadError`] where sources or the version before cannot be read.
pub async fn diff(
    dataset: &Dataset,
    into: &Url,
    stores: &Arc<Stores>,
    options: &LoadOptions,
) -> Result<DatasetDiff, LoadError> {
    let root = DatasetRoot::new(into, &dataset.name, stores)?;
    let (base, found) = plan::drafts(dataset, into, stores, options).await?;
    let drafts = Drafts::new(&dataset.patient_id, options, &found);
    let tables = found.iter().map(|draft| of_table(&drafts, draft));
    Ok(DatasetDiff {
        dataset: root.dataset.clone(),
        version: base.map(|base| base.version()),
        tables: tables.collect::<Result<_, _>>()?,
    })
}

fn of_table(drafts: &Drafts<'_>, draft: &Draft<'_>) -> Result<TableDiff, LoadError> {
    let paths = |records: Vec<&SourceRecord>| records.iter().map(|record| record.path.clone()).collect::<Vec<_>>();
    let changes = drafts.column_changes(draft)?;
    let sources = draft.beside_known();
    let new = sources.beside(&draft.known.sources);
    let (changed, reading) = (sources.changed(), draft.reading_changes());
    Ok(TableDiff {
        table: draft.table.name.clone(),
        known_sources: draft.sources.len() - new.len(),
        new_sources: new.iter().map(|(file, _)| file.url.to_string()).collect(),
        needs_replace: !changed.is_empty() || reading.is_some() || !changes.iter().all(Change::is_growth),
        changed_sources: paths(changed),
        missing_sources: paths(sources.missing()),
        set_aside: draft.known.sources.iter().map(|record| record.rejected).sum(),
        reading: reading.map(|(_, changes)| changes).unwrap_or_default(),
        columns: changes.iter().map(Change::to_string).collect(),
    })
}

//! The last step of a load: every table's new version is committed, then the one create makes everything visible. What a
//! crash between them leaves, and what two loads at once do, is told in `writing/commit.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Utc;

use super::kept::REPORTS;
use super::options::Rejects;
use super::plan::{LoadPlan, TablePlan};
use super::report::{self, ColumnReport};
use super::{LoadError, LoadReport, Place, Step, Writing, patients};
use crate::delta::LoggedFile;
use crate::snapshot::DatasetRoot;
use crate::splits::Splits;
use crate::version::{self, DatasetVersion, SplitSet, TableVersion};
use crate::writing::commit::{NewTable, commit_table, create_version};
use crate::writing::write::FileLitter;

/// A table whose files are all safely in the store, and what was seen of their rows.
#[derive(Default)]
pub(super) struct WrittenTable {
    pub(super) name: String,
    pub(super) files: Vec<LoggedFile>,
    /// Rows of each source that were read and were no bad ones by themselves.
    pub(super) read: BTreeMap<String, u64>,
    pub(super) columns: Vec<ColumnReport>,
    pub(super) repeated: u64,
}

pub(super) async fn publish(
    writing: &Writing<'_>,
    written: Vec<WrittenTable>,
    litter: &mut FileLitter,
) -> Result<LoadReport, LoadError> {
    let Writing { place, plan, rejects } = writing;
    let Place { root, splits, .. } = place;
    rejects.finish()?;
    place.options.progress.step(&Step::Publish);
    let patients = patients::count(writing, &written).await?;
    let number = plan.base.as_ref().map_or(1, |base| base.version() + 1);
    let mut written: HashMap<String, WrittenTable> =
        written.into_iter().map(|table| (table.name.clone(), table)).collect();
    let of_table = |table: &TablePlan| report::of_table(table, written.get(table.name()), rejects);
    let report = LoadReport {
        dataset: root.dataset.clone(),
        created: Some(number),
        version: Some(number),
        tables: plan.tables.iter().map(of_table).collect(),
        rejected: rejects.total(),
        patients,
    };
    let mut tables = plan
        .base
        .as_ref()
        .map(|base| base.record().tables.clone())
        .unwrap_or_default();
    for table in &plan.tables {
        if let Some(written) = written.remove(table.name()) {
            let entry = commit(root, splits, table, written.files, number, rejects).await?;
            tables.insert(table.name().to_string(), entry);
        }
    }
    writing.keep_rejects(number, &mut tables, litter).await?;
    tables.insert(REPORTS.to_owned(), writing.keep(&report, number, litter).await?);
    create_version(root, &record(plan, splits, number, tables)).await?;
    Ok(report)
}

async fn commit(
    root: &DatasetRoot,
    splits: &Splits,
    table: &TablePlan,
    added: Vec<LoggedFile>,
    number: u64,
    rejects: &Rejects,
) -> Result<TableVersion, LoadError> {
    let mut files = table.kept_files.clone();
    files.extend(added.into_iter().map(|file| LoggedFile {
        loads: BTreeSet::from([number]),
        ..file
    }));
    let table = NewTable {
        shape: &table.shape,
        files: &files,
        origin: table.origin(number, rejects),
    };
    commit_table(root, splits, table).await
}

fn record(plan: &LoadPlan, splits: &Splits, number: u64, tables: BTreeMap<String, TableVersion>) -> DatasetVersion {
    DatasetVersion {
        format: version::format(),
        version: number,
        previous: plan.base.as_ref().map(|base| base.version()),
        created: Utc::now(),
        dataset: plan.dataset.clone(),
        patient_id: plan.patient_id.clone(),
        shards: splits.shards(),
        splits: SplitSet::of(splits),
        schema_digest: plan.schema_digest(),
        tables,
    }
}

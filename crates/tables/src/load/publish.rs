//! The last step of a load: every table's new version is committed, then the one create makes everything visible. What a
//! crash between them leaves, and what two loads at once do, is told in `writing/commit.rs`.

use std::collections::BTreeMap;

use chrono::Utc;

use super::options::Rejects;
use super::plan::{LoadPlan, TablePlan};
use super::{LoadError, LoadOptions, LoadReport, Step};
use crate::delta::LoggedFile;
use crate::snapshot::DatasetRoot;
use crate::splits::Splits;
use crate::version::{self, DatasetVersion, SplitSet, TableVersion};
use crate::writing::commit::{NewTable, commit_table, create_version};

/// A table whose files are all safely in the store.
pub(super) struct WrittenTable {
    pub(super) name: String,
    pub(super) files: Vec<LoggedFile>,
}

pub(super) async fn publish(
    root: &DatasetRoot,
    plan: &LoadPlan,
    splits: &Splits,
    written: Vec<WrittenTable>,
    options: &LoadOptions,
    rejects: &Rejects,
) -> Result<LoadReport, LoadError> {
    options.progress.step(&Step::Publish);
    rejects.finish()?;
    let number = plan.base.as_ref().map_or(1, |base| base.version() + 1);
    let mut tables = plan
        .base
        .as_ref()
        .map(|base| base.record().tables.clone())
        .unwrap_or_default();
    let mut added: BTreeMap<String, Vec<LoggedFile>> = written.into_iter().map(|t| (t.name, t.files)).collect();
    let mut reports = Vec::new();
    for table in &plan.tables {
        let files = added.remove(table.name());
        reports.push(table.report(files.as_deref().unwrap_or_default()));
        if let Some(files) = files {
            let entry = commit(root, splits, table, files, number, rejects).await?;
            tables.insert(table.name().to_string(), entry);
        }
    }
    create_version(root, &record(plan, splits, number, tables)).await?;
    let (dataset, rejected) = (root.dataset.clone(), rejects.total());
    Ok(LoadReport {
        dataset,
        created: Some(number),
        version: Some(number),
        tables: reports,
        rejected,
    })
}

async fn commit(
    root: &DatasetRoot,
    splits: &Splits,
    table: &TablePlan,
    added: Vec<LoggedFile>,
    number: u64,
    rejects: &Rejects,
) -> Result<TableVersion, LoadError> {
    let mut files = table.kept_files();
    files.extend(added);
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

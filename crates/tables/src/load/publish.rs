//! The last steps of a load: Delta commits table by table, then the one create that makes everything visible.
//!
//! A crash between two of these leaves Delta versions that no dataset version names. They are invisible, and the next
//! commit to such a table writes the difference from the log's tip to what its version must hold, which removes their
//! files from the log. Of two loads at once one creates the version; the other is told so and removes its files.

use std::collections::BTreeMap;

use chrono::Utc;

use super::options::Rejects;
use super::plan::{LoadPlan, TablePlan};
use super::{LoadError, LoadOptions, LoadReport, Step};
use crate::delta::{Desired, LoggedFile};
use crate::snapshot::DatasetRoot;
use crate::splits::Splits;
use crate::version::{self, DatasetVersion, SourceRecord, SplitSet, TableVersion};

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
            let entry = commit_table(root, plan, splits, table, files, number).await?;
            tables.insert(table.name().to_string(), entry);
        }
    }
    root.log().create(&record(plan, splits, number, tables)).await?;
    if let Err(error) = root.sync(&root.log().path(number)).await {
        tracing::warn!(dataset = %root.dataset, version = number, %error, "version created but not flushed to disk");
    }
    tracing::info!(dataset = %root.dataset, version = number, "dataset version created");
    let (dataset, rejected) = (root.dataset.clone(), rejects.total());
    Ok(LoadReport {
        dataset,
        created: Some(number),
        version: Some(number),
        tables: reports,
        rejected,
    })
}

async fn commit_table(
    root: &DatasetRoot,
    plan: &LoadPlan,
    splits: &Splits,
    table: &TablePlan,
    added: Vec<LoggedFile>,
    number: u64,
) -> Result<TableVersion, LoadError> {
    let mut files = table.kept_files();
    files.extend(added);
    let properties = properties(plan, splits, table);
    let desired = Desired {
        schema: &table.schema,
        sharded: table.spec.sharded,
        files: &files,
        properties: &properties,
    };
    let log = root.delta(table.name());
    let tip = log.tip().await?;
    let delta_version = log.commit(tip.as_ref(), &desired).await?;
    root.sync(
        &root
            .table_path(table.name())
            .join("_delta_log")
            .join(format!("{delta_version:020}.json")),
    )
    .await?;
    let loaded = table.new.iter().map(|(file, sha256)| SourceRecord {
        path: file.url.to_string(),
        sha256: sha256.clone(),
        version: number,
    });
    Ok(TableVersion {
        delta_version,
        sharded: table.spec.sharded,
        order: table.spec.order.clone(),
        rows: files.iter().map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.size).sum(),
        files: files.len() as u64,
        sources: table.kept.iter().cloned().chain(loaded).collect(),
    })
}

/// The dataset's properties, kept with each Delta table so that it explains itself to other readers.
fn properties(plan: &LoadPlan, splits: &Splits, table: &TablePlan) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::from([
        // Dataset versions refer to exact Delta versions: nobody may clean the log up.
        ("delta.enableExpiredLogCleanup".to_string(), "false".to_string()),
        ("parcours.dataset".to_string(), plan.dataset.clone()),
        ("parcours.order".to_string(), table.sorted_by().join(",")),
    ]);
    if table.spec.sharded {
        properties.insert("parcours.patient_id".to_string(), plan.patient_id.clone());
        properties.insert("parcours.shards".to_string(), splits.shards().to_string());
        properties.insert("parcours.split_version".to_string(), splits.version().to_string());
    }
    properties
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

//! The last steps of whatever writes: Delta commits table by table, then the one create that makes everything visible.
//!
//! A crash between two of these leaves Delta versions that no dataset version names. They are invisible, and the next
//! commit to such a table writes the difference from the log's tip to what its version must hold, which removes their
//! files from the log. Of two writers at once one creates the version; the other is told so and removes its files.

use std::collections::BTreeMap;

use super::shape::TableShape;
use crate::delta::{Desired, LoggedFile};
use crate::load::LoadError;
use crate::snapshot::DatasetRoot;
use crate::splits::Splits;
use crate::version::{DatasetVersion, Origin, TableVersion};

/// A table as its next version must have it.
pub(crate) struct NewTable<'a> {
    pub(crate) shape: &'a TableShape,
    /// Every file, old and new.
    pub(crate) files: &'a [LoggedFile],
    /// Where their rows come from.
    pub(crate) origin: Origin,
}

/// Commits a table's files to its Delta log, which nobody sees until a dataset version names the commit.
pub(crate) async fn commit_table(
    root: &DatasetRoot,
    splits: &Splits,
    table: NewTable<'_>,
) -> Result<TableVersion, LoadError> {
    let NewTable { shape, files, origin } = table;
    let properties = properties(root, splits, shape);
    let desired = Desired {
        schema: &shape.schema,
        sharded: shape.patient.is_some(),
        files,
        properties: &properties,
    };
    let log = root.delta(&shape.name);
    let tip = log.tip().await?;
    let delta_version = log.commit(tip.as_ref(), &desired).await?;
    let folder = root.table_path(&shape.name).join("_delta_log");
    root.sync(&folder.join(format!("{delta_version:020}.json"))).await?;
    Ok(TableVersion {
        delta_version,
        sharded: shape.patient.is_some(),
        order: shape.order.clone(),
        rows: files.iter().map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.size).sum(),
        files: files.len() as u64,
        sources: origin.sources,
        readings: origin.readings,
    })
}

/// Makes a version visible to readers.
pub(crate) async fn create_version(root: &DatasetRoot, record: &DatasetVersion) -> Result<(), LoadError> {
    let number = record.version;
    root.log().create(record).await?;
    if let Err(error) = root.sync(&root.log().path(number)).await {
        tracing::warn!(dataset = %root.dataset, version = number, %error, "version created but not flushed to disk");
    }
    tracing::info!(dataset = %root.dataset, version = number, "dataset version created");
    Ok(())
}

/// The dataset's properties, kept with each Delta table so that it explains itself to other readers.
fn properties(root: &DatasetRoot, splits: &Splits, shape: &TableShape) -> BTreeMap<String, String> {
    let order: Vec<&str> = shape.sorted_by().collect();
    let mut properties = BTreeMap::from([
        // Dataset versions refer to exact Delta versions: nobody may clean the log up.
        ("delta.enableExpiredLogCleanup".to_string(), "false".to_string()),
        ("parcours.dataset".to_string(), root.dataset.clone()),
        ("parcours.order".to_string(), order.join(",")),
    ]);
    if let Some(patient) = &shape.patient {
        properties.insert("parcours.patient_id".to_string(), patient.clone());
        properties.insert("parcours.shards".to_string(), splits.shards().to_string());
        properties.insert("parcours.split_version".to_string(), splits.version().to_string());
    }
    properties
}

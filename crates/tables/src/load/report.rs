//! What a load did, for people and for scripts.

use serde::Serialize;

use super::plan::LoadPlan;

/// What a load did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// The dataset.
    pub dataset: String,
    /// The version created; none when nothing was new.
    pub created: Option<u64>,
    /// The version readers see now; none when nothing was ever loaded.
    pub version: Option<u64>,
    /// The tables of the description.
    pub tables: Vec<TableReport>,
    /// Bad rows set aside.
    pub rejected: u64,
}

/// What a load did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The table.
    pub name: String,
    /// Sources loaded now.
    pub loaded: usize,
    /// Sources skipped, because their bytes were loaded before.
    pub skipped: usize,
    /// Rows added.
    pub rows: u64,
    /// Files added.
    pub files: usize,
    /// Bytes added.
    pub bytes: u64,
    /// Whether the table was built anew.
    pub replaced: bool,
}

pub(super) fn nothing_new(plan: &LoadPlan) -> LoadReport {
    LoadReport {
        dataset: plan.dataset.clone(),
        created: None,
        version: plan.base.as_ref().map(|base| base.version()),
        tables: plan.tables.iter().map(|table| table.report(&[])).collect(),
        rejected: 0,
    }
}

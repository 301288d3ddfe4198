//! What a load did, for people and for scripts: the report that a data manager signs for. No value of a patient stands in
//! it; [`kept`](super::kept) keeps it with the version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::Rejects;
use super::plan::{LoadPlan, TablePlan};
use super::publish::WrittenTable;
use super::sources::Source;
use crate::source::Reason;

/// What a load did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The patients of whom it brought rows.
    pub patients: PatientsReport,
}

impl LoadReport {
    /// The same without the least and greatest values of columns.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for column in self.tables.iter_mut().flat_map(|table| &mut table.columns) {
            (column.least, column.greatest) = (None, None);
        }
        self
    }
}

/// The patients of whom a load brought rows, of all tables together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientsReport {
    /// Those of whom the version before had none.
    pub new: u64,
    /// The others.
    pub known: u64,
}

/// What a load did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether rows were built anew from their sources.
    pub replaced: bool,
    /// Sources that were no longer there then, and whose rows stayed.
    #[serde(default)]
    pub archived: Vec<String>,
    /// Rows that earlier loads set aside, and that are not tried again.
    #[serde(default)]
    pub set_aside_before: u64,
    /// Of the rows added, those that are equal to another one in every column: two equal rows are one of them.
    pub repeated: u64,
    /// The sources loaded now.
    pub sources: Vec<SourceReport>,
    /// The table's columns, as the rows added have them.
    pub columns: Vec<ColumnReport>,
}

/// What a load read of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its URL.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Rows in it.
    pub read: u64,
    /// Rows added.
    pub loaded: u64,
    /// Rows set aside, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// What the rows added have in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Its Arrow type.
    pub data_type: String,
    /// Rows in which it is NULL.
    pub nulls: u64,
    /// Its least value. None where all are NULL, and of a column of another class than `plain`.
    pub least: Option<String>,
    /// Its greatest value, likewise.
    pub greatest: Option<String>,
}

/// What was done to a table; `written` is what was added to it.
pub(super) fn of_table(table: &TablePlan, written: Option<&WrittenTable>, rejects: &Rejects) -> TableReport {
    let files = written.map(|written| written.files.as_slice()).unwrap_or_default();
    TableReport {
        name: table.name().to_string(),
        loaded: table.new.len(),
        skipped: table.skipped,
        rows: files.iter().map(|file| file.rows).sum(),
        files: files.len(),
        bytes: files.iter().map(|file| file.size).sum(),
        replaced: table.replace,
        archived: table.archived.clone(),
        set_aside_before: table.kept.sources.iter().map(|source| source.rejected).sum(),
        repeated: written.map_or(0, |written| written.repeated),
        sources: written
            .map(|written| sources(table, written, rejects))
            .unwrap_or_default(),
        columns: written.map(|written| written.columns.clone()).unwrap_or_default(),
    }
}

fn sources(table: &TablePlan, written: &WrittenTable, rejects: &Rejects) -> Vec<SourceReport> {
    let source = |(file, print): &Source| {
        let path = file.url.to_string();
        let reasons = rejects.reasons(&path);
        // A row without a parent is found to be bad after it was read; others never come out of their source.
        let orphans = reasons.get(&Reason::NoParent).copied().unwrap_or_default();
        let read = written.read.get(&path).copied().unwrap_or_default();
        SourceReport {
            path,
            sha256: print.sha256.clone(),
            read: read + reasons.values().sum::<u64>() - orphans,
            loaded: read - orphans.min(read),
            rejected: reasons
                .into_iter()
                .map(|(reason, rows)| (reason.to_string(), rows))
                .collect(),
        }
    };
    table.new.iter().map(source).collect()
}

pub(super) fn nothing_new(plan: &LoadPlan) -> LoadReport {
    let none = Rejects::none();
    LoadReport {
        dataset: plan.dataset.clone(),
        created: None,
        version: plan.base.as_ref().map(|base| base.version()),
        tables: plan.tables.iter().map(|table| of_table(table, None, &none)).collect(),
        rejected: 0,
        patients: PatientsReport::default(),
    }
}

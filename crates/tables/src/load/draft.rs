//! What happens to each table of a load: which of its sources are new, whether it is built anew, and which columns it has, in
//! view of what was loaded before and of the table that it is flattened with.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::flatten::FlattenPlan;
use super::growth::{self, Change};
use super::plan::TablePlan;
use super::{LoadError, LoadOptions};
use crate::snapshot::TableSnapshot;
use crate::source::{self, SourceFile};
use crate::spec::{Reading, SpecFault, Table};
use crate::version::{Origin, SourceRecord};
use crate::writing::shape::TableShape;

/// A table, and what is known of it before it is decided what happens to it.
pub(super) struct Draft<'a> {
    pub(super) table: &'a Table,
    /// What its sources are read as.
    pub(super) schema: SchemaRef,
    /// The sources there are now, with their digests.
    pub(super) sources: Vec<(SourceFile, String)>,
    /// How they are read.
    pub(super) reading: Reading,
    /// The sources loaded before, and how they were read.
    pub(super) known: Origin,
    /// The table as it was before.
    pub(super) before: Option<Arc<TableSnapshot>>,
}

/// The tables of a description, which depend on each other where one is flattened with another.
pub(super) struct Drafts<'a> {
    patient_id: &'a str,
    options: &'a LoadOptions,
    drafts: &'a [Draft<'a>],
}

impl<'a> Drafts<'a> {
    pub(super) fn new(patient_id: &'a str, options: &'a LoadOptions, drafts: &'a [Draft<'a>]) -> Self {
        Self {
            patient_id,
            options,
            drafts,
        }
    }

    pub(super) fn plans(&self) -> Result<Vec<TablePlan>, LoadError> {
        self.drafts.iter().map(|draft| self.plan(draft)).collect()
    }

    fn plan(&self, draft: &Draft<'_>) -> Result<TablePlan, LoadError> {
        let replace = self.replaces(draft)?;
        if replace && !self.options.forget_missing {
            draft.check_nothing_is_missing()?;
        }
        let kept = if replace {
            Origin::default()
        } else {
            draft.known.clone()
        };
        let new: Vec<_> = draft.new_sources(&kept).cloned().collect();
        let (shape, flatten) = self.shape(draft)?;
        let files = draft
            .before
            .iter()
            .filter(|_| !replace)
            .flat_map(|before| before.files());
        Ok(TablePlan {
            spec: draft.table.clone(),
            source_schema: Arc::clone(&draft.schema),
            flatten,
            skipped: draft.sources.len() - new.len(),
            new,
            reading: draft.reading.clone(),
            kept,
            kept_files: files.map(|file| file.logged().clone()).collect(),
            grows: !replace
                && draft
                    .before
                    .as_ref()
                    .is_some_and(|before| *before.schema() != shape.schema),
            shape,
            before: draft.before.clone(),
            replace,
        })
    }

    /// Whether the table is built anew: a source of it has changed, or how they are read, or a column otherwise than by
    /// growing, or the table that its patients come from; or rows were set aside and are tried again.
    fn replaces(&self, draft: &Draft<'_>) -> Result<bool, LoadError> {
        let main = draft
            .table
            .flatten
            .as_ref()
            .and_then(|flatten| self.draft(&flatten.with));
        let of_main = main.map_or(Ok(false), |main| self.replaces(main))?;
        let changed = draft.source_changed().or_else(|| draft.reading_changed());
        let changed = match changed {
            None => self.columns_changed(draft)?,
            changed => changed,
        };
        match (changed, self.options.replace) {
            (Some(change), false) => Err(change),
            (changed, replace) => {
                let again = replace && draft.known.sources.iter().any(|record| record.rejected > 0);
                Ok(changed.is_some() || again || of_main)
            }
        }
    }

    /// What is different about the table's columns.
    pub(super) fn column_changes(&self, draft: &Draft<'_>) -> Result<Vec<Change>, LoadError> {
        let Some(before) = &draft.before else {
            return Ok(Vec::new());
        };
        let (shape, _) = self.shape(draft)?;
        let taken = draft.table.flatten.as_ref().map(|flatten| flatten.columns.as_slice());
        Ok(growth::changes(
            before.schema(),
            &shape.schema,
            taken.unwrap_or_default(),
        ))
    }

    /// Columns that have not only grown.
    fn columns_changed(&self, draft: &Draft<'_>) -> Result<Option<LoadError>, LoadError> {
        let changes = self.column_changes(draft)?;
        let others = changes.iter().filter(|change| !change.is_growth());
        let changes: Vec<String> = others.map(Change::to_string).collect();
        Ok((!changes.is_empty()).then(|| LoadError::ColumnsChanged {
            table: draft.table.name.clone(),
            changes,
        }))
    }

    fn draft(&self, name: &str) -> Option<&Draft<'_>> {
        self.drafts.iter().find(|draft| draft.table.name == name)
    }

    fn shape(&self, draft: &Draft<'_>) -> Result<(TableShape, Option<FlattenPlan>), LoadError> {
        let table = draft.table;
        let mut shape = TableShape {
            name: table.name.clone(),
            schema: Arc::clone(&draft.schema),
            patient: table
                .patient_column()
                .filter(|_| table.sharded)
                .map(|column| column.name.clone()),
            order: table.order.clone(),
        };
        let Some(flatten) = &table.flatten else {
            return Ok((shape, None));
        };
        let main = self.draft(&flatten.with).ok_or_else(|| {
            let (table, with) = (table.name.clone(), flatten.with.clone());
            source::SourceError::from(SpecFault::FlattenUnknown { table, with })
        })?;
        let flattened = FlattenPlan::new(table, flatten, &draft.schema, &main.schema, self.patient_id)?;
        shape.schema = flattened.schema(&draft.schema, &main.schema);
        shape.patient = Some(self.patient_id.to_owned());
        Ok((shape, Some(flattened)))
    }
}

impl Draft<'_> {
    /// The sources that are not among those of `kept`. A copy of what an earlier load read is known by its bytes; two equal
    /// files of one load are two files.
    pub(super) fn new_sources<'b>(&'b self, kept: &'b Origin) -> impl Iterator<Item = &'b (SourceFile, String)> {
        let is_known = |sha256: &String| kept.sources.iter().any(|record| record.sha256 == *sha256);
        self.sources.iter().filter(move |(_, sha256)| !is_known(sha256))
    }

    /// The sources that were loaded under their paths with other bytes.
    pub(super) fn changed_sources(&self) -> Vec<&SourceRecord> {
        let known = &self.known.sources;
        let of_path =
            |(file, _): &(SourceFile, String)| known.iter().rev().find(|record| record.path == file.url.as_str());
        self.new_sources(&self.known).filter_map(of_path).collect()
    }

    fn source_changed(&self) -> Option<LoadError> {
        let record = *self.changed_sources().first()?;
        Some(LoadError::SourceChanged {
            table: self.table.name.clone(),
            path: record.path.clone(),
            version: record.version,
        })
    }

    /// What the description says otherwise of values than when a source was loaded, and the version that loaded it.
    pub(super) fn reading_changes(&self) -> Option<(u64, Vec<String>)> {
        let now = self.reading.digest();
        let mut others = self.known.sources.iter().filter_map(|record| {
            let reading = record.reading.as_ref().filter(|reading| **reading != now)?;
            let before = self.known.readings.get(reading)?;
            Some((record.version, self.reading.changes_from(before)))
        });
        others.find(|(_, changes)| !changes.is_empty())
    }

    fn reading_changed(&self) -> Option<LoadError> {
        let (version, changes) = self.reading_changes()?;
        Some(LoadError::ReadingChanged {
            table: self.table.name.clone(),
            version,
            changes,
        })
    }

    /// The sources that were loaded and are no longer there.
    pub(super) fn missing_sources(&self) -> Vec<&SourceRecord> {
        let present = |record: &&SourceRecord| {
            let same =
                |(file, sha256): &(SourceFile, String)| *sha256 == record.sha256 || file.url.as_str() == record.path;
            self.sources.iter().any(same)
        };
        self.known.sources.iter().filter(|record| !present(record)).collect()
    }

    /// Refuses to build a table anew without the rows of sources that are no longer there.
    fn check_nothing_is_missing(&self) -> Result<(), LoadError> {
        let missing = self.missing_sources();
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(LoadError::SourcesMissing {
                table: self.table.name.clone(),
                count: missing.len(),
                first: first.path.clone(),
            }),
        }
    }
}

//! What happens to each table of a load: which of its sources are new, what is built anew, and which columns it has, in
//! view of what was loaded before and of the table that it is flattened with.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::anew::Anew;
use super::flatten::FlattenPlan;
use super::growth::{self, Change};
use super::plan::TablePlan;
use super::sources::{Source, Sources};
use super::{LoadError, LoadOptions};
use crate::delta::LoggedFile;
use crate::snapshot::{DataFile, TableSnapshot};
use crate::source;
use crate::spec::{Reading, SpecFault, Table};
use crate::version::Origin;
use crate::writing::shape::TableShape;

/// A table, and what is known of it before it is decided what happens to it.
pub(super) struct Draft<'a> {
    pub(super) table: &'a Table,
    /// What its sources are read as.
    pub(super) schema: SchemaRef,
    /// The sources there are now, with their digests.
    pub(super) sources: Vec<Source>,
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
        let anew = self.anew(draft)?;
        if !self.options.forget_missing {
            draft.check_nothing_is_missing(&anew)?;
        }
        let kept = draft.known.without(|record| anew.has(record.version));
        let new = draft.beside_known().beside(&kept.sources);
        let new: Vec<Source> = new.into_iter().cloned().collect();
        let (shape, flatten) = self.shape(draft)?;
        let kept_files: Vec<LoggedFile> = draft.files().filter(|file| !anew.has_rows_of(file)).cloned().collect();
        Ok(TablePlan {
            spec: draft.table.clone(),
            source_schema: Arc::clone(&draft.schema),
            flatten,
            skipped: draft.sources.len() - new.len(),
            new,
            reading: draft.reading.clone(),
            archived: draft.archived(&anew),
            kept,
            grows: anew != Anew::All
                && draft
                    .before
                    .as_ref()
                    .is_some_and(|before| *before.schema() != shape.schema),
            kept_files,
            shape,
            before: draft.before.clone(),
            replace: anew != Anew::Nothing,
        })
    }

    /// What is built anew: the rows of loads of which a source has changed, left rows aside, which are tried again, or is gone
    /// and to be forgotten; all rows where sources are read otherwise, a column has changed otherwise than by growing, or
    /// the table that their patients come from is built anew.
    fn anew(&self, draft: &Draft<'_>) -> Result<Anew, LoadError> {
        let main = draft
            .table
            .flatten
            .as_ref()
            .and_then(|flatten| self.draft(&flatten.with));
        let main = main.map_or(Ok(Anew::Nothing), |main| self.anew(main))?;
        let changed = match draft.reading_changed() {
            None => self.columns_changed(draft)?,
            changed => changed,
        };
        match (draft.source_changed(), changed, self.options.replace) {
            (_, Some(change), false) | (Some(change), None, false) => Err(change),
            (_, Some(_), true) => Ok(Anew::All),
            _ if main != Anew::Nothing => Ok(Anew::All),
            (_, None, false) => Ok(Anew::Nothing),
            (_, None, true) => {
                let changed = draft.beside_known().changed().into_iter();
                let again = draft.known.sources.iter().filter(|record| record.rejected > 0);
                let forgotten = draft
                    .beside_known()
                    .missing()
                    .into_iter()
                    .filter(|_| self.options.forget_missing);
                let loads = changed.chain(again).chain(forgotten).map(|record| record.version);
                Ok(Anew::of_loads(loads.collect(), draft.files()))
            }
        }
    }

    /// What is different about the table's columns, and the order of its rows.
    pub(super) fn column_changes(&self, draft: &Draft<'_>) -> Result<Vec<Change>, LoadError> {
        let Some(before) = &draft.before else {
            return Ok(Vec::new());
        };
        let (shape, _) = self.shape(draft)?;
        let taken = draft.table.flatten.as_ref().map(|flatten| flatten.columns.as_slice());
        let mut changes = growth::changes(before.schema(), &shape.schema, taken.unwrap_or_default());
        let order: Vec<&str> = before.sorted_by().collect();
        if order != shape.sorted_by().collect::<Vec<_>>() {
            changes.push(Change::OtherOrder(order.join(", ")));
        }
        Ok(changes)
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
    /// The sources beside those that were loaded before.
    pub(super) fn beside_known(&self) -> Sources<'_> {
        Sources {
            now: &self.sources,
            known: &self.known.sources,
        }
    }

    fn source_changed(&self) -> Option<LoadError> {
        let record = *self.beside_known().changed().first()?;
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

    /// The table's files before.
    fn files(&self) -> impl Iterator<Item = &LoggedFile> + Clone {
        self.before
            .iter()
            .flat_map(|before| before.files())
            .map(DataFile::logged)
    }

    /// Sources that are no longer there and whose rows stay while others are built anew.
    fn archived(&self, anew: &Anew) -> Vec<String> {
        if *anew == Anew::Nothing {
            return Vec::new();
        }
        let stay = self
            .beside_known()
            .missing()
            .into_iter()
            .filter(|record| !anew.has(record.version));
        stay.map(|record| record.path.clone()).collect()
    }

    /// Refuses to build rows anew whose sources are no longer there.
    fn check_nothing_is_missing(&self, anew: &Anew) -> Result<(), LoadError> {
        let mut missing = self.beside_known().missing();
        missing.retain(|record| anew.has(record.version));
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

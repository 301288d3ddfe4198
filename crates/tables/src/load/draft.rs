//! What happens to each table of a load: which of its sources are new, whether it is built anew, and which columns it has, in
//! view of what was loaded before and of the table that it is flattened with.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::LoadError;
use super::flatten::FlattenPlan;
use super::plan::TablePlan;
use crate::snapshot::TableSnapshot;
use crate::source::{self, SourceFile};
use crate::spec::{SpecFault, Table};
use crate::version::SourceRecord;
use crate::writing::shape::TableShape;

/// A table, and what is known of it before it is decided what happens to it.
pub(super) struct Draft<'a> {
    pub(super) table: &'a Table,
    /// What its sources are read as.
    pub(super) schema: SchemaRef,
    /// The sources there are now, with their digests.
    pub(super) sources: Vec<(SourceFile, String)>,
    /// The sources loaded before.
    pub(super) known: &'a [SourceRecord],
    /// The table as it was before.
    pub(super) before: Option<Arc<TableSnapshot>>,
}

/// The tables of a description, which depend on each other where one is flattened with another.
pub(super) struct Drafts<'a> {
    patient_id: &'a str,
    may_replace: bool,
    drafts: &'a [Draft<'a>],
}

impl<'a> Drafts<'a> {
    pub(super) fn new(patient_id: &'a str, may_replace: bool, drafts: &'a [Draft<'a>]) -> Self {
        Self {
            patient_id,
            may_replace,
            drafts,
        }
    }

    pub(super) fn plans(&self) -> Result<Vec<TablePlan>, LoadError> {
        self.drafts.iter().map(|draft| self.plan(draft)).collect()
    }

    fn plan(&self, draft: &Draft<'_>) -> Result<TablePlan, LoadError> {
        let replace = self.replaces(draft)?;
        let kept = if replace { Vec::new() } else { draft.known.to_vec() };
        let mut seen: BTreeSet<String> = kept.iter().map(|record| record.sha256.clone()).collect();
        let is_new = |(_, sha256): &&(SourceFile, String)| seen.insert(sha256.clone());
        let new: Vec<_> = draft.sources.iter().filter(is_new).cloned().collect();
        let (shape, flatten) = self.shape(draft)?;
        Ok(TablePlan {
            spec: draft.table.clone(),
            shape,
            source_schema: Arc::clone(&draft.schema),
            flatten,
            skipped: draft.sources.len() - new.len(),
            new,
            kept,
            before: draft.before.clone(),
            replace,
        })
    }

    /// Whether the table is built anew: a source of it has changed, or of the table that its patients come from.
    fn replaces(&self, draft: &Draft<'_>) -> Result<bool, LoadError> {
        let changed = draft.sources.iter().find_map(|source| changed(source, draft.known));
        if let (Some(record), false) = (changed, self.may_replace) {
            let (table, path, version) = (draft.table.name.clone(), record.path.clone(), record.version);
            return Err(LoadError::SourceChanged { table, path, version });
        }
        let main = draft
            .table
            .flatten
            .as_ref()
            .and_then(|flatten| self.draft(&flatten.with));
        let of_main = main.map_or(Ok(false), |main| self.replaces(main))?;
        Ok(changed.is_some() || of_main)
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

/// The record of this source's path, if its bytes were never loaded but the path was.
fn changed<'a>((file, sha256): &(SourceFile, String), known: &'a [SourceRecord]) -> Option<&'a SourceRecord> {
    if known.iter().any(|record| record.sha256 == *sha256) {
        return None;
    }
    known.iter().rev().find(|record| record.path == file.url.as_str())
}

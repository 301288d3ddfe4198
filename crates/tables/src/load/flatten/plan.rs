//! Which columns a flattening compares, takes and keeps, by their positions; worked out once, before the first row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use parcours_keys::ColumnClass;

use crate::load::LoadError;
use crate::snapshot::class_of;
use crate::source::SourceError;
use crate::spec::{Flatten, SpecFault, Table};

/// The flattening of one table with its main table.
#[derive(Debug, Clone)]
pub(in crate::load) struct FlattenPlan {
    /// The main table.
    pub(super) with: String,
    /// The names of the keys.
    pub(super) on: Vec<String>,
    /// The keys in what the table's sources are read as.
    pub(super) keys: Vec<usize>,
    /// The other columns of the sources that are written.
    pub(super) own: Vec<usize>,
    /// The keys in the main table.
    pub(super) main_keys: Vec<usize>,
    /// The patient id and what is taken, in the main table.
    pub(super) taken: Vec<usize>,
}

impl FlattenPlan {
    /// # Errors
    /// A key that has another type in the main table, or a column that is lacking.
    pub(in crate::load) fn new(
        table: &Table,
        flatten: &Flatten,
        sources: &Schema,
        main: &Schema,
        patient_id: &str,
    ) -> Result<Self, LoadError> {
        let find = |schema: &Schema, column: &str, lacking: &str| {
            let fault = || SpecFault::FlattenKey {
                table: table.name.clone(),
                column: column.to_owned(),
                lacking: lacking.to_owned(),
            };
            schema
                .index_of(column)
                .map_err(|_| LoadError::from(SourceError::from(fault())))
        };
        let of_sources = |column: &String| find(sources, column, &table.name);
        let of_main = |column: &str| find(main, column, &flatten.with);
        let taken = [patient_id]
            .into_iter()
            .chain(flatten.columns.iter().map(String::as_str));
        let own = (0..sources.fields().len()).filter(|at| flatten.keeps(sources.field(*at).name()));
        let plan = Self {
            with: flatten.with.clone(),
            on: flatten.on.clone(),
            keys: flatten.on.iter().map(of_sources).collect::<Result<_, _>>()?,
            own: own.collect(),
            main_keys: flatten.on.iter().map(|key| of_main(key)).collect::<Result<_, _>>()?,
            taken: taken.map(of_main).collect::<Result<_, _>>()?,
        };
        plan.check_types(table, sources, main)?;
        Ok(plan)
    }

    fn check_types(&self, table: &Table, sources: &Schema, main: &Schema) -> Result<(), LoadError> {
        for (here, there) in self.keys.iter().zip(&self.main_keys) {
            let (here, there) = (sources.field(*here), main.field(*there));
            if here.data_type() != there.data_type() {
                let fault = SpecFault::FlattenKeyType {
                    table: table.name.clone(),
                    column: here.name().clone(),
                    with: self.with.clone(),
                    found: here.data_type().to_string(),
                    expected: there.data_type().to_string(),
                };
                return Err(SourceError::from(fault).into());
            }
        }
        Ok(())
    }

    /// The schema of the flattened table: the patient id, what is taken, its own columns; each with its class.
    pub(in crate::load) fn schema(&self, sources: &Schema, main: &Schema) -> SchemaRef {
        let taken = self.taken.iter().map(|at| Arc::clone(&main.fields()[*at]));
        let own = self.own.iter().map(|at| Arc::clone(&sources.fields()[*at]));
        Arc::new(Schema::new(taken.chain(own).collect::<Vec<_>>()))
    }

    /// The columns of the main table that are read, ascending.
    pub(super) fn main_columns(&self) -> Vec<usize> {
        let read: BTreeSet<usize> = self.main_keys.iter().chain(&self.taken).copied().collect();
        read.into_iter().collect()
    }

    /// Their classes.
    pub(super) fn main_classes(&self, main: &Schema) -> BTreeSet<ColumnClass> {
        let class = |at: usize| class_of(main.field(at));
        self.main_columns().into_iter().filter_map(class).collect()
    }
}

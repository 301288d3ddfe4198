//! The checks of `flatten`, once every table is known: its main table, keys, the columns that it takes, and the order of the
//! table that comes of it.

use std::collections::HashSet;

use toml::Spanned;

use super::dataset::{Dataset, Flatten, Table};
use super::document::{DatasetDocument, FlattenDocument, TableDocument};
use super::error::SpecFault;
use super::validate::{Located, check_order, identifier};

impl Flatten {
    /// The columns of the table that comes of it, in order, of the columns that `table` reads: the patient id, those taken,
    /// its own.
    pub(crate) fn names<'a>(&'a self, patient_id: &'a str, own: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let taken = self.columns.iter().map(String::as_str);
        [patient_id]
            .into_iter()
            .chain(taken)
            .chain(own.filter(|column| self.keeps(column)))
            .collect()
    }

    /// Whether a column of the sources is one of the flattened table.
    pub(crate) fn keeps(&self, column: &str) -> bool {
        self.keep_keys || !self.on.iter().any(|key| key == column)
    }
}

/// What a table says of flattening, as far as it can be judged alone.
pub(super) fn read(document: &TableDocument, table: &str, patient_id: &str) -> Result<Option<Flatten>, Located> {
    let Some(spanned) = &document.flatten else {
        return Ok(None);
    };
    let flatten = spanned.get_ref();
    let at = |fault| (spanned.span(), fault);
    let table = table.to_owned();
    if !document.sharded {
        return Err(at(SpecFault::FlattenUnsharded { table }));
    }
    let with = identifier(&flatten.with)?;
    if flatten.on.is_empty() {
        return Err(at(SpecFault::FlattenNoKeys { table, with }));
    }
    if let Some(column) = document
        .columns
        .iter()
        .find(|column| column.get_ref().name.get_ref() == patient_id)
    {
        let fault = SpecFault::FlattenPatientId {
            table,
            column: patient_id.to_owned(),
        };
        return Err((column.span(), fault));
    }
    Ok(Some(Flatten {
        with,
        on: once_each(&flatten.on, &table)?,
        columns: once_each(&flatten.columns, &table)?,
        keep_keys: flatten.keep_keys,
    }))
}

fn once_each(written: &[Spanned<String>], table: &str) -> Result<Vec<String>, Located> {
    let mut seen = HashSet::new();
    for column in written {
        if !seen.insert(column.get_ref()) {
            let (table, twice) = (table.to_owned(), column.get_ref().clone());
            return Err((column.span(), SpecFault::FlattenTwice { table, column: twice }));
        }
    }
    Ok(written.iter().map(|column| column.get_ref().clone()).collect())
}

/// Checks every flattened table against its main table.
pub(super) fn check(dataset: &Dataset, document: &DatasetDocument) -> Result<(), Located> {
    for (table, written) in dataset.tables.iter().zip(&document.tables) {
        let (Some(flatten), Some(spanned)) = (&table.flatten, &written.get_ref().flatten) else {
            continue;
        };
        let check = Check {
            dataset,
            table,
            flatten,
            written: spanned.get_ref(),
        };
        let main = check.main()?;
        check.keys(main)?;
        check.columns(main)?;
        let own = table.columns.iter().map(|column| column.name.as_str());
        let names = flatten.names(&dataset.patient_id, own);
        check_order(written.get_ref(), &table.name, &dataset.patient_id, &names)?;
    }
    Ok(())
}

struct Check<'a> {
    dataset: &'a Dataset,
    table: &'a Table,
    flatten: &'a Flatten,
    written: &'a FlattenDocument,
}

impl<'a> Check<'a> {
    fn main(&self) -> Result<&'a Table, Located> {
        let (table, with) = (self.table.name.clone(), self.flatten.with.clone());
        let at = |fault| (self.written.with.span(), fault);
        match self.dataset.table(&with) {
            None => Err(at(SpecFault::FlattenUnknown { table, with })),
            Some(main) if main.patient_column().is_none() => Err(at(SpecFault::FlattenWith { table, with })),
            Some(main) => Ok(main),
        }
    }

    fn keys(&self, main: &Table) -> Result<(), Located> {
        for written in &self.written.on {
            let (table, column) = (self.table.name.clone(), written.get_ref().clone());
            let lacking = |lacking: &Table| SpecFault::FlattenKey {
                table: table.clone(),
                column: column.clone(),
                lacking: lacking.name.clone(),
            };
            let at = |fault| (written.span(), fault);
            let here = self.table.column(&column).ok_or_else(|| at(lacking(self.table)))?;
            let there = main.column(&column).ok_or_else(|| at(lacking(main)))?;
            let (Some(found), Some(expected)) = (here.column_type, there.column_type) else {
                continue;
            };
            if found != expected {
                return Err(at(SpecFault::FlattenKeyType {
                    table: table.clone(),
                    column: column.clone(),
                    with: main.name.clone(),
                    found: found.to_string(),
                    expected: expected.to_string(),
                }));
            }
        }
        Ok(())
    }

    fn columns(&self, main: &Table) -> Result<(), Located> {
        for written in &self.written.columns {
            let (table, column) = (self.table.name.clone(), written.get_ref().clone());
            let fault = if column == self.dataset.patient_id {
                SpecFault::FlattenTakesPatient { table }
            } else if main.column(&column).is_none() {
                let with = main.name.clone();
                SpecFault::FlattenColumn { table, column, with }
            } else if self.table.column(&column).is_some() && self.flatten.keeps(&column) {
                SpecFault::FlattenHas { table, column }
            } else {
                continue;
            };
            return Err((written.span(), fault));
        }
        Ok(())
    }
}

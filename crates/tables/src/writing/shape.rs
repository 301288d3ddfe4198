//! What writing a table's files must know of the table, whichever way its rows come.

use arrow::datatypes::SchemaRef;

use crate::snapshot::TableSnapshot;

/// Name, columns and order of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    pub(crate) name: String,
    /// The schema of its files, classes in the fields' metadata.
    pub(crate) schema: SchemaRef,
    /// The patient id column; none in an unsharded table.
    pub(crate) patient: Option<String>,
    /// Columns that follow the patient id in the order of rows.
    pub(crate) order: Vec<String>,
}

impl TableShape {
    /// The shape that a table has already.
    pub(crate) fn of(table: &TableSnapshot) -> Self {
        Self {
            name: table.name().to_owned(),
            schema: table.schema().clone(),
            patient: table.patient_id().map(str::to_owned),
            order: table.order().to_vec(),
        }
    }

    /// The patient id column; none in an unsharded table.
    pub(crate) fn patient(&self) -> Option<&str> {
        self.patient.as_deref()
    }

    /// The columns that rows are sorted by: the patient id, then the declared order.
    pub(crate) fn sorted_by(&self) -> impl Iterator<Item = &str> {
        self.patient().into_iter().chain(self.order.iter().map(String::as_str))
    }
}

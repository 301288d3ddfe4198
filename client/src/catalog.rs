//! What a principal can see: tables and their columns, as the scheduler's GetTables answers. Nothing is remembered
//! between calls.

use arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetTables;

use crate::error::ClientError;

/// The tables a principal may see, sorted by qualified name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// The tables.
    pub tables: Vec<Table>,
}

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Catalog it is in, when the cluster has catalogs.
    pub catalog: Option<String>,
    /// Schema it is in: a dataset's name.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its kind, such as `TABLE`.
    pub kind: String,
    /// Its columns.
    pub columns: Schema,
}

impl Table {
    /// The name as a query writes it: `schema.table`, or the table alone; parts that need quotes have them.
    pub fn qualified(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

impl Catalog {
    /// Tables that a name as written in a query may mean: `table`, `schema.table` or `catalog.schema.table`, without
    /// regard to case or quotes.
    pub fn find<'a>(&'a self, written: &str) -> impl Iterator<Item = &'a Table> {
        let wanted = written.replace('"', "").to_lowercase();
        self.tables.iter().filter(move |table| {
            let schema = table.schema.as_deref().unwrap_or_default();
            let catalog = table.catalog.as_deref().unwrap_or_default();
            let name = &table.name;
            let ways = [
                name.clone(),
                format!("{schema}.{name}"),
                format!("{catalog}.{schema}.{name}"),
            ];
            ways.iter().any(|way| way.to_lowercase() == wanted)
        })
    }

    pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Self, ClientError> {
        let mut tables = Vec::new();
        for batch in batches {
            append(batch, &mut tables)?;
        }
        tables.sort_by_key(Table::qualified);
        Ok(Self { tables })
    }
}

/// The request for all tables with their schemas.
pub(crate) fn command() -> CommandGetTables {
    CommandGetTables {
        include_schema: true,
        ..CommandGetTables::default()
    }
}

fn append(batch: &RecordBatch, tables: &mut Vec<Table>) -> Result<(), ClientError> {
    let catalogs = text(batch, "catalog_name")?;
    let schemas = text(batch, "db_schema_name")?;
    let names = text(batch, "table_name")?;
    let kinds = text(batch, "table_type")?;
    let columns = cast(column(batch, "table_schema")?, &DataType::Binary)?;
    let columns = columns
        .as_any()
        .downcast_ref::<BinaryArray>()
        .ok_or_else(|| missing("table_schema"))?;
    for row in 0..batch.num_rows() {
        let some = |array: &StringArray| array.is_valid(row).then(|| array.value(row).to_owned());
        tables.push(Table {
            catalog: some(&catalogs).filter(|name| !name.is_empty()),
            schema: some(&schemas).filter(|name| !name.is_empty()),
            name: some(&names).unwrap_or_default(),
            kind: some(&kinds).unwrap_or_default(),
            columns: Schema::clone(&StreamReader::try_new(columns.value(row), None)?.schema()),
        });
    }
    Ok(())
}

fn text(batch: &RecordBatch, name: &str) -> Result<StringArray, ClientError> {
    let column = cast(column(batch, name)?, &DataType::Utf8)?;
    column
        .as_any()
        .downcast_ref::<StringArray>()
        .cloned()
        .ok_or_else(|| missing(name))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ClientError> {
    batch.column_by_name(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> ClientError {
    ClientError::Protocol(format!("the list of tables has no {name}"))
}

/// The identifier with double quotes where SQL would otherwise fold its case or not read it at all.
fn quoted(identifier: &str) -> String {
    let mut characters = identifier.chars();
    let plain = characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        identifier.to_owned()
    } else {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use arrow::ipc::writer::StreamWriter;
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let schema = Schema::new(vec![Field::new("ben_idt_ano", DataType::Utf8, false)]);
        let mut stream = Vec::new();
        StreamWriter::try_new(&mut stream, &schema).unwrap().finish().unwrap();
        let two = [Some(stream.as_slice()), Some(stream.as_slice())];
        RecordBatch::try_from_iter(vec![
            (
                "catalog_name",
                Arc::new(StringArray::from(vec!["parcours"; 2])) as ArrayRef,
            ),
            ("db_schema_name", Arc::new(StringArray::from(vec![Some("snds"), None]))),
            ("table_name", Arc::new(StringArray::from(vec!["pharmacie", "CIP"]))),
            ("table_type", Arc::new(StringArray::from(vec!["TABLE"; 2]))),
            ("table_schema", Arc::new(BinaryArray::from(two.to_vec()))),
        ])
        .unwrap()
    }

    #[test]
    fn tables_come_with_their_columns_sorted_and_quoted() {
        let catalog = Catalog::from_batches(&[rows()]).unwrap();
        let names: Vec<_> = catalog.tables.iter().map(Table::qualified).collect();
        assert_eq!(names, ["\"CIP\"", "snds.pharmacie"]);
        assert_eq!(catalog.tables[1].columns.field(0).name(), "ben_idt_ano");
    }

    #[test]
    fn a_table_is_found_by_every_way_of_writing_it() {
        let catalog = Catalog::from_batches(&[rows()]).unwrap();
        for written in [
            "pharmacie",
            "SNDS.Pharmacie",
            "parcours.snds.pharmacie",
            "\"snds\".\"pharmacie\"",
        ] {
            assert_eq!(catalog.find(written).count(), 1, "{written}");
        }
        assert_eq!(catalog.find("autre.pharmacie").count(), 0);
    }

    #[test]
    fn an_answer_without_its_columns_is_refused() {
        let short = rows().project(&[0, 1, 2, 3]).unwrap();
        assert!(matches!(Catalog::from_batches(&[short]), Err(ClientError::Protocol(_))));
    }
}

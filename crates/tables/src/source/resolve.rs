//! The schema of a table whose Parquet files say some of the types: every file is asked, and all must agree.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::ReadOptions;
use super::error::SourceError;
use super::file::SourceFile;
use super::{mapping, parquet};
use crate::spec::{Column, ColumnType, Dataset, SpecFault, Table};
use crate::store::Stores;

/// The schema of `table`: from its specification alone when that says every type, otherwise from the footers of `files`.
pub async fn resolve_schema(stores: &Stores, table: &Table, files: &[SourceFile]) -> Result<SchemaRef, SourceError> {
    if let Some(schema) = table.schema() {
        return Ok(schema);
    }
    let mut types: Vec<Option<ColumnType>> = table.columns.iter().map(|column| column.column_type).collect();
    for file in files {
        let bytes = file.bytes(stores, &ReadOptions::default())?;
        let schema = parquet::file_schema(bytes).await?;
        learn(table, file.url.as_str(), &schema, &mut types)?;
    }
    let fields = table
        .columns
        .iter()
        .zip(types)
        .map(|(column, known)| typed(table, column, known));
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?)))
}

/// The type of the patient id over the schemas of the sharded tables, in any order; all must have the same. Texts, where no
/// table is sharded.
pub fn patient_type<'a>(
    dataset: &Dataset,
    schemas: impl IntoIterator<Item = (&'a str, &'a Schema)>,
) -> Result<ColumnType, SourceError> {
    let mut known: Option<ColumnType> = None;
    for (name, schema) in schemas {
        let Some(column) = dataset.table(name).and_then(Table::patient_column) else {
            continue;
        };
        let wrong = || SourceError::Schema {
            table: name.to_owned(),
            column: column.name.clone(),
        };
        let field = schema.field_with_name(&column.name).map_err(|_| wrong())?;
        let found = ColumnType::of(field.data_type()).ok_or_else(wrong)?;
        check_patient(name, column, found)?;
        match known.replace(found) {
            Some(expected) if expected != found => {
                let (found, expected) = (found.to_string(), expected.to_string());
                return Err(SpecFault::PatientIdTypes {
                    table: name.to_owned(),
                    found,
                    expected,
                }
                .into());
            }
            _ => {}
        }
    }
    Ok(known.unwrap_or(ColumnType::Utf8))
}

fn check_patient(table: &str, column: &Column, found: ColumnType) -> Result<(), SourceError> {
    if found.is_patient_id() {
        return Ok(());
    }
    let (table, column) = (table.to_owned(), column.name.clone());
    Err(SpecFault::PatientIdType {
        table,
        column,
        found: found.to_string(),
    }
    .into())
}

/// Takes from one file the types that the specification leaves open.
fn learn(table: &Table, file: &str, schema: &Schema, types: &mut [Option<ColumnType>]) -> Result<(), SourceError> {
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let positions = mapping::positions(table, file, &names)?;
    for ((column, position), known) in table.columns.iter().zip(positions).zip(types) {
        let (None, Some(position)) = (column.column_type, position) else {
            continue;
        };
        // A column of nulls says nothing; another file may.
        if *schema.field(position).data_type() == DataType::Null {
            continue;
        }
        let found = file_type(table, file, column, schema.field(position))?;
        match known.replace(found) {
            Some(expected) if expected != found => {
                return Err(SourceError::DifferentTypes {
                    file: file.to_owned(),
                    table: table.name.clone(),
                    column: column.name.clone(),
                    found: found.to_string(),
                    expected: expected.to_string(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn file_type(table: &Table, file: &str, column: &Column, field: &Field) -> Result<ColumnType, SourceError> {
    ColumnType::of(field.data_type()).ok_or_else(|| SourceError::UnsupportedType {
        file: file.to_owned(),
        table: table.name.clone(),
        column: column.name.clone(),
        found: field.data_type().to_string(),
    })
}

fn typed(table: &Table, column: &Column, known: Option<ColumnType>) -> Result<Field, SourceError> {
    let missing = || SpecFault::NoType {
        table: table.name.clone(),
        column: column.name.clone(),
    };
    let known = known.ok_or_else(missing)?;
    if table
        .patient_column()
        .is_some_and(|patient| patient.name == column.name)
    {
        check_patient(&table.name, column, known)?;
    }
    Ok(column.field(known))
}

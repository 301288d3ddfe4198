//! The catalog as its clients browse it: catalogs, schemas, tables with or without their columns, table types, and the
//! keys we do not have. Every answer is made from what the principal may see; filters only narrow it.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use arrow_flight::{
    error::FlightError,
    sql::{CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables},
};

use super::columns;
use crate::port::VisibleCatalog;

/// The kinds of table there are.
const TABLE_TYPES: [&str; 2] = ["TABLE", "VIEW"];

/// `GetCatalogs`: the one catalog.
pub(super) fn catalogs(command: CommandGetCatalogs, visible: &VisibleCatalog) -> Result<RecordBatch, FlightError> {
    let mut answer = command.into_builder();
    answer.append(&visible.name);
    answer.build()
}

/// `GetDbSchemas`: the schemas that the filters leave.
pub(super) fn schemas(command: CommandGetDbSchemas, visible: &VisibleCatalog) -> Result<RecordBatch, FlightError> {
    let mut answer = command.into_builder();
    for schema in &visible.schemas {
        answer.append(&visible.name, &schema.name);
    }
    answer.build()
}

/// `GetTables`: the tables that the filters leave, with their columns if asked for.
pub(super) fn tables(command: CommandGetTables, visible: &VisibleCatalog) -> Result<RecordBatch, FlightError> {
    let mut answer = command.into_builder();
    for schema in &visible.schemas {
        for table in &schema.tables {
            let columns = columns::described_in(&table.schema, &visible.name, &schema.name, &table.name);
            answer.append(&visible.name, &schema.name, &table.name, table.kind, &columns)?;
        }
    }
    answer.build()
}

/// `GetTableTypes`.
pub(super) fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut answer = command.into_builder();
    TABLE_TYPES.iter().for_each(|kind| answer.append(kind));
    answer.build()
}

/// The schema of `GetPrimaryKeys`.
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// The schema of `GetExportedKeys`, `GetImportedKeys` and `GetCrossReference`.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

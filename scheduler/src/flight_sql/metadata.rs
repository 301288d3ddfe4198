//! The metadata commands: which schema each answers with, and the one batch that it answers. Fixed schemas are known
//! without asking anyone, so that `GetFlightInfo` and `GetSchema` cost nothing.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::sql::Command;
use parcours_identity::Principal;
use tonic::Status;

use super::{catalog, front::Front, status};
use crate::port::QueryPort;

impl<Q: QueryPort> Front<Q> {
    /// The schema of a metadata command's answer; `None` for any other command.
    pub fn metadata_schema(&self, command: &Command) -> Option<SchemaRef> {
        Some(match command {
            Command::CommandGetCatalogs(command) => command.into_builder().schema(),
            Command::CommandGetDbSchemas(command) => command.clone().into_builder().schema(),
            Command::CommandGetTables(command) => command.clone().into_builder().schema(),
            Command::CommandGetTableTypes(command) => command.into_builder().schema(),
            Command::CommandGetSqlInfo(_) => self.sql_info.schema(),
            Command::CommandGetXdbcTypeInfo(_) => self.type_info.schema(),
            Command::CommandGetPrimaryKeys(_) => catalog::primary_keys_schema(),
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => catalog::foreign_keys_schema(),
            _ => return None,
        })
    }

    /// A metadata command's answer; `None` for any other command.
    pub async fn metadata(&self, who: &Principal, command: Command) -> Result<Option<RecordBatch>, Status> {
        let batch = match command {
            Command::CommandGetCatalogs(command) => catalog::catalogs(command, &self.port.catalog(who).await?),
            Command::CommandGetDbSchemas(command) => catalog::schemas(command, &self.port.catalog(who).await?),
            Command::CommandGetTables(command) => catalog::tables(command, &self.port.catalog(who).await?),
            Command::CommandGetTableTypes(command) => catalog::table_types(command),
            Command::CommandGetSqlInfo(command) => command.into_builder(&self.sql_info).build(),
            Command::CommandGetXdbcTypeInfo(command) => command.into_builder(&self.type_info).build(),
            keys => return Ok(self.metadata_schema(&keys).map(RecordBatch::new_empty)),
        };
        batch.map(Some).map_err(status::internal)
    }
}

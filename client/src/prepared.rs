//! Prepared statements: the way parameters reach a query. A statement is prepared, its one row of parameters is
//! bound, and it is closed when the result that came of it is dropped.

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, IpcMessage};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;

use crate::connection::Flight;
use crate::error::ClientError;
use crate::parameter::{self, Parameter};

/// An open prepared statement.
pub(crate) struct Prepared {
    flight: Flight,
    handle: Bytes,
    parameters: Schema,
}

impl Prepared {
    pub(crate) async fn create(mut flight: Flight, query: String) -> Result<Self, ClientError> {
        let request = ActionCreatePreparedStatementRequest {
            query,
            transaction_id: None,
        };
        let mut answers = flight
            .do_action(action("CreatePreparedStatement", &request))
            .await?
            .into_inner();
        let answer = answers
            .message()
            .await?
            .ok_or_else(|| unexpected("no prepared statement"))?;
        let result: ActionCreatePreparedStatementResult = Any::decode(&*answer.body)?
            .unpack()?
            .ok_or_else(|| unexpected("no prepared statement"))?;
        let parameters = match result.parameter_schema.is_empty() {
            true => Schema::empty(),
            false => Schema::try_from(IpcMessage(result.parameter_schema))?,
        };
        Ok(Self {
            flight,
            handle: result.prepared_statement_handle,
            parameters,
        })
    }

    /// Binds one row; a scheduler that keeps no state answers with a new handle, which holds the row.
    pub(crate) async fn bind(&mut self, values: &[Parameter]) -> Result<(), ClientError> {
        let row = parameter::row(&self.parameters, values)?;
        let messages = self.encode(row).await?;
        let mut answers = self.flight.do_put(stream::iter(messages)).await?.into_inner();
        if let Some(answer) = answers.message().await? {
            let result = DoPutPreparedStatementResult::decode(&*answer.app_metadata)?;
            self.handle = result.prepared_statement_handle.unwrap_or_else(|| self.handle.clone());
        }
        Ok(())
    }

    async fn encode(&self, row: RecordBatch) -> Result<Vec<FlightData>, ClientError> {
        let encoder = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(self.descriptor()))
            .with_schema(row.schema())
            .build(stream::iter([Ok(row)]));
        Ok(encoder.try_collect().await?)
    }

    /// What GetFlightInfo takes to run the statement.
    pub(crate) fn descriptor(&self) -> FlightDescriptor {
        let command = CommandPreparedStatementQuery {
            prepared_statement_handle: self.handle.clone(),
        };
        FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let request = ActionClosePreparedStatementRequest {
            prepared_statement_handle: self.handle.clone(),
        };
        let mut flight = self.flight.clone();
        // A scheduler forgets statements by itself in time: closing is a courtesy, its failure nobody's concern.
        runtime.spawn(async move {
            let _ = flight.do_action(action("ClosePreparedStatement", &request)).await;
        });
    }
}

fn action(kind: &str, request: &impl ProstMessageExt) -> Action {
    Action::new(kind, request.as_any().encode_to_vec())
}

fn unexpected(what: &str) -> ClientError {
    ClientError::Protocol(what.to_owned())
}

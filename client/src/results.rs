//! The answer to a query: a schema, known at once, and a stream of record batches.
//!
//! The scheduler watches the gRPC call of the stream: dropping a [`RecordBatchStream`] ends that call, and with it the
//! query's tasks. Endpoints are read one after the other, in order, over the connection the query was asked on;
//! addresses that an endpoint suggests are never dialled.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::{FlightInfo, Ticket};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};

use crate::connection::Flight;
use crate::error::ClientError;
use crate::prepared::Prepared;

/// Record batches of one query, in the order of the query.
pub struct RecordBatchStream {
    schema: SchemaRef,
    flight: Flight,
    tickets: VecDeque<Ticket>,
    state: State,
    /// Closed when the stream is dropped: a result may be read from a prepared statement only while it is open.
    _statement: Option<Prepared>,
}

enum State {
    Opening(BoxFuture<'static, Result<FlightDataDecoder, ClientError>>),
    Reading(FlightDataDecoder),
    Ended,
}

impl std::fmt::Debug for RecordBatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordBatchStream")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl RecordBatchStream {
    /// Opens the first endpoint and waits for its schema, which is the one the batches will have.
    pub(crate) async fn open(
        flight: Flight,
        info: FlightInfo,
        statement: Option<Prepared>,
    ) -> Result<Self, ClientError> {
        let mut tickets = tickets(&info)?;
        let (schema, state) = match tickets.pop_front() {
            Some(ticket) => {
                let mut decoder = get(flight.clone(), ticket).await?;
                (first_schema(&mut decoder).await?, State::Reading(decoder))
            }
            None => (announced_schema(info)?, State::Ended),
        };
        Ok(Self {
            schema,
            flight,
            tickets,
            state,
            _statement: statement,
        })
    }

    /// Names and types of the result's columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Reads everything into memory; for small results.
    ///
    /// # Errors
    /// The first error of the stream; nothing of a broken result is returned.
    pub async fn collect_all(self) -> Result<Vec<RecordBatch>, ClientError> {
        self.try_collect().await
    }

    fn payload(&self, payload: DecodedPayload) -> Result<Option<RecordBatch>, ClientError> {
        match payload {
            DecodedPayload::None => Ok(None),
            DecodedPayload::Schema(schema) if same_types(&schema, &self.schema) => Ok(None),
            DecodedPayload::Schema(_) => Err(ClientError::Protocol("the schema changed within a result".to_owned())),
            DecodedPayload::RecordBatch(batch) => Ok(Some(batch)),
        }
    }

    fn open_next(&mut self) -> State {
        match self.tickets.pop_front() {
            Some(ticket) => State::Opening(get(self.flight.clone(), ticket).boxed()),
            None => State::Ended,
        }
    }
}

impl Stream for RecordBatchStream {
    type Item = Result<RecordBatch, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let step = match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Opening(opening) => match ready!(opening.poll_unpin(context)) {
                    Ok(decoder) => {
                        self.state = State::Reading(decoder);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                State::Reading(decoder) => match ready!(decoder.poll_next_unpin(context)) {
                    None => {
                        self.state = self.open_next();
                        continue;
                    }
                    Some(Ok(data)) => self.payload(data.payload),
                    Some(Err(error)) => Err(error.into()),
                },
            };
            match step {
                Ok(None) => {}
                Ok(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
                Err(error) => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

fn tickets(info: &FlightInfo) -> Result<VecDeque<Ticket>, ClientError> {
    let without = || ClientError::Protocol("an endpoint without a ticket".to_owned());
    info.endpoint
        .iter()
        .map(|endpoint| endpoint.ticket.clone().ok_or_else(without))
        .collect()
}

async fn get(mut flight: Flight, ticket: Ticket) -> Result<FlightDataDecoder, ClientError> {
    let answer = flight.do_get(ticket).await?.into_inner();
    Ok(FlightDataDecoder::new(answer.map_err(Into::into)))
}

async fn first_schema(decoder: &mut FlightDataDecoder) -> Result<SchemaRef, ClientError> {
    while let Some(data) = decoder.try_next().await? {
        match data.payload {
            DecodedPayload::Schema(schema) => return Ok(schema),
            DecodedPayload::None => {}
            DecodedPayload::RecordBatch(_) => break,
        }
    }
    Err(ClientError::Protocol("a result without a schema".to_owned()))
}

fn announced_schema(info: FlightInfo) -> Result<SchemaRef, ClientError> {
    if info.schema.is_empty() {
        return Ok(Schema::empty().into());
    }
    Ok(info.try_decode_schema()?.into())
}

fn same_types(one: &Schema, other: &Schema) -> bool {
    let types = |schema: &Schema| {
        schema
            .fields()
            .iter()
            .map(|field| field.data_type().clone())
            .collect::<Vec<_>>()
    };
    types(one) == types(other)
}

//! How answers are put on the wire: one ordered endpoint, a schema message before any data, and no message of ours
//! above [`LARGEST_MESSAGE`] bytes.

use std::pin::Pin;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::IpcWriteOptions,
};
use arrow_flight::{
    FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
    encode::FlightDataEncoderBuilder,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::Status;

use super::status;
use crate::port::ResultStream;

/// What batches of our own are cut to; a single row may exceed it. Clients accept 4 MiB or more.
pub(super) const LARGEST_MESSAGE: usize = 1 << 20;

/// A stream of messages to a client.
pub(super) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream of one message.
pub(super) fn one<T: Send + 'static>(message: T) -> Messages<T> {
    stream::iter([Ok(message)]).boxed()
}

/// A small batch of our own, with its schema.
pub(super) fn batch(batch: RecordBatch) -> Messages<FlightData> {
    FlightDataEncoderBuilder::new()
        .with_schema(batch.schema())
        .with_max_flight_data_size(LARGEST_MESSAGE)
        .build(stream::iter([Ok(batch)]))
        .map_err(Status::from)
        .boxed()
}

/// A query's results as they come, after the schema that was promised.
pub(super) fn relay(schema: &Schema, results: ResultStream) -> Messages<FlightData> {
    let first = FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    stream::iter([Ok(first)]).chain(results.map_err(Status::from)).boxed()
}

/// Where to get an answer: here, with this ticket, in one ordered stream.
pub(super) fn info(schema: &SchemaRef, ticket: Bytes, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    Ok(unread_info(schema, descriptor)?.with_endpoint(endpoint))
}

/// The same before there is anything to get.
pub(super) fn unread_info(schema: &SchemaRef, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new().try_with_schema(schema).map_err(status::internal)?;
    Ok(info.with_descriptor(descriptor).with_ordered(true))
}

/// A schema as an encapsulated IPC message, the way that fields named `schema` carry it.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let message: Result<IpcMessage, ArrowError> = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into();
    Ok(message.map_err(status::internal)?.0)
}

//! Serves partitions over mTLS: to executors as an IPC stream in chunks, to the scheduler as Flight data of a final result.
//! Nothing else is answered, and nobody else is let in.

use std::io::Read;
use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parcours_identity::{Role, peer};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::exchange::read_batches;
use super::store::{PartitionStore, StoreError};
use super::{FETCH, PartitionKey};

/// Bytes of one chunk between executors.
const CHUNK: usize = 1 << 20;

/// Answers other nodes' requests for partitions.
pub(crate) struct PartitionServer {
    store: Arc<PartitionStore>,
}

impl PartitionServer {
    pub(crate) fn new(store: Arc<PartitionStore>) -> Self {
        Self { store }
    }
}

fn refuse<T>(what: &str) -> Result<T, Status> {
    Err(Status::permission_denied(format!("an executor does not answer {what}")))
}

fn status_of(error: StoreError) -> Status {
    match error {
        StoreError::Missing { .. } | StoreError::Ended { .. } => Status::not_found(error.to_string()),
        StoreError::Damaged(_) => Status::data_loss(error.to_string()),
        error => Status::internal(error.to_string()),
    }
}

fn key_from(bytes: &[u8]) -> Result<PartitionKey, Status> {
    PartitionKey::decode(bytes).ok_or_else(|| Status::invalid_argument("the request names no partition"))
}

/// The plain bytes of a partition, read on a blocking thread.
fn chunks(store: Arc<PartitionStore>, key: PartitionKey) -> BoxStream<'static, Result<Bytes, Status>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let outcome = send_chunks(&store, &key, |chunk| sender.blocking_send(Ok(chunk)).is_ok());
        if let Err(status) = outcome {
            // A reader that went away needs no error.
            let _ = sender.blocking_send(Err(status));
        }
    });
    ReceiverStream::new(receiver).boxed()
}

fn send_chunks(store: &PartitionStore, key: &PartitionKey, mut take: impl FnMut(Bytes) -> bool) -> Result<(), Status> {
    let mut bytes = store.read(key).map_err(status_of)?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = bytes.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        let count = read.map_err(|error| Status::data_loss(format!("a partition cannot be read: {error}")))?;
        if count == 0 || !take(chunk.into()) {
            return Ok(());
        }
    }
}

/// The batches of a partition as Flight data; the scheduler replaces the schema message by the promised one.
fn flight_data(store: Arc<PartitionStore>, key: PartitionKey) -> BoxStream<'static, Result<FlightData, Status>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let outcome = read_batches(&store, &key, |batch| sender.blocking_send(Ok(batch)).is_ok());
        if let Err(error) = outcome {
            let _ = sender.blocking_send(Err(FlightError::from(Status::data_loss(error.to_string()))));
        }
    });
    FlightDataEncoderBuilder::new()
        .build(ReceiverStream::new(receiver))
        .map_err(Status::from)
        .boxed()
}

#[tonic::async_trait]
impl FlightService for PartitionServer {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let Role::Executor(_) = peer(&request)?.principal.role() else {
            return refuse("this action but to executors");
        };
        if request.get_ref().r#type != FETCH {
            return refuse("this action");
        }
        let key = key_from(&request.get_ref().body)?;
        let answer = chunks(self.store.clone(), key).map_ok(|body| arrow_flight::Result { body });
        Ok(Response::new(answer.boxed()))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let Role::Scheduler = peer(&request)?.principal.role() else {
            return refuse("this ticket but to the scheduler");
        };
        let key = key_from(&request.get_ref().ticket)?;
        Ok(Response::new(flight_data(self.store.clone(), key)))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        refuse("a handshake")
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        refuse("a listing")
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        refuse("queries")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        refuse("queries")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        refuse("queries")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        refuse("uploads")
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        refuse("exchanges")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        refuse("a listing")
    }
}

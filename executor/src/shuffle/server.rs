//! Serves partitions over mTLS: to executors as an IPC stream in chunks, under the grant of a task that reads them, to the
//! scheduler as Flight data of a final result. Nothing else is answered, and nobody else is let in.

use std::io::Read;
use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{Action, FlightData, Ticket};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parcours_cluster::flight::{Answers, Data, Results, refuse};
use parcours_identity::{Role, peer};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::exchange::read_batches;
use super::grants::KnownGrants;
use super::store::{PartitionStore, StoreError};
use super::{FETCH, Fetch, PartitionKey};
use crate::membership::Node;

/// Bytes of one chunk between executors.
const CHUNK: usize = 1 << 20;

/// Answers other nodes' requests for partitions.
pub(crate) struct PartitionServer {
    store: Arc<PartitionStore>,
    grants: KnownGrants,
    #[cfg(feature = "measure-plain")]
    stock: Option<Arc<crate::stock::Stock>>,
}

impl PartitionServer {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            store: node.store.clone(),
            grants: KnownGrants::new(node.keys.signatures()),
            #[cfg(feature = "measure-plain")]
            stock: node.stock.clone(),
        }
    }

    /// Whether the executor of this name may have what it asks for. Refused ones are told to the operator: the executors of
    /// a cluster ask for what their tasks read, and for nothing else.
    fn check(&self, executor: &str, fetch: &Fetch) -> Result<(), Status> {
        self.grants.check(executor, fetch).map_err(|refusal| {
            let partition = &fetch.partition;
            let (job, stage) = (&partition.job, partition.stage);
            tracing::error!(executor, job, stage, %refusal, "a partition is not given out");
            Status::permission_denied(refusal.to_string())
        })
    }
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
impl Answers for PartitionServer {
    const REFUSAL: &'static str = "an executor serves partitions to executors and to the scheduler, nothing else";

    async fn action(&self, request: Request<Action>) -> Result<Results, Status> {
        let executor = match peer(&request)?.principal.role() {
            Role::Executor(name) if request.get_ref().r#type == FETCH => name.clone(),
            _ => return refuse::<Self, _>(),
        };
        let fetch = Fetch::decode(&request.get_ref().body)
            .ok_or_else(|| Status::invalid_argument("the request names no partition and grant"))?;
        self.check(&executor, &fetch)?;
        Ok(chunks(self.store.clone(), fetch.partition)
            .map_ok(|body| arrow_flight::Result { body })
            .boxed())
    }

    async fn ticket(&self, request: Request<Ticket>) -> Result<Data, Status> {
        if *peer(&request)?.principal.role() != Role::Scheduler {
            return refuse::<Self, _>();
        }
        let key = key_from(&request.get_ref().ticket)?;
        #[cfg(feature = "measure-plain")]
        if let Some(stock) = &self.stock {
            return stock.result(key).await;
        }
        Ok(flight_data(self.store.clone(), key))
    }
}

#[cfg(test)]
mod tests;

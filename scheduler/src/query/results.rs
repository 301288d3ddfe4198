//! The relay: result partitions stream from executors to the one reader, in order, as fast as the reader takes them. The
//! scheduler keeps no row, except that the beginning of a result is held back until it is complete or too large for that:
//! a result that was lost before a row of it was sent is computed again, and nobody notices. When the reader goes away the
//! query is cancelled; when the stream ends its data is removed.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, Ticket};
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::common::DFSchemaRef;
use futures::StreamExt;
use parcours_cluster::executors::Executors;
use parcours_cluster::partition::PartitionKey;
use parcours_identity::ClientTls;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::jobs::Jobs;
use super::standing::{Query, Standing};
use crate::port::{QueryError, QueryId, ResultStream};

/// Messages that may wait between an executor and the reader.
const WAITING: usize = 4;

/// How often lost results are computed again before the reader is told.
const AGAIN: usize = 3;

/// Bytes that are held back at the beginning of a result.
const HELD: usize = 4 << 20;

/// Largest message accepted from an executor.
const MAX_MESSAGE: usize = 16 << 20;

/// Fetches result partitions from executors.
pub struct Relay {
    executors: Executors,
}

/// Stops the query if it is dropped before the end of its stream.
struct Reading {
    jobs: Arc<Jobs>,
    query: Arc<Query>,
    ended: bool,
}

impl Reading {
    fn end(&mut self, succeeded: bool) {
        self.ended = true;
        self.jobs.count_end(succeeded);
        self.jobs.release(&self.query);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            let (jobs, query) = (self.jobs.clone(), self.query.clone());
            self.jobs.count_end(false);
            tokio::spawn(async move { jobs.cancel(&query).await });
        }
    }
}

/// What passes from the relay to the reader's stream. Only [`Relayed::End`] ends a stream well: a relay that breaks off
/// must not look like a result that is complete.
enum Relayed {
    Message(FlightData),
    Failed(QueryError),
    End,
}

enum Broken {
    /// The reader is gone.
    Reader,
    /// An executor or its partition is gone.
    Executor(Status),
    /// The rows are not of the types that were promised: a reader would take them for others.
    Types,
}

/// The way to the reader, shut until enough was gathered.
struct Outlet<'a> {
    sender: &'a mpsc::Sender<Relayed>,
    held: Vec<FlightData>,
    bytes: usize,
    opened: bool,
}

impl<'a> Outlet<'a> {
    fn new(sender: &'a mpsc::Sender<Relayed>) -> Self {
        Self {
            sender,
            held: Vec::new(),
            bytes: 0,
            opened: false,
        }
    }

    async fn push(&mut self, message: FlightData) -> Result<(), Broken> {
        if self.opened {
            return self.send(message).await;
        }
        self.bytes += message.data_header.len() + message.data_body.len();
        self.held.push(message);
        if self.bytes > HELD { self.open().await } else { Ok(()) }
    }

    async fn open(&mut self) -> Result<(), Broken> {
        self.opened = true;
        for message in std::mem::take(&mut self.held) {
            self.send(message).await?;
        }
        Ok(())
    }

    async fn send(&self, message: FlightData) -> Result<(), Broken> {
        let sent = self.sender.send(Relayed::Message(message)).await;
        sent.map_err(|_| Broken::Reader)
    }

    /// Forgets what is held; whether the reader has seen nothing yet.
    fn forget(&mut self) -> bool {
        self.held.clear();
        self.bytes = 0;
        !self.opened
    }
}

/// Whether a schema message says these types.
fn has_types(message: &FlightData, promised: &Schema) -> bool {
    let same = |(one, other): (&FieldRef, &FieldRef)| one.data_type().equals_datatype(other.data_type());
    Schema::try_from(message).is_ok_and(|sent| {
        sent.fields().len() == promised.fields().len() && sent.fields().iter().zip(promised.fields()).all(same)
    })
}

impl Relay {
    /// A relay that dials executors with these certificates.
    pub fn new(tls: ClientTls) -> Self {
        Self {
            executors: Executors::new(tls),
        }
    }

    /// The stream of a query's results; waits for the query first.
    pub fn stream(self: &Arc<Self>, jobs: Arc<Jobs>, query: Arc<Query>) -> ResultStream {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (relay, id) = (self.clone(), query.id);
        tokio::spawn(async move {
            let (left, limit) = (jobs.time_left(&query), jobs.limit());
            let watched = query.clone();
            let reading = Reading {
                jobs,
                query,
                ended: false,
            };
            tokio::select! {
                () = sender.closed() => {}
                why = watched.withdrawn() => tell(&sender, QueryError::Denied { message: why.to_string() }).await,
                () = relay.run(reading, &sender) => {}
                () = tokio::time::sleep(left) => tell(&sender, QueryError::TimedOut { limit }).await,
            }
        });
        until_end(receiver, id)
    }

    async fn run(self: Arc<Self>, mut reading: Reading, sender: &mpsc::Sender<Relayed>) {
        match self.send_all(&reading, sender).await {
            Ok(()) => {
                reading.end(true);
                let _unheard = sender.send(Relayed::End).await;
            }
            Err(Some(error)) => {
                reading.end(false);
                tell(sender, error).await;
            }
            Err(None) => drop(reading),
        }
    }

    async fn send_all(
        self: &Arc<Self>,
        reading: &Reading,
        sender: &mpsc::Sender<Relayed>,
    ) -> Result<(), Option<QueryError>> {
        let (jobs, query) = (&reading.jobs, &reading.query);
        let mut outlet = Outlet::new(sender);
        for attempt in 0..=AGAIN {
            let partitions = match query.ended().await {
                Standing::Done(partitions) => partitions,
                Standing::Local(messages) => return send_local(&messages, sender).await,
                standing => return Err(Some(jobs.error_of(query, &standing))),
            };
            let promised = query.submission.as_ref().map(|submission| submission.plan.schema());
            match self.send_partitions(&partitions, promised, &mut outlet).await {
                Ok(()) => return Ok(()),
                Err(Broken::Reader) => return Err(None),
                Err(Broken::Executor(status)) if outlet.forget() && attempt < AGAIN => {
                    tracing::warn!(query = %query.id, code = ?status.code(), "results were lost");
                    jobs.resubmit(query).await;
                }
                Err(Broken::Executor(status)) => return Err(Some(lost(&status))),
                Err(Broken::Types) => {
                    tracing::error!(query = %query.id, "the rows are not of the types that were promised");
                    return Err(Some(QueryError::Internal { query: Some(query.id) }));
                }
            }
        }
        Err(Some(QueryError::Internal { query: Some(query.id) }))
    }

    async fn send_partitions(
        self: &Arc<Self>,
        partitions: &Arc<Vec<PartitionLocation>>,
        promised: Option<&DFSchemaRef>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Broken> {
        // The next partition is asked for while one is being read.
        let relay = self.clone();
        let mut opened = futures::stream::iter(partitions.as_ref().clone())
            .map(move |location| relay.clone().open(location))
            .buffered(2);
        while let Some(messages) = opened.next().await {
            let mut messages = messages.map_err(Broken::Executor)?;
            let mut first = true;
            while let Some(message) = messages.message().await.map_err(Broken::Executor)? {
                // The executor's schema message says the same less exactly than the promised one.
                if !std::mem::take(&mut first) {
                    outlet.push(message).await?;
                } else if !promised.is_some_and(|promised| has_types(&message, promised.as_arrow())) {
                    return Err(Broken::Types);
                }
            }
        }
        outlet.open().await
    }

    async fn open(self: Arc<Self>, location: PartitionLocation) -> Result<Streaming<FlightData>, Status> {
        let unknown = || Status::internal("the engine names no place for a result partition");
        let executor = location.executor_meta.as_ref().ok_or_else(unknown)?;
        let partition = location.partition_id.as_ref().ok_or_else(unknown)?;
        let key = PartitionKey {
            job: partition.job_id.clone(),
            stage: partition.stage_id as usize,
            partition: partition.partition_id as usize,
            task: location.file_id.ok_or_else(unknown)?,
        };
        let address = format!("{}:{}", executor.host, executor.port);
        let channel = self.executors.channel(&executor.id, &address)?;
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        Ok(client
            .do_get(Ticket {
                ticket: key.encode().into(),
            })
            .await?
            .into_inner())
    }
}

/// Tells the reader; one that is gone hears nothing.
async fn tell(sender: &mpsc::Sender<Relayed>, error: QueryError) {
    let _unheard = sender.send(Relayed::Failed(error)).await;
}

fn until_end(receiver: mpsc::Receiver<Relayed>, query: QueryId) -> ResultStream {
    futures::stream::unfold(Some(receiver), move |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Relayed::Message(message)) => Some((Ok(message), Some(receiver))),
            Some(Relayed::Failed(error)) => Some((Err(error), None)),
            Some(Relayed::End) => None,
            None => Some((Err(QueryError::Internal { query: Some(query) }), None)),
        }
    })
    .boxed()
}

async fn send_local(messages: &[FlightData], sender: &mpsc::Sender<Relayed>) -> Result<(), Option<QueryError>> {
    for message in messages {
        sender.send(Relayed::Message(message.clone())).await.map_err(|_| None)?;
    }
    Ok(())
}

fn lost(status: &Status) -> QueryError {
    let message = match status.code() {
        Code::DataLoss => "a result was found damaged and is not delivered, run the query again",
        _ => "an executor was lost while the results were being read, run the query again",
    };
    QueryError::Unavailable {
        message: message.to_owned(),
    }
}

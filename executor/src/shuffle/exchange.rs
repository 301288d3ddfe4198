//! Where a partition comes from: this process's own store, or the executor that has it, by name, over mTLS. Whatever fails on the way is
//! reported as a failed fetch from that executor, which is what makes the scheduler compute the partition again.

use std::io::Read;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::ipc::reader::{StreamDecoder, StreamReader};
use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_core::error::BallistaError;
use ballista_core::serde::scheduler::PartitionLocation;
use bytes::Bytes;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use parcours_cluster::executors::Executors;
use parcours_cluster::failure::without_values;
use parcours_cluster::task_grant::HeldGrant;
use parcours_identity::ClientTls;
use tokio_stream::wrappers::ReceiverStream;

use super::store::PartitionStore;
use super::{FETCH, Fetch, PartitionKey};

/// How many batches or chunks may wait between a blocking reader and its consumer.
const WAITING: usize = 4;

/// Largest message accepted from another executor.
const MAX_MESSAGE: usize = 16 << 20;

/// Opens partitions wherever they are.
#[derive(Debug)]
pub(crate) struct Exchange {
    own_id: String,
    store: Arc<PartitionStore>,
    executors: Executors,
}

impl Exchange {
    pub(crate) fn new(own_id: String, store: Arc<PartitionStore>, tls: ClientTls) -> Self {
        Self {
            own_id,
            store,
            executors: Executors::new(tls),
        }
    }

    /// The batches of one partition, in the order in which they were written, for a task that runs under this grant.
    pub(crate) async fn open(
        self: Arc<Self>,
        grant: Arc<HeldGrant>,
        location: PartitionLocation,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let key = key_of(&location)?;
        if location.executor_meta.id == self.own_id {
            let store = self.store.clone();
            return Ok(with_location(read_own(store, key), location).boxed());
        }
        let chunks = self
            .fetch(&grant, &location, key)
            .await
            .map_err(|status| fetch_failed(&location, &status.to_string()))?;
        Ok(with_location(decode(chunks), location).boxed())
    }

    async fn fetch(
        &self,
        grant: &HeldGrant,
        location: &PartitionLocation,
        partition: PartitionKey,
    ) -> Result<BoxStream<'static, Result<Bytes>>, tonic::Status> {
        let executor = &location.executor_meta;
        let address = format!("{}:{}", executor.host, executor.port);
        let channel = self.executors.channel(&executor.id, &address)?;
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let fetch = Fetch {
            grant: grant.token().to_string(),
            partition,
        };
        let answer = client.do_action(Action::new(FETCH, fetch.encode())).await?.into_inner();
        let chunks = answer.map(|chunk| {
            chunk
                .map(|chunk| chunk.body)
                .map_err(|status| DataFusionError::Execution(status.message().to_owned()))
        });
        Ok(chunks.boxed())
    }
}

fn key_of(location: &PartitionLocation) -> Result<PartitionKey> {
    let task = location
        .file_id
        .ok_or_else(|| fetch_failed(location, "the partition names no task"))?;
    if location.is_sort_shuffle {
        return Err(fetch_failed(location, "the partition has a layout that is not ours"));
    }
    Ok(PartitionKey {
        job: location.partition_id.job_id.to_string(),
        stage: location.partition_id.stage_id,
        partition: location.partition_id.partition_id,
        task,
    })
}

fn with_location(
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    location: PartitionLocation,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    batches.map_err(move |error| fetch_failed(&location, &error.to_string()))
}

fn fetch_failed(location: &PartitionLocation, why: &str) -> DataFusionError {
    // The person is told that their query is computed anew; what was wrong with the partition is for the operator.
    tracing::warn!(
        executor = location.executor_meta.id,
        job = %location.partition_id.job_id,
        stage = location.partition_id.stage_id,
        partition = location.partition_id.partition_id,
        why = without_values(why),
        "a partition could not be read"
    );
    BallistaError::FetchFailed(
        location.executor_meta.id.clone(),
        location.partition_id.stage_id,
        location.map_partition_id,
        why.to_owned(),
    )
    .into_datafusion()
}

/// Reads a partition of this process on a blocking thread.
fn read_own(store: Arc<PartitionStore>, key: PartitionKey) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let outcome = read_batches(&store, &key, |batch| sender.blocking_send(Ok(batch)).is_ok());
        if let Err(error) = outcome {
            // A receiver that is gone has nobody to tell.
            let _ = sender.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver)
}

/// Hands over every batch of a partition until `take` declines.
pub(crate) fn read_batches(
    store: &PartitionStore,
    key: &PartitionKey,
    mut take: impl FnMut(RecordBatch) -> bool,
) -> Result<()> {
    let bytes = store.read(key).map_err(super::writer::store_error)?;
    let mut reader = StreamReader::try_new(bytes, None)?;
    for batch in reader.by_ref() {
        if !take(batch?) {
            return Ok(());
        }
    }
    // The end of the Arrow stream is not the end of the file: only its last frame proves that nothing was cut off.
    let mut rest = Vec::new();
    reader.get_mut().read_to_end(&mut rest)?;
    Ok(())
}

/// Turns chunks of an IPC stream into batches.
fn decode(chunks: BoxStream<'static, Result<Bytes>>) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    struct State {
        chunks: BoxStream<'static, Result<Bytes>>,
        decoder: StreamDecoder,
        pending: Buffer,
    }
    let state = State {
        chunks,
        decoder: StreamDecoder::new(),
        pending: Buffer::from(Vec::<u8>::new()),
    };
    futures::stream::try_unfold(state, |mut state| async move {
        loop {
            while !state.pending.is_empty() {
                if let Some(batch) = state.decoder.decode(&mut state.pending)? {
                    return Ok(Some((batch, state)));
                }
            }
            match state.chunks.next().await {
                Some(chunk) => state.pending = Buffer::from(chunk?),
                None => {
                    state.decoder.finish()?;
                    return Ok(None);
                }
            }
        }
    })
}

//! Rows that are read once for several readers. Whoever needs the next row reads it, and it is kept until the others have
//! had it, too. What nobody came for grows only so far; then readers that have not begun are told to read for themselves.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use arrow::array::{Array, AsArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::codes::is_same_dictionary;

/// Most bytes of rows that are kept for readers that have not begun.
const MOST_KEPT: usize = 32 << 20;

/// The rows of one partition, on their way to several readers.
pub(super) struct Flow {
    schema: SchemaRef,
    state: Mutex<State>,
    wakers: Arc<Wakers>,
}

struct State {
    source: SendableRecordBatchStream,
    end: Option<End>,
    /// Each with the bytes that it is counted for.
    kept: VecDeque<(RecordBatch, usize)>,
    /// How many batches came before the first that is kept.
    gone: usize,
    readers: Vec<Place>,
    memory: MemoryReservation,
}

/// How the source came to its end.
#[derive(Clone)]
enum End {
    Whole,
    Failed(Arc<DataFusionError>),
}

/// Where a reader is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    NotBegun,
    /// It has had so many batches.
    Had(usize),
    /// It wants no more of them.
    Away,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flow")
    }
}

impl Flow {
    /// Rows of `source` for so many readers, kept in `memory`.
    pub(super) fn new(source: SendableRecordBatchStream, readers: usize, memory: MemoryReservation) -> Self {
        Self {
            schema: source.schema(),
            state: Mutex::new(State {
                source,
                end: None,
                kept: VecDeque::new(),
                gone: 0,
                readers: vec![Place::NotBegun; readers],
                memory,
            }),
            wakers: Arc::new(Wakers::new(readers)),
        }
    }

    /// The rows, for this reader; none if it comes too late, or a second time, and has to read for itself.
    pub(super) fn begin(self: &Arc<Self>, reader: usize) -> Option<SendableRecordBatchStream> {
        let mut state = self.state.lock();
        let place = state.readers.get_mut(reader)?;
        if *place != Place::NotBegun {
            return None;
        }
        *place = Place::Had(0);
        Some(Box::pin(Reader {
            flow: Arc::clone(self),
            reader,
        }))
    }

    fn poll(&self, reader: usize, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let mut state = self.state.lock();
        if let Some(ready) = state.kept_for(reader) {
            return Poll::Ready(ready);
        }
        // Before the source is asked, since it may wake at once.
        self.wakers.wait(reader, context.waker());
        let waker = Waker::from(Arc::clone(&self.wakers));
        let Poll::Ready(next) = state.source.poll_next_unpin(&mut Context::from_waker(&waker)) else {
            return Poll::Pending;
        };
        match next {
            Some(Ok(batch)) => state.keep(batch),
            Some(Err(error)) => state.end = Some(End::Failed(Arc::new(error))),
            None => state.end = Some(End::Whole),
        }
        let ready = state.kept_for(reader);
        drop(state);
        self.wakers.wake_others(reader);
        Poll::Ready(ready.unwrap_or(None))
    }

    fn leave(&self, reader: usize) {
        let mut state = self.state.lock();
        if let Some(place) = state.readers.get_mut(reader) {
            *place = Place::Away;
        }
        state.forget();
        drop(state);
        // It may have been the one that was woken for all.
        self.wakers.wake_others(reader);
    }
}

impl State {
    /// What is there for a reader: a batch, an error, or the end; nothing if the source has to be asked.
    fn kept_for(&mut self, reader: usize) -> Option<Option<Result<RecordBatch>>> {
        let had = match self.readers.get(reader) {
            Some(Place::Had(had)) => *had,
            _ => return Some(None),
        };
        if let Some((batch, _)) = self.kept.get(had - self.gone).cloned() {
            self.readers[reader] = Place::Had(had + 1);
            self.forget();
            return Some(Some(Ok(batch)));
        }
        self.end.clone().map(|end| match end {
            End::Whole => None,
            End::Failed(error) => Some(Err(DataFusionError::Shared(error))),
        })
    }

    fn keep(&mut self, batch: RecordBatch) {
        let size = size_after(self.kept.back().map(|(last, _)| last), &batch);
        let within = self.memory.size() + size <= MOST_KEPT && self.memory.try_grow(size).is_ok();
        if !within {
            for place in &mut self.readers {
                if *place == Place::NotBegun {
                    *place = Place::Away;
                }
            }
            self.forget();
            self.memory.grow(size);
        }
        self.kept.push_back((batch, size));
    }

    /// Lets go of batches that every reader has had.
    fn forget(&mut self) {
        let least = self.readers.iter().map(|place| match place {
            Place::NotBegun => 0,
            Place::Had(had) => *had,
            Place::Away => usize::MAX,
        });
        let least = least.min().unwrap_or(usize::MAX);
        while self.gone < least
            && let Some((_, size)) = self.kept.pop_front()
        {
            self.memory.shrink(size);
            self.gone += 1;
        }
    }
}

/// Bytes that a batch adds to the one before it: dictionaries are shared by the batches of a row group.
fn size_after(before: Option<&RecordBatch>, batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter().enumerate().map(|(n, column)| {
        let Some(codes) = column.as_any_dictionary_opt() else {
            return column.get_array_memory_size();
        };
        let before = before.and_then(|before| before.columns().get(n)?.as_any_dictionary_opt());
        let shared = before.is_some_and(|before| is_same_dictionary(before.values(), codes.values()));
        let values = if shared {
            0
        } else {
            codes.values().get_array_memory_size()
        };
        codes.keys().get_array_memory_size() + values
    });
    columns.sum()
}

/// One reader's stream.
struct Reader {
    flow: Arc<Flow>,
    reader: usize,
}

impl Stream for Reader {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.flow.poll(self.reader, context)
    }
}

impl RecordBatchStream for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.flow.schema)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flow.leave(self.reader);
    }
}

/// The readers that wait. A source wakes who asked last, and that one may not come back: so all are woken.
struct Wakers(Mutex<Vec<Option<Waker>>>);

impl Wakers {
    fn new(readers: usize) -> Self {
        Self(Mutex::new(vec![None; readers]))
    }

    fn wait(&self, reader: usize, waker: &Waker) {
        if let Some(waits) = self.0.lock().get_mut(reader) {
            match waits {
                Some(known) => known.clone_from(waker),
                None => *waits = Some(waker.clone()),
            }
        }
    }

    /// Wakes all but this one, which is awake.
    fn wake_others(&self, reader: usize) {
        let mut waiting = self.0.lock();
        if let Some(own) = waiting.get_mut(reader) {
            *own = None;
        }
        let others: Vec<Waker> = waiting.iter_mut().filter_map(Option::take).collect();
        drop(waiting);
        others.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let waiting: Vec<Waker> = self.0.lock().iter_mut().filter_map(Option::take).collect();
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    fn batch(first: i64, rows: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(first..first + rows)) as _)]).unwrap()
    }

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(GreedyMemoryPool::new(1 << 30))
    }

    /// A flow of these items for so many readers.
    fn flow<S>(items: S, readers: usize, pool: &Arc<dyn MemoryPool>) -> Arc<Flow>
    where
        S: Stream<Item = Result<RecordBatch>> + Send + 'static,
    {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let source = Box::pin(RecordBatchStreamAdapter::new(schema, items));
        Arc::new(Flow::new(source, readers, MemoryConsumer::new("flow").register(pool)))
    }

    fn batches(count: i64) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::iter((0..count).map(|n| Ok(batch(n, 1))))
    }

    async fn numbers(mut rows: SendableRecordBatchStream) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        while let Some(batch) = rows.next().await {
            found.extend(batch?.column(0).as_primitive::<Int64Type>().values());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn every_reader_has_every_row() {
        let pool = pool();
        let flow = flow(batches(50), 3, &pool);
        let expected: Vec<i64> = (0..50).collect();
        // One after the other, as a join reads its sides; then two at once.
        assert_eq!(numbers(flow.begin(1).unwrap()).await.unwrap(), expected);
        assert!(pool.reserved() > 0);
        let both = futures::future::join(numbers(flow.begin(0).unwrap()), numbers(flow.begin(2).unwrap())).await;
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (expected.clone(), expected));
        assert_eq!(pool.reserved(), 0);
        assert!(flow.begin(1).is_none(), "a reader has the rows once");
        assert!(flow.begin(3).is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn readers_of_other_tasks_wait_for_each_other() {
        for _ in 0..200 {
            let source = batches(40).then(|item| async {
                tokio::task::yield_now().await;
                item
            });
            let flow = flow(source, 4, &pool());
            let readers = (0..4).map(|reader| tokio::spawn(numbers(flow.begin(reader).unwrap())));
            for found in futures::future::join_all(readers).await {
                assert_eq!(found.unwrap().unwrap(), (0..40).collect::<Vec<_>>());
            }
        }
    }

    #[tokio::test]
    async fn a_reader_that_leaves_holds_nobody_up() {
        let pool = pool();
        let flow = flow(batches(30), 2, &pool);
        let mut first = flow.begin(0).unwrap();
        first.next().await.unwrap().unwrap();
        let second = flow.begin(1).unwrap();
        drop(first);
        assert_eq!(numbers(second).await.unwrap().len(), 30);
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn who_comes_after_too_many_rows_reads_for_himself() {
        let pool = pool();
        let rows = 1 << 20;
        let flow = flow(stream::iter((0..6).map(move |n| Ok(batch(n * rows, rows)))), 3, &pool);
        let mut begun = flow.begin(1).unwrap();
        begun.next().await.unwrap().unwrap();
        assert_eq!(numbers(flow.begin(0).unwrap()).await.unwrap().len(), 6 << 20);
        assert!(flow.begin(2).is_none());
        // Who had begun has all the same what is left.
        assert_eq!(numbers(begun).await.unwrap().len(), 5 << 20);
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn every_reader_hears_of_a_failure() {
        let failing = batches(3).chain(stream::iter([Err(DataFusionError::Execution("broken".to_owned()))]));
        let flow = flow(failing, 2, &pool());
        for reader in 0..2 {
            let error = numbers(flow.begin(reader).unwrap()).await.unwrap_err();
            assert!(error.to_string().contains("broken"), "{error}");
        }
    }
}

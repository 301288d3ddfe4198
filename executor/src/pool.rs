//! The memory pool of all tasks of this executor: DataFusion's fair pool, whose refusals name the pool, its size and what
//! to do. Operators that can spill do so when they are refused; the sentence is for those that cannot, and reaches the
//! person who asked. It holds no name of a column and no value: only the kind of operator and sizes.
//!
//! The fair pool divides by the operators that are there now, and gives whoever merges spilled runs all that is left.
//! Partitions of a stage do not begin at one moment, so that the first leaves the others no room for what they need before
//! they can spill. Here the pool is divided by the partitions of all running tasks, with one share to spare: neither what can
//! spill nor a merge takes more than a share, a sort keeps half of one, and sets a third aside for merging.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use datafusion::prelude::SessionConfig;
use parcours_cluster::bytesize::ByteSize;
use parking_lot::Mutex;

/// The consumer under which DataFusion's sorts hold rows.
const SORTING: &str = "ExternalSorter";

/// The one under which they merge. Before it spills, a sort holds the keys of all its rows here, which are about as large as
/// compact rows are.
const MERGING: &str = "ExternalSorterMerge";

/// A fair pool of a stated size, and the most that was reserved of it so far.
#[derive(Debug)]
pub(crate) struct NodePool {
    fair: FairSpillPool,
    size: ByteSize,
    held: Mutex<Held>,
    /// Partitions of all running tasks.
    partitions: AtomicUsize,
    peak: AtomicUsize,
}

/// What is held by those that cannot spill.
#[derive(Debug, Default)]
struct Held {
    /// Bytes of each merging consumer, by its id.
    merging: HashMap<usize, usize>,
    /// Bytes of all others.
    fixed: usize,
}

/// Says that the partitions of a task run for as long as it lives.
#[derive(Debug)]
pub(crate) struct Share {
    pool: Arc<NodePool>,
    partitions: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.partitions.fetch_sub(self.partitions, Ordering::Relaxed);
    }
}

impl Share {
    /// The task's context, with what a sort sets aside for merging cut down to its share, and a configuration that is changed
    /// for it.
    pub(crate) fn context(
        &self,
        context: &TaskContext,
        change: impl FnOnce(SessionConfig) -> SessionConfig,
    ) -> Arc<TaskContext> {
        let mut config = change(context.session_config().clone());
        let aside = &mut config.options_mut().execution.sort_spill_reservation_bytes;
        let running = self.pool.partitions.load(Ordering::Relaxed).max(1);
        *aside = (*aside).min(self.pool.size.as_usize() / (3 * (running + 1)));
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config,
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }
}

impl NodePool {
    /// A pool of `size`.
    pub(crate) fn new(size: ByteSize) -> Self {
        Self {
            fair: FairSpillPool::new(size.as_usize()),
            size,
            held: Mutex::default(),
            partitions: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    /// Takes a share for each partition of a task that begins.
    pub(crate) fn enter(self: &Arc<Self>, partitions: usize) -> Share {
        self.partitions.fetch_add(partitions, Ordering::Relaxed);
        Share {
            pool: self.clone(),
            partitions,
        }
    }

    /// What a partition may count on.
    fn share(&self) -> usize {
        let divided = self.size.as_usize().saturating_sub(self.held.lock().fixed);
        divided / (self.partitions.load(Ordering::Relaxed) + 1)
    }

    /// Whether a consumer would take more than is left to the others.
    fn is_greedy(&self, reservation: &MemoryReservation, additional: usize) -> bool {
        let consumer = reservation.consumer();
        if consumer.can_spill() {
            // What a sort takes first is one batch, with which it could do nothing but give up.
            let sorts_more = kind(consumer.name()) == SORTING && reservation.size() > 0;
            reservation.size() + additional > self.share() / if sorts_more { 2 } else { 1 }
        } else if kind(consumer.name()) == MERGING {
            let share = self.share();
            let held = self.held.lock().merging.get(&consumer.id()).copied().unwrap_or(0);
            held + additional > share
        } else {
            false
        }
    }

    /// The pool's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.0
    }

    /// The most bytes that were reserved at once since the start.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn grown(&self, consumer: &MemoryConsumer, additional: usize) {
        if !consumer.can_spill() {
            let mut held = self.held.lock();
            match kind(consumer.name()) {
                MERGING => *held.merging.entry(consumer.id()).or_default() += additional,
                _ => held.fixed += additional,
            }
        }
        self.peak.fetch_max(self.fair.reserved(), Ordering::Relaxed);
    }

    fn shrunk(&self, consumer: &MemoryConsumer, by: usize) {
        if !consumer.can_spill() {
            let mut held = self.held.lock();
            let Held { merging, fixed } = &mut *held;
            let bytes = match kind(consumer.name()) {
                MERGING => merging.entry(consumer.id()).or_default(),
                _ => fixed,
            };
            *bytes = bytes.saturating_sub(by);
        }
    }

    fn refusal(&self, reservation: &MemoryReservation, additional: usize) -> DataFusionError {
        let consumer = reservation.consumer();
        let spills = if consumer.can_spill() {
            "and what it could spill was not enough"
        } else {
            "and cannot spill"
        };
        DataFusionError::ResourcesExhausted(format!(
            "the memory pool of an executor (memory = {}) is used up: {} needs {} more {spills}, make the query smaller \
             or raise memory",
            self.size,
            kind(consumer.name()),
            human_readable_size(additional)
        ))
    }
}

/// The operator that a consumer's name begins with; what follows may quote expressions of the query.
fn kind(name: &str) -> &str {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    match &name[..end.unwrap_or(name.len())] {
        "" => "an operator",
        kind => kind,
    }
}

impl fmt::Display for NodePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory = {}", self.size)
    }
}

impl MemoryPool for NodePool {
    fn name(&self) -> &str {
        "executor"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.fair.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.fair.unregister(consumer);
        self.held.lock().merging.remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
        self.grown(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
        self.shrunk(reservation.consumer(), shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if self.is_greedy(reservation, additional) {
            return Err(self.refusal(reservation, additional));
        }
        match self.fair.try_grow(reservation, additional) {
            Err(DataFusionError::ResourcesExhausted(_)) => Err(self.refusal(reservation, additional)),
            outcome => {
                outcome?;
                self.grown(reservation.consumer(), additional);
                Ok(())
            }
        }
    }

    fn reserved(&self) -> usize {
        self.fair.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.fair.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(NodePool::new(ByteSize::mib(1)))
    }

    #[test]
    fn a_refusal_names_the_pool_its_size_and_the_operator_alone() {
        let pool = pool();
        let reservation = MemoryConsumer::new("HashJoinInput[3] (name = 'DUPONT')").register(&pool);
        reservation.try_grow(1 << 19).unwrap();
        let error = reservation.try_grow(2 << 20).unwrap_err();
        assert!(matches!(error, DataFusionError::ResourcesExhausted(_)), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("memory = 1MiB") && text.contains("HashJoinInput needs 2.0 MB"),
            "{text}"
        );
        assert!(text.contains("cannot spill") && !text.contains("DUPONT"), "{text}");
        assert_eq!(reservation.size(), 1 << 19, "a refusal changes nothing");
    }

    #[test]
    fn the_most_that_was_reserved_is_remembered() {
        let node = Arc::new(NodePool::new(ByteSize::mib(1)));
        let pool: Arc<dyn MemoryPool> = node.clone();
        let reservation = MemoryConsumer::new("one").register(&pool);
        reservation.try_grow(1000).unwrap();
        reservation.shrink(900);
        assert_eq!((node.reserved(), node.peak(), node.size()), (100, 1000, 1 << 20));
    }

    #[test]
    fn partitions_that_are_to_come_find_room() {
        let node = Arc::new(NodePool::new(ByteSize::mib(12)));
        let pool: Arc<dyn MemoryPool> = node.clone();
        let shares = [node.enter(1), node.enter(1)];
        // Shares of 4 MiB: two run, and one is spare.
        let first = MemoryConsumer::new("ExternalSorter[0]")
            .with_can_spill(true)
            .register(&pool);
        first.try_grow(2 << 20).unwrap();
        assert!(first.try_grow(1).is_err(), "half a share, the rest is for its keys");
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        let other = merge.new_empty();
        merge.try_grow(3 << 20).unwrap();
        assert!(
            other.try_grow((1 << 20) + 1).is_err(),
            "one share, whatever it is divided into"
        );
        other.try_grow(1 << 20).unwrap();
        let context = shares[0].context(&TaskContext::default(), |config| config);
        let aside = context
            .session_config()
            .options()
            .execution
            .sort_spill_reservation_bytes;
        assert_eq!(aside, (4 << 20) / 3, "a third of a share");

        merge.shrink(2 << 20);
        let join = MemoryConsumer::new("HashJoinInput[1]").register(&pool);
        join.try_grow(3 << 20).unwrap();
        let second = MemoryConsumer::new("GroupedHashAggregateStream[1]")
            .with_can_spill(true)
            .register(&pool);
        second.try_grow(3 << 20).unwrap();
        assert!(
            second.try_grow(1).is_err(),
            "what others need is taken off before the rest is shared"
        );
        drop((merge, other, join, shares));
        assert_eq!(node.share(), 12 << 20, "all is given back");
    }

    #[test]
    fn only_the_kind_of_an_operator_is_told() {
        assert_eq!(
            kind("GroupedHashAggregateStream[0] (count('x'))"),
            "GroupedHashAggregateStream"
        );
        assert_eq!(kind("ExternalSorter[1]"), "ExternalSorter");
        assert_eq!(kind("'quoted'"), "an operator");
    }
}

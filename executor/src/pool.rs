//! The memory pool of all tasks of this executor: DataFusion's fair pool, whose refusals name the pool, its size and what
//! to do. Operators that can spill do so when they are refused; the sentence is for those that cannot, and reaches the
//! person who asked. It holds no name of a column and no value: only the kind of operator and sizes.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parcours_cluster::bytesize::ByteSize;

/// A fair pool of a stated size, and the most that was reserved of it so far.
#[derive(Debug)]
pub(crate) struct NodePool {
    fair: FairSpillPool,
    size: ByteSize,
    peak: AtomicUsize,
}

impl NodePool {
    /// A pool of `size`.
    pub(crate) fn new(size: ByteSize) -> Self {
        Self {
            fair: FairSpillPool::new(size.as_usize()),
            size,
            peak: AtomicUsize::new(0),
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

    fn note(&self) {
        self.peak.fetch_max(self.fair.reserved(), Ordering::Relaxed);
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
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
        self.note();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        match self.fair.try_grow(reservation, additional) {
            Err(DataFusionError::ResourcesExhausted(_)) => Err(self.refusal(reservation, additional)),
            outcome => {
                self.note();
                outcome
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
    fn only_the_kind_of_an_operator_is_told() {
        assert_eq!(
            kind("GroupedHashAggregateStream[0] (count('x'))"),
            "GroupedHashAggregateStream"
        );
        assert_eq!(kind("ExternalSorter[1]"), "ExternalSorter");
        assert_eq!(kind("'quoted'"), "an operator");
    }
}

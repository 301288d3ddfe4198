//! The memory of a load's sorts, in two parts. DataFusion's sort hands its rows to a merge at the end of its input, batch by
//! batch, and the merge asks the pool for each anew. In one pool, another sort takes what the first gave back in between,
//! and the merge, which cannot spill, ends the load. So those that can spill have a part of their own, and a merge, which
//! holds no more than its sort did, as much again.

use std::fmt;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// What each part has of the pool's bytes. A batch is with the sort or with its merge, so that both together come to little
/// more than one and a half of the sorts' part.
const PART: f64 = 0.6;

/// A part for sorts, and one for merges.
#[derive(Debug)]
pub(super) struct SortPool {
    sorts: FairSpillPool,
    merges: GreedyMemoryPool,
    bytes: usize,
}

impl SortPool {
    /// A pool of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let part = Self::part(bytes);
        Self {
            sorts: FairSpillPool::new(part),
            merges: GreedyMemoryPool::new(part),
            bytes,
        }
    }

    /// The bytes of which either part of a pool of `bytes` has to make do.
    pub(super) fn part(bytes: usize) -> usize {
        (bytes as f64 * PART) as usize
    }

    fn of(&self, consumer: &MemoryConsumer) -> &dyn MemoryPool {
        match consumer.can_spill() {
            true => &self.sorts,
            false => &self.merges,
        }
    }
}

impl fmt::Display for SortPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.name(), self.bytes)
    }
}

impl MemoryPool for SortPool {
    fn name(&self) -> &str {
        "sorts"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.of(consumer).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.of(consumer).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.of(reservation.consumer()).grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.of(reservation.consumer()).shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.of(reservation.consumer()).try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.sorts.reserved() + self.merges.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_merge_finds_room_though_other_sorts_took_what_its_sort_gave_back() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SortPool::new(1000));
        let sort = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (first, second) = (sort("first"), sort("second"));
        first.try_grow(300).unwrap();
        second.try_grow(300).unwrap();
        let merge = MemoryConsumer::new("merge").register(&pool);
        for _ in 0..30 {
            first.shrink(10);
            merge.try_grow(10).unwrap();
        }
        assert_eq!(pool.reserved(), 600);
        second.try_grow(1).unwrap_err();
    }
}

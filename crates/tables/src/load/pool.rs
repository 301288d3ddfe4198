//! The memory of a load's sorts. DataFusion's sort hands its rows to a merge at the end of its input, batch by batch, and the
//! merge asks the pool for each anew. In its fair pool, another sort takes what the first gave back in between, and the
//! merge, which cannot spill, ends the load. Here sorts share a part of the pool, and the rest is for those that cannot
//! spill, with whatever the sorts do not hold.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};

/// The part of the pool that sorts share. Two that are full at once have half of it each; when one has given its rows to its
/// merge and the other has all of it, that is nine tenths of the pool.
const FOR_SORTS: f64 = 0.6;

/// A pool of which a part is for what can spill.
#[derive(Debug)]
pub(super) struct SortPool {
    sorts: FairSpillPool,
    /// Held by those that cannot spill.
    fixed: AtomicUsize,
    bytes: usize,
}

impl SortPool {
    /// A pool of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            sorts: FairSpillPool::new((bytes as f64 * FOR_SORTS) as usize),
            fixed: AtomicUsize::new(0),
            bytes,
        }
    }
}

impl fmt::Display for SortPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sorts of at most {}", human_readable_size(self.bytes))
    }
}

impl MemoryPool for SortPool {
    fn name(&self) -> &str {
        "sorts"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.sorts.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.sorts.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        match reservation.consumer().can_spill() {
            true => self.sorts.grow(reservation, additional),
            false => drop(self.fixed.fetch_add(additional, Ordering::Relaxed)),
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        match reservation.consumer().can_spill() {
            true => self.sorts.shrink(reservation, shrink),
            false => drop(self.fixed.fetch_sub(shrink, Ordering::Relaxed)),
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().can_spill() {
            return self.sorts.try_grow(reservation, additional);
        }
        let free = self.bytes.saturating_sub(self.sorts.reserved());
        let more = |fixed: usize| (fixed + additional <= free).then_some(fixed + additional);
        let grown = self.fixed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        grown.map(drop).map_err(|fixed| {
            resources_datafusion_err!(
                "{} needs {} more than the {} of {self} that are free",
                reservation.consumer().name(),
                human_readable_size(additional),
                human_readable_size(free.saturating_sub(fixed))
            )
        })
    }

    fn reserved(&self) -> usize {
        self.sorts.reserved() + self.fixed.load(Ordering::Relaxed)
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
        // Without sorts, all of the pool is there for merges.
        second.free();
        merge.try_grow(700).unwrap();
        let refused = merge.try_grow(1).unwrap_err().to_string();
        assert!(refused.contains("merge needs"), "{refused}");
    }
}

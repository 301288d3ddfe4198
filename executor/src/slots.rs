//! How many tasks run at once. Each membership has slots of its own: a task of the one before may not have ended yet when its
//! executor joins again, and a membership must not begin without any slot.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of an executor.
#[derive(Debug)]
pub(crate) struct Slots {
    count: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Semaphore>,
    /// Whether no membership begins any more.
    closed: bool,
}

impl Slots {
    /// So many slots, but at least one.
    pub(crate) fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let state = State {
            current: Arc::new(Semaphore::new(count as usize)),
            closed: false,
        };
        Self {
            count,
            state: Mutex::new(state),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether no membership is to begin any more.
    pub(crate) fn are_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// The slots of a membership that begins: at least one, and as many as are free. Those of tasks that run on from the
    /// membership before come as these end. None once the slots are closed. Must be called inside a runtime.
    pub(crate) fn renew(&self) -> Option<Arc<Semaphore>> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let count = self.count as usize;
        let free = state.current.forget_permits(count).max(1);
        let fresh = Arc::new(Semaphore::new(free));
        let before = std::mem::replace(&mut state.current, fresh.clone());
        tokio::spawn(move_over(before, fresh.clone(), count - free));
        Some(fresh)
    }

    /// Lets no task begin from now on, and waits for those that run. The slots are taken until what is returned is dropped.
    pub(crate) async fn close(&self) -> Option<OwnedSemaphorePermit> {
        let current = {
            let mut state = self.state.lock();
            state.closed = true;
            state.current.clone()
        };
        current.acquire_many_owned(self.count).await.ok()
    }
}

/// Gives over so many slots as they become free.
async fn move_over(before: Arc<Semaphore>, after: Arc<Semaphore>, count: usize) {
    for _ in 0..count {
        let Ok(slot) = before.acquire().await else { return };
        slot.forget();
        after.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    /// Takes this many slots, as tasks that begin do.
    async fn taken(slots: &Arc<Semaphore>, count: usize) -> Vec<OwnedSemaphorePermit> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(slots.clone().acquire_owned().await.unwrap());
        }
        taken
    }

    async fn becomes(slots: &Semaphore, free: usize) {
        let became = async {
            while slots.available_permits() != free {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), became).await.unwrap();
    }

    #[tokio::test]
    async fn a_membership_begins_with_a_slot_though_all_are_taken() {
        let slots = Slots::new(3);
        let first = slots.renew().unwrap();
        assert_eq!(first.available_permits(), 3);
        let mut running = taken(&first, 3).await;
        let second = slots.renew().unwrap();
        assert_eq!(second.available_permits(), 1);
        // And once more, before any task has ended.
        let third = slots.renew().unwrap();
        assert_eq!(third.available_permits(), 1);
        drop(running.pop());
        drop(running.pop());
        becomes(&third, 3).await;
        drop(running.pop());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(third.available_permits(), 3, "no more than there are");
    }

    #[tokio::test]
    async fn a_membership_has_the_slots_that_are_free() {
        let slots = Slots::new(4);
        let first = slots.renew().unwrap();
        let running = taken(&first, 1).await;
        let second = slots.renew().unwrap();
        assert_eq!(second.available_permits(), 3);
        drop(running);
        becomes(&second, 4).await;
    }

    #[tokio::test]
    async fn closed_slots_wait_for_running_tasks_and_begin_no_membership() {
        let slots = Arc::new(Slots::new(2));
        let first = slots.renew().unwrap();
        let mut running = taken(&first, 2).await;
        let second = slots.renew().unwrap();
        running.extend(taken(&second, 1).await);
        let closing = tokio::spawn({
            let slots = slots.clone();
            async move { slots.close().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!closing.is_finished() && slots.renew().is_none());
        running.clear();
        let _all = closing.await.unwrap().unwrap();
        assert_eq!(second.available_permits(), 0);
    }

    #[test]
    fn there_is_always_a_slot() {
        assert_eq!((Slots::new(0).count(), Slots::new(7).count()), (1, 7));
    }
}

//! Bytes against a limit, and who holds how many of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes may be held at once.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// Bytes of a budget that are held; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of which nothing is held yet.
    pub(super) fn new(limit: u64) -> Arc<Self> {
        let used = AtomicU64::new(0);
        Arc::new(Self { limit, used })
    }

    /// Bytes that may be held.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes held now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }
}

impl Lease {
    /// A lease of nothing.
    pub(super) fn none(budget: &Arc<Budget>) -> Self {
        Self {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// Holds so many bytes more; false, and nothing changes, if the budget has not got them.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.budget.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    /// Holds `bytes` and no more.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let over = self.bytes.saturating_sub(bytes);
        self.bytes -= over;
        self.budget.used.fetch_sub(over, Ordering::Relaxed);
    }

    /// Holds nothing more.
    pub(super) fn give_back(&mut self) {
        self.shrink_to(0);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

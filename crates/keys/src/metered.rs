//! Every use of a master key is counted and told: a decorator over any key service.
//!
//! Each use is one event at the target `parcours::keys::audit` (operation, master key, outcome, duration), never with a
//! data key, a wrapped key or additional data, and one count in [`KeyMeters`], which a process shows as metrics. A use
//! that its caller gave up is told too: the service may have carried it out.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::error::KeyError;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::DataKey;
use crate::service::{KeyAdmin, KeyService, WrappedKey};

/// What a service was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOperation {
    /// A data key was wrapped.
    Wrap,
    /// A data key was unwrapped.
    Unwrap,
    /// The current version was looked up.
    Current,
    /// A master key was created.
    Create,
    /// Master keys were listed.
    Names,
    /// A master key was given a new version.
    Rotate,
}

impl KeyOperation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Wrap,
        Self::Unwrap,
        Self::Current,
        Self::Create,
        Self::Names,
        Self::Rotate,
    ];

    /// As events and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Current => "current",
            Self::Create => "create",
            Self::Names => "names",
            Self::Rotate => "rotate",
        }
    }
}

/// How a use ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOutcome {
    /// As asked.
    Ok,
    /// The key is not held, or not for this process.
    Denied,
    /// The service could not answer.
    Unavailable,
    /// What was to be unwrapped does not authenticate.
    Tampered,
    /// Otherwise: a key that exists already, a service that cannot be used.
    Failed,
    /// The caller did not wait for the answer.
    Abandoned,
}

impl KeyOutcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Denied,
        Self::Unavailable,
        Self::Tampered,
        Self::Failed,
        Self::Abandoned,
    ];

    /// As events and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Tampered => "tampered",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    fn of<T>(answer: &Result<T, KeyError>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(error) if error.is_denial() => Self::Denied,
            Err(KeyError::Tampered { .. }) => Self::Tampered,
            Err(error) if error.is_passing() => Self::Unavailable,
            Err(_) => Self::Failed,
        }
    }
}

/// Uses of one kind that ended alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyMeasure {
    /// What was asked for.
    pub operation: KeyOperation,
    /// How it ended.
    pub outcome: KeyOutcome,
    /// How often.
    pub count: u64,
    /// How long all of them took together.
    pub total: Duration,
    /// How often it took no longer than each of [`KeyMeters::BOUNDS`].
    pub within: [u64; KeyMeters::BOUNDS.len()],
}

/// Counts of the uses of key services.
#[derive(Debug)]
pub struct KeyMeters {
    cells: [[Cell; KeyOutcome::ALL.len()]; KeyOperation::ALL.len()],
}

#[derive(Debug, Default)]
struct Cell {
    count: AtomicU64,
    nanoseconds: AtomicU64,
    within: [AtomicU64; KeyMeters::BOUNDS.len()],
}

impl Default for KeyMeters {
    fn default() -> Self {
        Self {
            cells: array::from_fn(|_| array::from_fn(|_| Cell::default())),
        }
    }
}

impl KeyMeters {
    /// Durations that [`KeyMeasure::within`] counts up to.
    pub const BOUNDS: [Duration; 7] = [
        Duration::from_micros(100),
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_millis(2500),
    ];

    /// What was counted so far, without what never happened.
    pub fn measures(&self) -> Vec<KeyMeasure> {
        let measure = |(operation, outcome): (KeyOperation, KeyOutcome)| {
            let cell = &self.cells[operation as usize][outcome as usize];
            KeyMeasure {
                operation,
                outcome,
                count: cell.count.load(Ordering::Relaxed),
                total: Duration::from_nanos(cell.nanoseconds.load(Ordering::Relaxed)),
                within: array::from_fn(|bound| cell.within[bound].load(Ordering::Relaxed)),
            }
        };
        let kinds = KeyOperation::ALL.into_iter();
        let kinds = kinds.flat_map(|operation| KeyOutcome::ALL.map(|outcome| (operation, outcome)));
        kinds.map(measure).filter(|measure| measure.count > 0).collect()
    }

    /// How often an operation ended so.
    pub fn count(&self, operation: KeyOperation, outcome: KeyOutcome) -> u64 {
        self.cells[operation as usize][outcome as usize]
            .count
            .load(Ordering::Relaxed)
    }

    fn record(&self, operation: KeyOperation, outcome: KeyOutcome, took: Duration) {
        let cell = &self.cells[operation as usize][outcome as usize];
        cell.count.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        cell.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        for (bound, within) in Self::BOUNDS.iter().zip(&cell.within) {
            if took <= *bound {
                within.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A key service whose uses are counted and told.
pub struct Metered<S: ?Sized> {
    meters: Arc<KeyMeters>,
    service: Arc<S>,
}

impl<S: ?Sized> Metered<S> {
    /// Counts the uses of `service` in `meters`, which several services may share.
    pub fn new(service: Arc<S>, meters: Arc<KeyMeters>) -> Self {
        Self { meters, service }
    }

    fn begin(&self, operation: KeyOperation, key: Option<String>) -> Use<'_> {
        Use {
            meters: &self.meters,
            operation,
            key,
            began: Instant::now(),
            outcome: KeyOutcome::Abandoned,
        }
    }
}

/// A use under way; it is recorded when it is dropped, however that comes.
struct Use<'a> {
    meters: &'a KeyMeters,
    operation: KeyOperation,
    key: Option<String>,
    began: Instant,
    outcome: KeyOutcome,
}

impl Use<'_> {
    /// Ends the use with its answer. `id` is the version that was used, where the answer tells it.
    fn end<T>(
        mut self,
        answer: Result<T, KeyError>,
        id: impl FnOnce(&T) -> Option<&MasterKeyId>,
    ) -> Result<T, KeyError> {
        self.outcome = KeyOutcome::of(&answer);
        if let Some(id) = answer.as_ref().ok().and_then(id) {
            self.key = Some(id.to_string());
        }
        answer
    }
}

/// An answer that is the version itself.
fn itself(id: &MasterKeyId) -> Option<&MasterKeyId> {
    Some(id)
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.meters.record(self.operation, self.outcome, took);
        tracing::info!(
            target: "parcours::keys::audit",
            operation = self.operation.as_str(),
            key = self.key.as_deref().unwrap_or("all"),
            outcome = self.outcome.as_str(),
            microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "master key used"
        );
    }
}

#[async_trait]
impl<S: KeyService + ?Sized> KeyService for Metered<S> {
    async fn wrap(&self, name: &MasterKeyName, key: &DataKey, aad: &[u8]) -> Result<WrappedKey, KeyError> {
        let used = self.begin(KeyOperation::Wrap, Some(name.to_string()));
        used.end(self.service.wrap(name, key, aad).await, |wrapped| Some(&wrapped.master))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<DataKey, KeyError> {
        let used = self.begin(KeyOperation::Unwrap, Some(wrapped.master.to_string()));
        used.end(self.service.unwrap(wrapped, aad).await, |_| None)
    }

    async fn current(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let used = self.begin(KeyOperation::Current, Some(name.to_string()));
        used.end(self.service.current(name).await, itself)
    }
}

#[async_trait]
impl<S: KeyAdmin + ?Sized> KeyAdmin for Metered<S> {
    async fn create(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let used = self.begin(KeyOperation::Create, Some(name.to_string()));
        used.end(self.service.create(name).await, itself)
    }

    async fn names(&self) -> Result<Vec<MasterKeyName>, KeyError> {
        let used = self.begin(KeyOperation::Names, None);
        used.end(self.service.names().await, |_| None)
    }

    async fn rotate(&self, name: &MasterKeyName) -> Result<MasterKeyId, KeyError> {
        let used = self.begin(KeyOperation::Rotate, Some(name.to_string()));
        used.end(self.service.rotate(name).await, itself)
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for Metered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metered").field(&self.service).finish()
    }
}

#[cfg(test)]
mod tests;

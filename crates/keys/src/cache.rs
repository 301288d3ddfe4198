//! A cache of unwrapped data keys that forgets: bounded in number and in time, and on command.
//!
//! Readers ask here, never the service itself. Concurrent requests for one key become one request to the service;
//! denials are remembered for seconds only, passing faults not at all. The synchronous entry that Parquet's key
//! retriever needs is [`UnwrapCache::unwrap_now`]; see [`crate::decrypt`] for its use.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::context::{FileContext, push_part};
use crate::error::KeyError;
use crate::name::MasterKeyName;
use crate::secret::DataKey;
use crate::service::{KeyService, WrappedKey};

/// Bounds of an [`UnwrapCache`].
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// Most data keys kept; the least recently used goes first. Default 16,384 (some 4 MB).
    pub capacity: usize,
    /// How long a data key is kept after its unwrapping. Default 10 minutes.
    pub ttl: Duration,
    /// How long a denial is repeated without asking again. Default 2 seconds.
    pub denial_ttl: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            capacity: 16_384,
            ttl: Duration::from_secs(600),
            denial_ttl: Duration::from_secs(2),
        }
    }
}

/// How often the cache answered itself, and how often it asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that the cache could not answer.
    pub misses: u64,
    /// Requests made to the key service; at most `misses`, since concurrent ones are joined.
    pub unwraps: u64,
    /// Requests answered by a denial, asked or remembered.
    pub denials: u64,
}

/// Files whose last refusal is remembered.
const REFUSED_FILES: usize = 1024;

type Digest = [u8; 32];
type Flight = Shared<BoxFuture<'static, Result<Arc<DataKey>, KeyError>>>;

struct Entry {
    name: MasterKeyName,
    key: Arc<DataKey>,
    since: Instant,
    turn: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Digest, Entry>,
    /// Entries by the turn of their last use: the first is the least recently used.
    turns: BTreeMap<u64, Digest>,
    turn: u64,
    denials: HashMap<Digest, (KeyError, Instant)>,
    flights: HashMap<Digest, (MasterKeyName, Flight)>,
    /// Grows with every `forget`, so that an answer asked for before it is not kept after it.
    generation: u64,
    refused_files: BTreeMap<FileContext, (MasterKeyName, KeyError)>,
}

/// Unwrapped data keys of one key service. Shared by all readers of a process.
pub struct UnwrapCache {
    service: Arc<dyn KeyService>,
    options: CacheOptions,
    state: Mutex<State>,
    hits: AtomicU64,
    misses: AtomicU64,
    unwraps: AtomicU64,
    denied: AtomicU64,
    this: Weak<Self>,
}

impl UnwrapCache {
    /// An empty cache in front of `service`.
    pub fn new(service: Arc<dyn KeyService>, options: CacheOptions) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            service,
            options,
            state: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            unwraps: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            this: this.clone(),
        })
    }

    /// The data key in `wrapped`, from the cache or the service.
    ///
    /// # Errors
    /// As [`KeyService::unwrap`]; a denial may be up to [`CacheOptions::denial_ttl`] old.
    pub async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Arc<DataKey>, KeyError> {
        let digest = fingerprint(wrapped, aad);
        if let Some(known) = self.look_up(&digest) {
            return self.count(known);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let flight = self.join_or_start(digest, wrapped, aad);
        self.count(flight.await)
    }

    /// The same for a caller that cannot await, as Parquet's key retriever.
    ///
    /// A service that answers at once, as the keyring does, needs no runtime. One that takes time is waited for on a
    /// multi-thread runtime's thread.
    ///
    /// # Errors
    /// As [`UnwrapCache::unwrap`], and [`KeyError::NoRuntime`] when waiting is not possible here.
    pub fn unwrap_now(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Arc<DataKey>, KeyError> {
        let mut request = Box::pin(self.unwrap(wrapped, aad));
        if let Some(answer) = request.as_mut().now_or_never() {
            return answer;
        }
        match Handle::try_current() {
            Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| handle.block_on(request))
            }
            // Another thread may be asking the same of a service that answers at once: ask it ourselves.
            _ => self.ask_once(wrapped, aad),
        }
    }

    /// Forgets every data key that a version of `name` unwrapped, and denials about it.
    ///
    /// Files opened before keep the footer keys they hold; column keys are asked for again at the next column chunk.
    pub fn forget(&self, name: &MasterKeyName) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.entries.retain(|_, entry| entry.name != *name);
        state.flights.retain(|_, (flight_name, _)| flight_name != name);
        state.denials.retain(|_, (error, _)| error.key() != Some(name));
        let State { entries, turns, .. } = &mut *state;
        turns.retain(|_, digest| entries.contains_key(digest));
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        let mut state = self.state.lock();
        let generation = state.generation + 1;
        *state = State {
            generation,
            ..State::default()
        };
    }

    /// Counters since the cache was made.
    pub fn counters(&self) -> CacheCounters {
        CacheCounters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            unwraps: self.unwraps.load(Ordering::Relaxed),
            denials: self.denied.load(Ordering::Relaxed),
        }
    }

    /// How many data keys are kept now.
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Whether no data key is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last refusal of a key for this file, whichever error Parquet showed for it.
    ///
    /// Kept for at most 1,024 files; removed when one of the file's keys is then granted.
    pub fn last_denial(&self, context: &FileContext) -> Option<KeyError> {
        self.state
            .lock()
            .refused_files
            .get(context)
            .map(|(_, error)| error.clone())
    }

    /// Remembers a refusal for a file, or that the key refused before is now granted.
    pub(crate) fn note_file(&self, context: &FileContext, key: &MasterKeyName, refusal: Option<&KeyError>) {
        let mut state = self.state.lock();
        let refused = &mut state.refused_files;
        match refusal {
            Some(error) => {
                if refused.len() >= REFUSED_FILES && !refused.contains_key(context) {
                    refused.pop_first();
                }
                refused.insert(context.clone(), (key.clone(), error.clone()));
            }
            None if refused.get(context).is_some_and(|(refused_key, _)| refused_key == key) => {
                refused.remove(context);
            }
            None => {}
        }
    }

    fn count(&self, answer: Result<Arc<DataKey>, KeyError>) -> Result<Arc<DataKey>, KeyError> {
        if answer.as_ref().is_err_and(KeyError::is_denial) {
            self.denied.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// What is known of this wrapped key: a data key or a fresh denial.
    fn look_up(&self, digest: &Digest) -> Option<Result<Arc<DataKey>, KeyError>> {
        let mut state = self.state.lock();
        let answer = match state.entries.get(digest) {
            Some(entry) if entry.since.elapsed() < self.options.ttl => Ok(state.touch(digest)?),
            Some(_) => {
                state.remove(digest);
                return None;
            }
            None => Err(state.fresh_denial(digest, self.options.denial_ttl)?),
        };
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    fn join_or_start(&self, digest: Digest, wrapped: &WrappedKey, aad: &[u8]) -> Flight {
        let mut state = self.state.lock();
        if let Some((_, flight)) = state.flights.get(&digest).filter(|(_, flight)| is_awaited(flight)) {
            return flight.clone();
        }
        self.unwraps.fetch_add(1, Ordering::Relaxed);
        let flight = self.start(digest, state.generation, wrapped.clone(), aad.to_vec());
        state
            .flights
            .insert(digest, (wrapped.master.name.clone(), flight.clone()));
        flight
    }

    /// The request itself. It holds the cache weakly: the cache holds it.
    fn start(&self, digest: Digest, generation: u64, wrapped: WrappedKey, aad: Vec<u8>) -> Flight {
        let (service, cache) = (Arc::clone(&self.service), self.this.clone());
        async move {
            let answer = service.unwrap(&wrapped, &aad).await.map(Arc::new);
            if let Some(cache) = cache.upgrade() {
                cache.land(digest, generation, &wrapped.master.name, &answer);
            }
            answer
        }
        .boxed()
        .shared()
    }

    fn land(&self, digest: Digest, generation: u64, name: &MasterKeyName, answer: &Result<Arc<DataKey>, KeyError>) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return; // forgotten meanwhile: the flight was removed, or belongs to someone who asked before
        }
        state.flights.remove(&digest);
        match answer {
            Ok(key) => state.insert(digest, name.clone(), Arc::clone(key), self.options.capacity),
            Err(error) if error.is_denial() => state.deny(digest, error.clone(), &self.options),
            Err(_) => {}
        }
    }

    fn ask_once(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Arc<DataKey>, KeyError> {
        self.unwraps.fetch_add(1, Ordering::Relaxed);
        match self.service.unwrap(wrapped, aad).now_or_never() {
            Some(answer) => self.count(answer.map(Arc::new)),
            None => Err(KeyError::NoRuntime),
        }
    }
}

impl fmt::Debug for UnwrapCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnwrapCache")
            .field("service", &self.service)
            .field("counters", &self.counters())
            .finish()
    }
}

impl State {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn touch(&mut self, digest: &Digest) -> Option<Arc<DataKey>> {
        let turn = self.next_turn();
        let entry = self.entries.get_mut(digest)?;
        self.turns.remove(&entry.turn);
        entry.turn = turn;
        self.turns.insert(turn, *digest);
        Some(Arc::clone(&entry.key))
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.remove(digest) {
            self.turns.remove(&entry.turn);
        }
    }

    fn insert(&mut self, digest: Digest, name: MasterKeyName, key: Arc<DataKey>, capacity: usize) {
        self.remove(&digest);
        self.denials.remove(&digest);
        while self.entries.len() >= capacity.max(1) {
            let Some((_, oldest)) = self.turns.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
        let turn = self.next_turn();
        self.turns.insert(turn, digest);
        self.entries.insert(
            digest,
            Entry {
                name,
                key,
                since: Instant::now(),
                turn,
            },
        );
    }

    fn fresh_denial(&self, digest: &Digest, ttl: Duration) -> Option<KeyError> {
        let (error, since) = self.denials.get(digest)?;
        (since.elapsed() < ttl).then(|| error.clone())
    }

    fn deny(&mut self, digest: Digest, error: KeyError, options: &CacheOptions) {
        if self.denials.len() >= options.capacity {
            self.denials
                .retain(|_, (_, since)| since.elapsed() < options.denial_ttl);
        }
        // Still full of fresh ones: this one is asked for again, which is only slower.
        if self.denials.len() < options.capacity {
            self.denials.insert(digest, (error, Instant::now()));
        }
    }
}

/// Whether someone beside the cache waits for this flight. One that nobody waits for any more stands still, perhaps with an
/// answer of long ago in it: whoever asks now asks anew.
fn is_awaited(flight: &Flight) -> bool {
    flight.strong_count().is_some_and(|holders| holders > 1)
}

fn fingerprint(wrapped: &WrappedKey, aad: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(512);
    push_part(&mut bytes, wrapped.master.to_string().as_bytes());
    push_part(&mut bytes, wrapped.text.as_bytes());
    push_part(&mut bytes, aad);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    fingerprint
}

#[cfg(test)]
mod tests;

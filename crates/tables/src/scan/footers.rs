//! Decoded footers of encrypted files, with their page index where it was wanted and could be opened. Bounded in bytes,
//! least recently used first out, forgettable by dataset. Entries belong to one set of grants: a decoded footer holds the
//! keys it was decoded with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use object_store::path::Path;
use parcours_keys::FileKeys;
use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaData;

use super::Grants;

/// What identifies a decoded footer: who may read, which file, how long it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FooterKey {
    pub(super) grants: Arc<Grants>,
    /// The store's name and the file's path inside it.
    pub(super) store: String,
    pub(super) path: Path,
    pub(super) size: u64,
}

/// A decoded footer and the keys that it decrypts with.
#[derive(Clone)]
pub(super) struct Footer {
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) keys: Arc<FileKeys>,
}

/// Counters of a [`FooterCache`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FooterCounters {
    /// Footers found.
    pub hits: u64,
    /// Footers not found.
    pub misses: u64,
    /// Footers kept now.
    pub footers: usize,
    /// Bytes they take.
    pub bytes: usize,
    /// Times that key material beside a file was asked for: once for each footer that was decoded.
    pub materials: u64,
}

struct Entry {
    footer: Footer,
    bytes: usize,
    turn: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<FooterKey, Entry>,
    turns: BTreeMap<u64, FooterKey>,
    turn: u64,
    bytes: usize,
    hits: u64,
    misses: u64,
    materials: u64,
}

/// A bounded cache of decoded footers. Shared by all scans of a process.
pub struct FooterCache {
    capacity: usize,
    state: Mutex<State>,
}

impl std::fmt::Debug for FooterCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FooterCache")
            .field("capacity", &self.capacity)
            .field("counters", &self.counters())
            .finish()
    }
}

impl FooterCache {
    /// Keeps at most `capacity` bytes of decoded footers; 0 keeps none.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    /// Counters since the cache was made.
    pub fn counters(&self) -> FooterCounters {
        let state = self.state.lock();
        FooterCounters {
            hits: state.hits,
            misses: state.misses,
            footers: state.entries.len(),
            bytes: state.bytes,
            materials: state.materials,
        }
    }

    pub(super) fn count_material(&self) {
        self.state.lock().materials += 1;
    }

    /// Forgets every footer of `dataset`.
    pub fn forget(&self, dataset: &str) {
        let of_dataset = |entry: &Entry| entry.footer.keys.context().dataset == dataset;
        let mut state = self.state.lock();
        let gone: Vec<FooterKey> = state
            .entries
            .iter()
            .filter(|(_, entry)| of_dataset(entry))
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().for_each(|key| state.remove(key));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        *state = State {
            hits: state.hits,
            misses: state.misses,
            materials: state.materials,
            ..State::default()
        };
    }

    pub(super) fn get(&self, key: &FooterKey) -> Option<Footer> {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        let State {
            entries,
            turns,
            hits,
            misses,
            ..
        } = &mut *state;
        let Some(entry) = entries.get_mut(key) else {
            *misses += 1;
            return None;
        };
        *hits += 1;
        if let Some(key) = turns.remove(&entry.turn) {
            turns.insert(turn, key);
        }
        entry.turn = turn;
        Some(entry.footer.clone())
    }

    pub(super) fn put(&self, key: FooterKey, footer: Footer) {
        let bytes = footer.metadata.memory_size();
        if bytes > self.capacity {
            return;
        }
        let mut state = self.state.lock();
        state.remove(&key);
        state.turn += 1;
        let turn = state.turn;
        state.bytes += bytes;
        state.turns.insert(turn, key.clone());
        state.entries.insert(key, Entry { footer, bytes, turn });
        while state.bytes > self.capacity {
            let Some((_, oldest)) = state.turns.pop_first() else {
                break;
            };
            state.remove(&oldest);
        }
    }

    pub(super) fn remove(&self, key: &FooterKey) {
        self.state.lock().remove(key);
    }
}

impl State {
    fn remove(&mut self, key: &FooterKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.turns.remove(&entry.turn);
        }
    }
}

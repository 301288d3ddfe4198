//! Who may read what, until permits exist: one TOML file that names principals, their datasets, and the column classes of
//! each. What it does not name is not granted, and a file that cannot be read grants nothing to anyone. The scheduler has
//! one for people, the key service one for executors.
//!
//! ```toml
//! ["spiffe://example.org/user/alice"]
//! claims = ["plain", "health"]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parcours_identity::Principal;
use parcours_keys::ColumnClass;
use parking_lot::Mutex;
use thiserror::Error;

use crate::grant::Grant;

/// How old the last look at the file may be.
const STALE: Duration = Duration::from_millis(500);

/// Why an access file was not taken.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file could not be read.
    #[error("access file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not say who may read what.
    #[error("access file {path} is not valid: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

type Entries = BTreeMap<Principal, Grant>;

#[derive(Debug)]
struct State {
    entries: Arc<Entries>,
    seen: Option<Stamp>,
    looked: Instant,
}

type Stamp = (SystemTime, u64);

/// The access file, watched.
#[derive(Debug)]
pub struct Access {
    path: PathBuf,
    state: Mutex<State>,
}

impl Access {
    /// Reads the file; one that cannot be read does not start a process.
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        let seen = stamp(path);
        let entries = Arc::new(read(path)?);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State {
                entries,
                seen,
                looked: Instant::now(),
            }),
        })
    }

    /// What a principal was granted; nothing if the file does not name them.
    pub fn grant(&self, who: &Principal) -> Grant {
        self.entries().get(who).cloned().unwrap_or_default()
    }

    fn entries(&self) -> Arc<Entries> {
        let mut state = self.state.lock();
        if state.looked.elapsed() > STALE {
            state.looked = Instant::now();
            let now = stamp(&self.path);
            if now != state.seen || now.is_none() {
                state.seen = now;
                state.entries = Arc::new(read(&self.path).unwrap_or_else(|error| {
                    tracing::error!(%error, "nobody is granted anything until the access file is mended");
                    Entries::new()
                }));
            }
        }
        state.entries.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Entries, AccessError> {
    let invalid = |message: String| AccessError::Invalid {
        path: path.to_owned(),
        message,
    };
    let text = std::fs::read_to_string(path).map_err(|source| AccessError::Read {
        path: path.to_owned(),
        source,
    })?;
    let written: BTreeMap<String, BTreeMap<String, Vec<ColumnClass>>> =
        toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let mut entries = Entries::new();
    for (name, datasets) in written {
        let principal: Principal = name.parse().map_err(|error| invalid(format!("{name}: {error}")))?;
        let mut grant = Grant::default();
        for (dataset, classes) in datasets {
            grant.allow(&dataset, classes);
        }
        entries.insert(principal, grant);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn alice() -> Principal {
        "spiffe://example.org/user/alice".parse().unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn what_is_named_is_granted_and_nothing_else() {
        let file = file("[\"spiffe://example.org/user/alice\"]\nclaims = [\"plain\", \"health\"]\nomop = []\n");
        let access = Access::open(file.path()).unwrap();
        let grant = access.grant(&alice());
        assert!(grant.allows("claims", ColumnClass::Health) && !grant.allows("claims", ColumnClass::Identity));
        assert_eq!(grant.datasets().collect::<Vec<_>>(), ["claims"]);
        assert_eq!(
            access.grant(&"spiffe://example.org/user/bob".parse().unwrap()),
            Grant::default()
        );
    }

    #[test]
    fn a_file_with_unknown_classes_or_names_is_refused() {
        for text in [
            "[\"alice\"]\nclaims = [\"plain\"]",
            "[\"spiffe://example.org/user/alice\"]\nclaims = [\"everything\"]",
        ] {
            assert!(
                matches!(Access::open(file(text).path()), Err(AccessError::Invalid { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_breaks_later_grants_nothing() {
        let file = file("[\"spiffe://example.org/user/alice\"]\nclaims = [\"plain\"]\n");
        let access = Access::open(file.path()).unwrap();
        std::fs::write(file.path(), "not toml at all").unwrap();
        std::thread::sleep(STALE + Duration::from_millis(100));
        assert_eq!(access.grant(&alice()), Grant::default());
    }
}

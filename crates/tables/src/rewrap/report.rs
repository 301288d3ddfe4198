//! What work on a dataset's keys found and did, for people and for scripts. Nothing here is a key or a value of a row.

use std::collections::BTreeSet;

use parcours_keys::{KeyError, KeyUse, MasterKeyId, WrappedKey};
use serde::Serialize;

use super::{Outcome, Work};
use crate::named::NamedFile;

/// A key of a file, or all keys of a file, that do not open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClosedKey {
    /// The file: table and path inside it.
    pub file: String,
    /// What stays closed: `footer`, a class, or none where nothing of the file opens.
    pub closes: Option<String>,
    /// The version of the master key that it is wrapped under, if that is known.
    pub master_key: Option<String>,
    /// Why, with the remedy where there is one.
    pub reason: String,
}

impl ClosedKey {
    pub(super) fn of_file(file: &NamedFile, error: &KeyError) -> Self {
        Self {
            file: name_of(file),
            closes: None,
            master_key: None,
            reason: error.to_string(),
        }
    }

    pub(super) fn of_key(file: &NamedFile, key_use: KeyUse, wrapped: Option<&WrappedKey>, error: &KeyError) -> Self {
        Self {
            closes: Some(key_use.to_string()),
            master_key: wrapped.map(|wrapped| wrapped.master.to_string()),
            ..Self::of_file(file, error)
        }
    }
}

/// What rewrapping did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewrapReport {
    /// The dataset.
    pub dataset: String,
    /// The dataset's versions, all of whose files were looked at.
    pub versions: Vec<u64>,
    /// Files that they name.
    pub files: usize,
    /// Files whose key material was replaced.
    pub rewrapped: usize,
    /// Files all of whose keys were wrapped under current versions before.
    pub current: usize,
    /// Data keys wrapped anew; each was unwrapped twice, before and to check.
    pub keys: u64,
    /// Files with their key material inside, which stay as they are until they are written again.
    pub inside: Vec<String>,
    /// Keys that do not open and stay as they are.
    pub closed: Vec<ClosedKey>,
}

impl RewrapReport {
    /// Whether every file is now under the current versions.
    pub fn is_complete(&self) -> bool {
        self.inside.is_empty() && self.closed.is_empty()
    }
}

/// How many files use one version of a master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionUse {
    /// The version, as in `claims/health#3`.
    pub master_key: String,
    /// Whether it is the one that wraps now; none if the key service does not hold the key.
    pub current: Option<bool>,
    /// Files that the dataset's versions name.
    pub files: usize,
    /// Other key material in the dataset's folder: of a load that runs, or litter.
    pub unnamed: usize,
}

/// Which versions of master keys a dataset's files are wrapped under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUsage {
    /// The dataset.
    pub dataset: String,
    /// The dataset's versions, all of whose files were looked at.
    pub versions: Vec<u64>,
    /// Files that they name.
    pub files: usize,
    /// The versions in use, by key and version.
    pub in_use: Vec<VersionUse>,
    /// Files with their key material inside; they count above.
    pub inside: usize,
    /// Files that do not tell what all of their keys are wrapped under: any version may be needed by them.
    pub unknown: Vec<ClosedKey>,
}

impl KeyUsage {
    /// What uses this version; none if nothing does.
    pub fn of(&self, id: &MasterKeyId) -> Option<&VersionUse> {
        let id = id.to_string();
        self.in_use.iter().find(|version| version.master_key == id)
    }
}

/// Which files open with the keys at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The dataset.
    pub dataset: String,
    /// The dataset's versions, all of whose files were looked at.
    pub versions: Vec<u64>,
    /// Files that they name.
    pub files: usize,
    /// Data keys that open.
    pub opened: u64,
    /// What stays closed, by file.
    pub closed: Vec<ClosedKey>,
}

impl VerifyReport {
    /// How many files have a key that does not open.
    pub fn closed_files(&self) -> usize {
        let files: BTreeSet<&str> = self.closed.iter().map(|closed| closed.file.as_str()).collect();
        files.len()
    }
}

/// A file as people know it: its table and its path inside it.
pub(super) fn name_of(file: &NamedFile) -> String {
    format!("{}/{}", file.context.table, file.context.file)
}

pub(super) fn rewrapped(work: &Work<'_>, outcomes: Vec<Outcome>) -> RewrapReport {
    let mut report = RewrapReport {
        dataset: work.root.dataset.clone(),
        versions: work.named.versions.clone(),
        files: outcomes.len(),
        rewrapped: 0,
        current: 0,
        keys: 0,
        inside: Vec::new(),
        closed: Vec::new(),
    };
    for outcome in outcomes {
        match outcome {
            Outcome::Beside { keys, closed } => {
                report.rewrapped += usize::from(keys > 0);
                report.current += usize::from(keys == 0 && closed.is_empty());
                report.keys += keys;
                report.closed.extend(closed);
            }
            Outcome::Inside(file) => report.inside.push(file),
            Outcome::Closed(closed) => report.closed.push(closed),
        }
    }
    report
}

//! What a load may use and whom it tells.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parcours_sealed::SpillFiles;

use super::LoadError;
use crate::source::{self, OnBad, Reason, RejectFile, RejectLimit, RejectedRow, SourceError};
use crate::spec::Dataset;

/// How default spill folders are called, before the number of their process.
const SPILL_PREFIX: &str = "parcours-load-";

/// The least memory that sorting can work in.
const LEAST_MEMORY: usize = 64 << 20;

/// The most bytes of bad rows that a load keeps, whatever its memory: a column of one file holds them.
const MOST_KEPT: usize = 1 << 30;

/// A part of a load, as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sources are digested, to recognise those loaded before.
    Digest {
        /// Bytes to read.
        bytes: u64,
    },
    /// Split points are chosen from a sample of patient ids; at the first load only.
    Sample {
        /// Bytes to read.
        bytes: u64,
    },
    /// A table's new sources are read, sorted and written.
    Table {
        /// The table.
        name: String,
        /// Bytes to read.
        bytes: u64,
    },
    /// Everything is written; logs are committed and the version is created.
    Publish,
}

/// Hears how far a load is.
pub trait Progress: Send + Sync + fmt::Debug {
    /// A part begins.
    fn step(&self, step: &Step);
    /// Bytes of the step's sources read so far.
    fn read(&self, bytes: u64);
    /// Rows of the step written so far.
    fn written(&self, rows: u64);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _step: &Step) {}
    fn read(&self, _bytes: u64) {}
    fn written(&self, _rows: u64) {}
}

/// How a load works.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Memory for sorting and writing, in bytes; at least 64 MiB, by default 1 GiB.
    pub memory_bytes: usize,
    /// Folder for sealed spill files; one load at a time may use it. Default: `parcours-load-<pid>` in the system's
    /// temporary folder.
    pub spill_dir: PathBuf,
    /// Most bytes of spill files at once; by default 1 TiB.
    pub spill_bytes: u64,
    /// Where to list bad rows that are set aside; without it the first bad row stops the load.
    pub reject_to: Option<PathBuf>,
    /// How many bad rows of a source may be set aside; by default one of a hundred.
    pub reject_limit: RejectLimit,
    /// With `reject_to`: keep what bad rows hold with the version, encrypted under the key of class `identity`; by default
    /// they are kept in their sources alone. What is kept of one load is at most a twentieth of its memory.
    pub keep_rejects: bool,
    /// Build rows anew from their sources where these, or how they are read, have changed, instead of refusing that; and where
    /// rows were set aside. What was loaded together is built anew together. Default: false.
    pub replace: bool,
    /// With `replace`: leave out the rows of sources that are no longer there. Default: false, which keeps them, and refuses
    /// to build rows anew that were loaded together with them.
    pub forget_missing: bool,
    /// Rows of a row group; by default 262,144.
    pub row_group_rows: usize,
    /// Sources of one table that are read and sorted side by side; by default the processors, at most 4.
    pub parallel_sources: usize,
    /// Hears how far the load is.
    pub progress: Arc<dyn Progress>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            memory_bytes: 1 << 30,
            spill_dir: std::env::temp_dir().join(format!("{SPILL_PREFIX}{}", std::process::id())),
            spill_bytes: 1 << 40,
            reject_to: None,
            reject_limit: RejectLimit::default(),
            keep_rejects: false,
            replace: false,
            forget_missing: false,
            row_group_rows: 256 * 1024,
            parallel_sources: processors.min(4),
            progress: Arc::new(NoProgress),
        }
    }
}

impl LoadOptions {
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let refuse = |option, reason: &str| {
            Err(LoadError::Option {
                option,
                reason: reason.to_string(),
            })
        };
        if self.memory_bytes < LEAST_MEMORY {
            return refuse("memory", "sorting needs at least 64 MiB");
        }
        if self.row_group_rows == 0 {
            return refuse("row_group_rows", "a row group has at least one row");
        }
        if self.keep_rejects && self.reject_to.is_none() {
            return refuse(
                "keep_rejects",
                "say where bad rows are listed, too: without that the first one stops the load",
            );
        }
        if self.parallel_sources == 0 {
            return refuse("parallel_sources", "at least one source is read at a time");
        }
        Ok(())
    }

    /// Removes what loads left that were killed: default spill folders beside this one that nobody holds. Their files are
    /// sealed under keys that went with their process.
    pub(super) fn sweep(&self) {
        let is_default = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let pid = name.and_then(|name| name.strip_prefix(SPILL_PREFIX));
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok())
        };
        let folder = self.spill_dir.parent().filter(|_| is_default(&self.spill_dir));
        let others = folder
            .and_then(|folder| folder.read_dir().ok())
            .into_iter()
            .flatten()
            .flatten();
        for other in others.filter(|other| other.file_type().is_ok_and(|kind| kind.is_dir())) {
            let path = other.path();
            if path == self.spill_dir || !is_default(&path) {
                continue;
            }
            let removed = match SpillFiles::open(&path, self.spill_bytes) {
                Ok(_) => std::fs::remove_dir_all(&path).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = removed {
                tracing::debug!(path = %path.display(), error, "spill folder of another load stays");
            }
        }
    }

    /// Bytes for sort buffers.
    pub(super) fn sort_bytes(&self) -> usize {
        self.memory_bytes / 10 * 7
    }

    /// Encoded bytes at which a row group is closed before it has all its rows.
    pub(crate) fn row_group_bytes(&self) -> usize {
        self.memory_bytes / 20 * 3
    }

    /// Refuses a list of bad rows that the next load would read as a source.
    pub(super) fn check_rejects(&self, dataset: &Dataset) -> Result<(), LoadError> {
        let Some(path) = &self.reject_to else { return Ok(()) };
        let read = dataset.tables.iter().find(|table| source::matches(table, path));
        match read {
            None => Ok(()),
            Some(table) => Err(LoadError::Source(SourceError::RejectIsSource {
                path: path.clone(),
                table: table.name.clone(),
            })),
        }
    }

    pub(super) fn open_rejects(&self) -> Result<Rejects, LoadError> {
        let open = |path: &PathBuf| {
            let file = RejectFile::create(path, self.reject_limit)?;
            Ok::<_, SourceError>(Arc::new(match self.keep_rejects {
                true => file.keeping_rows((self.memory_bytes / 20).min(MOST_KEPT)),
                false => file,
            }))
        };
        Ok(Rejects {
            file: self.reject_to.as_ref().map(open).transpose()?,
        })
    }
}

/// The list of bad rows of one load, if there is one.
#[derive(Debug)]
pub(super) struct Rejects {
    file: Option<Arc<RejectFile>>,
}

impl Rejects {
    pub(super) fn policy(&self) -> OnBad {
        self.file
            .as_ref()
            .map_or(OnBad::Stop, |file| OnBad::SetAside(Arc::clone(file)))
    }

    /// No list.
    pub(super) fn none() -> Self {
        Self { file: None }
    }

    /// Bad rows of one source, by reason.
    pub(super) fn reasons(&self, source: &str) -> BTreeMap<Reason, u64> {
        self.file.as_ref().map(|file| file.reasons(source)).unwrap_or_default()
    }

    /// Bad rows of one source.
    pub(super) fn of(&self, source: &str) -> u64 {
        self.file.as_ref().map_or(0, |file| file.of(source))
    }

    /// The bad rows with what they hold, if that is kept; once.
    pub(super) fn take_rows(&self) -> Vec<RejectedRow> {
        self.file.as_ref().map(|file| file.take_rows()).unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.total())
    }

    pub(super) fn finish(&self) -> Result<(), LoadError> {
        Ok(self.file.as_ref().map_or(Ok(()), |file| file.finish())?)
    }
}

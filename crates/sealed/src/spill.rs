//! DataFusion's temporary files, sealed: one directory of mode 0700, one key per process, one quota.
//!
//! Files are removed when their last user lets go; what a killed process left is removed when the next one opens the
//! directory. Two processes do not share one. Give [`SpillFiles::disk_manager`] to the runtime environment; the file
//! itself is in `spill_file`.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion_common::{DataFusionError, Result as DfResult};
use datafusion_execution::disk_manager::DiskManagerBuilder;
use datafusion_execution::{SpillFile, TempFileFactory};
use uuid::Uuid;

use crate::error::SealError;
use crate::key::ScratchKey;
use crate::spill_file::SealedSpillFile;

const PREFIX: &str = "spill-";
const LOCK: &str = "in-use";

/// What the spill files of this process take and took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpillCounters {
    /// Bytes on disk now.
    pub bytes: u64,
    /// Files now.
    pub files: u64,
    /// Bytes written since the start.
    pub bytes_written: u64,
    /// Files created since the start.
    pub files_created: u64,
}

/// The sealed temporary files of this process.
pub struct SpillFiles {
    pub(crate) dir: PathBuf,
    pub(crate) quota: u64,
    pub(crate) key: ScratchKey,
    pub(crate) tally: Tally,
    /// Held as long as the directory is ours.
    _lock: File,
}

/// Counters as they change.
#[derive(Default)]
pub(crate) struct Tally {
    bytes: AtomicU64,
    files: AtomicU64,
    bytes_written: AtomicU64,
    files_created: AtomicU64,
}

impl SpillFiles {
    /// Takes `dir` for this process: creates it with mode 0700, or tightens it, and removes spill files left in it.
    ///
    /// # Errors
    /// [`SealError::Directory`] when it cannot be made, or another process uses it; [`SealError::Crypto`].
    pub fn open(dir: &Path, quota: u64) -> Result<Arc<Self>, SealError> {
        let failed = |error: std::io::Error| refuse(dir, error.to_string());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let lock = take_lock(dir)?;
        let left = scrub(dir).map_err(failed)?;
        if left > 0 {
            tracing::info!(dir = %dir.display(), files = left, "spill files of an earlier process removed");
        }
        let key = ScratchKey::random()?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            quota,
            key,
            tally: Tally::default(),
            _lock: lock,
        }))
    }

    /// A disk manager that creates its files here.
    pub fn disk_manager(self: &Arc<Self>) -> DiskManagerBuilder {
        DiskManagerBuilder::default().with_temp_file_factory(Arc::new(Factory(Arc::clone(self))))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Most bytes on disk at once.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// Counters as they are now.
    pub fn counters(&self) -> SpillCounters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SpillCounters {
            bytes: load(&self.tally.bytes),
            files: load(&self.tally.files),
            bytes_written: load(&self.tally.bytes_written),
            files_created: load(&self.tally.files_created),
        }
    }

    /// A new file; nothing is on disk before its first writer.
    pub(crate) fn new_path(&self) -> (PathBuf, Uuid) {
        let id = Uuid::new_v4();
        (self.dir.join(format!("{PREFIX}{}", id.simple())), id)
    }

    /// Takes `count` bytes from the quota.
    pub(crate) fn charge(&self, count: u64) -> DfResult<()> {
        let used = self.tally.bytes.fetch_add(count, Ordering::Relaxed);
        if used.saturating_add(count) > self.quota {
            self.tally.bytes.fetch_sub(count, Ordering::Relaxed);
            return Err(DataFusionError::ResourcesExhausted(format!(
                "spill files in {} would exceed their quota of {} bytes ({used} in use), make the query smaller or \
                 raise the quota",
                self.dir.display(),
                self.quota
            )));
        }
        self.tally.bytes_written.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn file_created(&self) {
        self.tally.files.fetch_add(1, Ordering::Relaxed);
        self.tally.files_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn file_removed(&self, bytes: u64) {
        self.tally.files.fetch_sub(1, Ordering::Relaxed);
        self.tally.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for SpillFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillFiles")
            .field("dir", &self.dir)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// What DataFusion asks for files.
struct Factory(Arc<SpillFiles>);

impl TempFileFactory for Factory {
    fn create_temp_file(&self, _description: &str) -> DfResult<Arc<dyn SpillFile>> {
        Ok(Arc::new(SealedSpillFile::new(Arc::clone(&self.0))))
    }
}

fn take_lock(dir: &Path) -> Result<File, SealError> {
    let failed = |error: std::io::Error| refuse(dir, error.to_string());
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(LOCK));
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(refuse(dir, "another process uses it, give each its own".to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Removes spill files, and nothing else: the directory may have been named by mistake.
fn scrub(dir: &Path) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn refuse(dir: &Path, problem: String) -> SealError {
    SealError::Directory {
        path: dir.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests;

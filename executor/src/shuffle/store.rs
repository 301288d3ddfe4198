//! The sealed partitions of this process: where they lie, under which key, and how many bytes they may take.
//!
//! A job's key is made when its first partition is written and dropped when the job ends; what is then left on disk is
//! noise. An ended job is remembered for a while, so that a task which outlives it writes nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ballista_core::JobId;
use ballista_core::execution_plans::create_shuffle_path;
use parcours_sealed::{ScratchKey, SealError, SealedReader, SealedWriter};
use parking_lot::Mutex;
use thiserror::Error;

use super::PartitionKey;

/// How many ended jobs are remembered.
const REMEMBERED_JOBS: usize = 4096;

/// Why a partition could not be written or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The job has ended or was cancelled.
    #[error("job {job} has ended")]
    Ended {
        /// The job.
        job: String,
    },
    /// No such partition is kept here.
    #[error("partition {partition} of stage {stage} of job {job} is not here")]
    Missing {
        /// The job.
        job: String,
        /// The stage.
        stage: usize,
        /// The partition.
        partition: usize,
    },
    /// The quota is used up.
    #[error("scratch space for partitions is full ({quota} bytes), raise scratch.shuffle or make the query smaller")]
    Full {
        /// The quota in bytes.
        quota: u64,
    },
    /// The disk failed.
    #[error("scratch space failed: {0}")]
    Io(#[from] io::Error),
    /// The bytes on disk are not those that were written.
    #[error("a partition on scratch space is damaged: {0}")]
    Damaged(#[from] SealError),
}

#[derive(Debug)]
struct Job {
    key: ScratchKey,
    /// The number under which each partition was last written; it is part of what the seal binds, so that an earlier
    /// file of the same name does not open in its place.
    numbers: Mutex<HashMap<PartitionKey, u64>>,
    bytes: AtomicU64,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Jobs {
    live: HashMap<String, Arc<Job>>,
    ended: HashSet<String>,
    ended_order: VecDeque<String>,
}

/// The partitions of this process.
#[derive(Debug)]
pub struct PartitionStore {
    root: PathBuf,
    quota: u64,
    used: Arc<AtomicU64>,
    /// Partitions begun since the start; each has its own number.
    begun: AtomicU64,
    written: Arc<AtomicU64>,
    jobs: Mutex<Jobs>,
}

impl PartitionStore {
    /// Opens the directory, 0700, and removes whatever an earlier process left in it.
    pub fn open(root: &Path, quota: u64) -> io::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self {
            root: root.to_owned(),
            quota,
            used: Arc::default(),
            begun: AtomicU64::new(0),
            written: Arc::default(),
            jobs: Mutex::default(),
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Bytes held now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Partitions begun since the start.
    pub fn partitions_begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Sealed bytes written since the start.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether the job has ended here.
    pub fn has_ended(&self, job: &str) -> bool {
        self.jobs.lock().ended.contains(job)
    }

    /// Starts a partition.
    pub fn create(&self, key: &PartitionKey) -> Result<PartitionWriter, StoreError> {
        let job = self.job_for_writing(&key.job)?;
        let path = self.path(key)?;
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        let metered = Metered {
            file: BufWriter::with_capacity(1 << 18, file),
            job: job.clone(),
            used: self.used.clone(),
            written: self.written.clone(),
            quota: self.quota,
        };
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        job.numbers.lock().insert(key.clone(), number);
        Ok(SealedWriter::new(metered, &job.key, &context(key, number))?)
    }

    /// Opens a finished partition.
    pub fn read(&self, key: &PartitionKey) -> Result<PartitionBytes, StoreError> {
        let missing = || StoreError::Missing {
            job: key.job.clone(),
            stage: key.stage,
            partition: key.partition,
        };
        let job = self.jobs.lock().live.get(&key.job).cloned().ok_or_else(missing)?;
        let number = job.numbers.lock().get(key).copied().ok_or_else(missing)?;
        let file = match File::open(self.path(key)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        Ok(SealedReader::new(
            BufReader::with_capacity(1 << 18, file),
            &job.key,
            &context(key, number),
        )?)
    }

    /// Ends a job: its key is dropped and its files are removed.
    pub fn end(&self, job: &str) {
        let ended = {
            let mut jobs = self.jobs.lock();
            jobs.remember(job);
            jobs.live.remove(job)
        };
        if let Some(ended) = ended {
            ended.ended.store(true, Ordering::SeqCst);
            self.used
                .fetch_sub(ended.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.remove_files(job);
    }

    /// Ends every job.
    pub fn end_all(&self) {
        let jobs: Vec<String> = self.jobs.lock().live.keys().cloned().collect();
        jobs.iter().for_each(|job| self.end(job));
    }

    fn remove_files(&self, job: &str) {
        if !parcours_cluster::orders::is_job_id(job) {
            return;
        }
        match fs::remove_dir_all(self.root.join(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(job, %error, "files of an ended job could not be removed");
            }
            _ => {}
        }
    }

    fn job_for_writing(&self, job: &str) -> Result<Arc<Job>, StoreError> {
        let mut jobs = self.jobs.lock();
        if jobs.ended.contains(job) {
            return Err(StoreError::Ended { job: job.to_owned() });
        }
        if let Some(known) = jobs.live.get(job) {
            return Ok(known.clone());
        }
        let fresh = Arc::new(Job {
            key: ScratchKey::random()?,
            numbers: Mutex::default(),
            bytes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        jobs.live.insert(job.to_owned(), fresh.clone());
        Ok(fresh)
    }

    fn path(&self, key: &PartitionKey) -> Result<PathBuf, StoreError> {
        create_shuffle_path(
            &self.root,
            &JobId::new(key.job.as_str()),
            key.stage,
            key.partition,
            Some(key.task),
            false,
        )
        .map_err(|error| StoreError::Io(io::Error::other(error)))
    }
}

/// What binds a file to its place and to the one time it was written.
fn context(key: &PartitionKey, number: u64) -> Vec<u8> {
    let mut context = key.context();
    context.extend_from_slice(&number.to_be_bytes());
    context
}

impl Jobs {
    fn remember(&mut self, job: &str) {
        if self.ended.insert(job.to_owned()) {
            self.ended_order.push_back(job.to_owned());
        }
        while self.ended_order.len() > REMEMBERED_JOBS {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }
}

/// Plain bytes in, a sealed file out.
pub type PartitionWriter = SealedWriter<Metered>;

/// Plain bytes of a partition that proved to be what was written.
pub type PartitionBytes = SealedReader<BufReader<File>>;

/// A file whose bytes count against the quota.
#[derive(Debug)]
pub struct Metered {
    file: BufWriter<File>,
    job: Arc<Job>,
    used: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    quota: u64,
}

impl Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.job.ended.load(Ordering::SeqCst) {
            return Err(io::Error::other("the job has ended"));
        }
        let count = bytes.len() as u64;
        if self.used.fetch_add(count, Ordering::Relaxed) + count > self.quota {
            self.used.fetch_sub(count, Ordering::Relaxed);
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                StoreError::Full { quota: self.quota },
            ));
        }
        self.job.bytes.fetch_add(count, Ordering::Relaxed);
        self.written.fetch_add(count, Ordering::Relaxed);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;

    fn key(job: &str, partition: usize) -> PartitionKey {
        PartitionKey {
            job: job.into(),
            stage: 1,
            partition,
            task: 7,
        }
    }

    fn write(store: &PartitionStore, key: &PartitionKey, bytes: &[u8]) -> Result<(), StoreError> {
        let mut writer = store.create(key)?;
        writer.write_all(bytes)?;
        writer.finish()?.flush()?;
        Ok(())
    }

    fn read(store: &PartitionStore, key: &PartitionKey) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        store.read(key).map_err(io::Error::other)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn partitions_come_back_and_lie_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartitionStore::open(&dir.path().join("p"), 1 << 20).unwrap();
        write(&store, &key("J", 0), b"PATIENT-MARKER").unwrap();
        assert_eq!(read(&store, &key("J", 0)).unwrap(), b"PATIENT-MARKER");
        let on_disk = fs::read(store.path(&key("J", 0)).unwrap()).unwrap();
        assert!(!on_disk.windows(14).any(|w| w == b"PATIENT-MARKER"));
    }

    #[test]
    fn a_partition_moved_to_another_place_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartitionStore::open(&dir.path().join("p"), 1 << 20).unwrap();
        write(&store, &key("J", 0), b"zero").unwrap();
        write(&store, &key("J", 1), b"one").unwrap();
        fs::copy(store.path(&key("J", 0)).unwrap(), store.path(&key("J", 1)).unwrap()).unwrap();
        assert!(read(&store, &key("J", 1)).is_err());
    }

    #[test]
    fn an_ended_job_leaves_nothing_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartitionStore::open(&dir.path().join("p"), 1 << 20).unwrap();
        write(&store, &key("J", 0), b"zero").unwrap();
        assert!(store.used() > 0);
        store.end("J");
        assert_eq!(store.used(), 0);
        assert!(!store.root().join("J").exists());
        assert!(matches!(store.create(&key("J", 1)), Err(StoreError::Ended { .. })));
        assert!(matches!(store.read(&key("J", 0)), Err(StoreError::Missing { .. })));
    }

    #[test]
    fn the_quota_is_kept_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartitionStore::open(&dir.path().join("p"), 1000).unwrap();
        let error = write(&store, &key("J", 0), &[0; 100_000]).unwrap_err();
        assert!(error.to_string().contains("scratch.shuffle"), "{error}");
    }

    #[test]
    fn an_earlier_process_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("p/old/1")).unwrap();
        let store = PartitionStore::open(&dir.path().join("p"), 1000).unwrap();
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
    }
}

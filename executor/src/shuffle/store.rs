//! The partitions of this process: where they are, under which key, and how many bytes they may take.
//!
//! A job's key is made when its first partition is written and dropped when the job ends; what is then left on disk is
//! noise. An ended job is remembered for a while, so that a task which outlives it writes nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ballista_core::JobId;
use ballista_core::execution_plans::create_shuffle_path;
use parcours_sealed::{ScratchKey, SealError, SealedReader};
use parking_lot::Mutex;
use thiserror::Error;

use super::PartitionKey;
use super::budget::{Budget, Lease};
pub use super::partition_bytes::{PartitionBytes, PartitionWriter};

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

/// A finished partition in memory, or one on disk.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// Its bytes.
    Memory(Arc<InMemory>),
    /// The number under which it was written; it is part of what the seal binds, so that an earlier file of the same name
    /// does not open in its place.
    Disk(u64),
}

/// Plain bytes of a partition that never left memory.
#[derive(Debug)]
pub(super) struct InMemory {
    pub(super) bytes: Vec<u8>,
    pub(super) lease: Lease,
}

/// One job's partitions.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) key: ScratchKey,
    pub(super) state: Mutex<JobState>,
}

impl Job {
    pub(super) fn ended(&self) -> StoreError {
        StoreError::Ended { job: self.name.clone() }
    }
}

/// What changes of a job.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) ended: bool,
    pub(super) kept: HashMap<PartitionKey, Kept>,
    /// Bytes on disk.
    pub(super) disk: Lease,
}

/// What writers need of the store.
#[derive(Debug)]
pub(super) struct Shared {
    root: PathBuf,
    pub(super) disk: Arc<Budget>,
    pub(super) memory: Arc<Budget>,
    /// Partitions begun since the start; each has its own number.
    begun: AtomicU64,
    /// Bytes of partitions since the start, as they are sent.
    pub(super) made: AtomicU64,
    /// Sealed bytes on disk since the start.
    pub(super) written: AtomicU64,
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
    shared: Arc<Shared>,
    jobs: Mutex<Jobs>,
}

impl PartitionStore {
    /// Opens the directory, 0700, and removes whatever an earlier process left in it. All partitions together take at most
    /// `quota` bytes of it; small ones are kept out of it as long as they take at most `memory` bytes together.
    pub fn open(root: &Path, quota: u64, memory: u64) -> io::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.to_owned(),
                disk: Budget::new(quota),
                memory: Budget::new(memory),
                begun: AtomicU64::new(0),
                made: AtomicU64::new(0),
                written: AtomicU64::new(0),
            }),
            jobs: Mutex::default(),
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Bytes held now, on disk and in memory.
    pub fn used(&self) -> u64 {
        self.shared.disk.used() + self.in_memory()
    }

    /// Bytes held in memory now.
    pub fn in_memory(&self) -> u64 {
        self.shared.memory.used()
    }

    /// Partitions begun since the start.
    pub fn partitions_begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// Bytes of partitions since the start, compressed, as other executors and the scheduler read them.
    pub fn bytes_made(&self) -> u64 {
        self.shared.made.load(Ordering::Relaxed)
    }

    /// Sealed bytes written to disk since the start.
    pub fn bytes_written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Whether the job has ended here.
    pub fn has_ended(&self, job: &str) -> bool {
        self.jobs.lock().ended.contains(job)
    }

    /// Starts a partition. One that the same task wrote before is there no more.
    pub fn create(&self, key: &PartitionKey) -> Result<PartitionWriter, StoreError> {
        let job = self.job_for_writing(&key.job)?;
        job.state.lock().kept.remove(key);
        let number = self.shared.begun.fetch_add(1, Ordering::Relaxed);
        Ok(PartitionWriter::new(self.shared.clone(), job, key.clone(), number))
    }

    /// Opens a finished partition.
    pub fn read(&self, key: &PartitionKey) -> Result<PartitionBytes, StoreError> {
        let missing = || StoreError::Missing {
            job: key.job.clone(),
            stage: key.stage,
            partition: key.partition,
        };
        let job = self.jobs.lock().live.get(&key.job).cloned().ok_or_else(missing)?;
        let kept = job.state.lock().kept.get(key).cloned().ok_or_else(missing)?;
        let number = match kept {
            Kept::Memory(bytes) => return Ok(PartitionBytes::memory(bytes)),
            Kept::Disk(number) => number,
        };
        let file = match File::open(self.shared.path(key)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        let file = BufReader::with_capacity(1 << 18, file);
        let sealed = SealedReader::new(file, &job.key, &context(key, number))?;
        Ok(PartitionBytes::Disk(sealed))
    }

    /// Ends a job: its key is dropped, what it has in memory is let go and its files are removed.
    pub fn end(&self, job: &str) {
        let ended = {
            let mut jobs = self.jobs.lock();
            jobs.remember(job);
            jobs.live.remove(job)
        };
        if let Some(ended) = ended {
            let mut state = ended.state.lock();
            state.ended = true;
            state.kept.clear();
            state.disk.give_back();
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
        match fs::remove_dir_all(self.shared.root.join(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(job, %error, "files of an ended job could not be removed");
            }
            _ => {}
        }
    }

    fn job_for_writing(&self, name: &str) -> Result<Arc<Job>, StoreError> {
        let mut jobs = self.jobs.lock();
        if jobs.ended.contains(name) {
            return Err(StoreError::Ended { job: name.to_owned() });
        }
        if let Some(known) = jobs.live.get(name) {
            return Ok(known.clone());
        }
        let fresh = Arc::new(Job {
            name: name.to_owned(),
            key: ScratchKey::random()?,
            state: Mutex::new(JobState {
                ended: false,
                kept: HashMap::new(),
                disk: Lease::none(&self.shared.disk),
            }),
        });
        jobs.live.insert(name.to_owned(), fresh.clone());
        Ok(fresh)
    }
}

impl Shared {
    /// Where a partition lies on disk.
    pub(super) fn path(&self, key: &PartitionKey) -> Result<PathBuf, StoreError> {
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
pub(super) fn context(key: &PartitionKey, number: u64) -> Vec<u8> {
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

#[cfg(test)]
mod tests;

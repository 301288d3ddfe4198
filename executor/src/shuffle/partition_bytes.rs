//! The bytes of one partition: in memory while they are few and there is room, else in a sealed file.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parcours_sealed::{SealedReader, SealedWriter};

use super::PartitionKey;
use super::budget::Lease;
use super::store::{InMemory, Job, Kept, Shared, StoreError, context};

/// Most bytes of a partition that stays in memory.
const SMALL: usize = 1 << 20;
/// Least bytes that are set aside for one that may stay.
const FIRST: usize = 16 << 10;

/// Plain bytes in. A partition that is dropped before it is finished was never there.
#[derive(Debug)]
pub struct PartitionWriter {
    shared: Arc<Shared>,
    job: Arc<Job>,
    key: PartitionKey,
    number: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(InMemory),
    Disk(Box<SealedWriter<Metered>>),
}

impl PartitionWriter {
    pub(super) fn new(shared: Arc<Shared>, job: Arc<Job>, key: PartitionKey, number: u64) -> Self {
        let place = Place::Memory(InMemory {
            bytes: Vec::new(),
            lease: Lease::none(&shared.memory),
        });
        Self {
            shared,
            job,
            key,
            number,
            place,
        }
    }

    /// Ends the partition: from now on it can be read.
    pub fn finish(self) -> Result<(), StoreError> {
        let kept = match self.place {
            Place::Memory(memory) => Kept::Memory(Arc::new(memory.finished())),
            Place::Disk(sealed) => {
                sealed.finish()?;
                Kept::Disk(self.number)
            }
        };
        let mut state = self.job.state.lock();
        if state.ended {
            return Err(self.job.ended());
        }
        state.kept.insert(self.key, kept);
        Ok(())
    }

    /// Moves what was written so far into a sealed file.
    fn move_to_disk(&mut self) -> Result<(), StoreError> {
        let file = self.create_file()?;
        let metered = Metered {
            file: BufWriter::with_capacity(1 << 18, file),
            job: self.job.clone(),
            shared: self.shared.clone(),
        };
        let mut sealed = SealedWriter::new(metered, &self.job.key, &context(&self.key, self.number))?;
        if let Place::Memory(memory) = &self.place {
            sealed.write_all(&memory.bytes)?;
        }
        self.place = Place::Disk(Box::new(sealed));
        Ok(())
    }
}

impl PartitionWriter {
    /// Makes the file while the job cannot end: what comes after its end would be removed by nobody.
    fn create_file(&self) -> Result<File, StoreError> {
        let path = self.shared.path(&self.key)?;
        let state = self.job.state.lock();
        if state.ended {
            return Err(self.job.ended());
        }
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        Ok(options.open(&path)?)
    }
}

impl Write for PartitionWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.keep(bytes)?;
        self.shared.made.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Memory(_) => Ok(()),
            Place::Disk(sealed) => sealed.flush(),
        }
    }
}

impl PartitionWriter {
    fn keep(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Place::Memory(memory) = &mut self.place {
            if memory.push(bytes) {
                return Ok(bytes.len());
            }
            self.move_to_disk().map_err(|error| match error {
                StoreError::Io(error) => error,
                error => io::Error::other(error),
            })?;
        }
        match &mut self.place {
            Place::Disk(sealed) => sealed.write(bytes),
            Place::Memory(_) => Err(io::Error::other("a partition is neither in memory nor on disk")),
        }
    }
}

impl InMemory {
    /// Whether there was room for these bytes, and so they are here.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let length = self.bytes.len() + bytes.len();
        if length > SMALL {
            return false;
        }
        if length > self.bytes.capacity() {
            let capacity = length.next_power_of_two().max(FIRST);
            if !self.lease.grow((capacity - self.bytes.capacity()) as u64) {
                return false;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    fn finished(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self.lease.shrink_to(self.bytes.len() as u64);
        self
    }
}

/// A file whose bytes count against the quota.
#[derive(Debug)]
pub(super) struct Metered {
    file: BufWriter<File>,
    job: Arc<Job>,
    shared: Arc<Shared>,
}

impl Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len() as u64;
        let mut state = self.job.state.lock();
        if state.ended {
            return Err(io::Error::other("the job has ended"));
        }
        if !state.disk.grow(count) {
            let quota = self.shared.disk.limit();
            return Err(io::Error::new(io::ErrorKind::StorageFull, StoreError::Full { quota }));
        }
        drop(state);
        self.shared.written.fetch_add(count, Ordering::Relaxed);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Plain bytes of a partition that proved to be what was written.
#[derive(Debug)]
pub enum PartitionBytes {
    /// From memory.
    Memory(FromMemory),
    /// From a sealed file.
    Disk(SealedReader<BufReader<File>>),
}

/// Reads a partition that is in memory.
#[derive(Debug)]
pub struct FromMemory {
    partition: Arc<InMemory>,
    at: usize,
}

impl PartitionBytes {
    pub(super) fn memory(partition: Arc<InMemory>) -> Self {
        Self::Memory(FromMemory { partition, at: 0 })
    }
}

impl Read for PartitionBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Disk(sealed) => sealed.read(buffer),
            Self::Memory(memory) => {
                let rest = memory.partition.bytes.get(memory.at..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                memory.at += count;
                Ok(count)
            }
        }
    }
}

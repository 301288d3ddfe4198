//! One sealed temporary file: written once, read by any number of streams, also while it is being written.
//!
//! DataFusion's repartition reads a spill file beside its writer, so readers follow the writer's published frames and
//! wait for more; a writer that gives up makes them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use datafusion_common::{DataFusionError, Result as DfResult};
use datafusion_execution::{SpillFile, SpillWriter};
use futures::Stream;
use tokio::sync::watch;

use crate::error::SealError;
use crate::reader::SealedReader;
use crate::spill::SpillFiles;
use crate::writer::SealedWriter;

/// How far the writer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No writer yet.
    Empty,
    /// Whole frames up to this length are in the file.
    Writing(u64),
    /// The end frame is in the file.
    Ended,
    /// The writer failed or was dropped: the file will never be whole.
    Abandoned,
}

/// A sealed temporary file of DataFusion's.
pub(crate) struct SealedSpillFile(Arc<OnDisk>);

/// The file on disk, removed when the last of file, writer and streams is dropped.
struct OnDisk {
    files: Arc<SpillFiles>,
    path: PathBuf,
    /// The file's random id: nothing else was or will be sealed under it.
    context: [u8; 16],
    charged: AtomicU64,
    created: AtomicBool,
    progress: watch::Sender<Progress>,
}

impl SealedSpillFile {
    pub(crate) fn new(files: Arc<SpillFiles>) -> Self {
        let (path, id) = files.new_path();
        let (progress, _) = watch::channel(Progress::Empty);
        let context = id.into_bytes();
        let (charged, created) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(OnDisk {
            files,
            path,
            context,
            charged,
            created,
            progress,
        }))
    }
}

impl SpillFile for SealedSpillFile {
    fn size(&self) -> Option<u64> {
        Some(self.0.charged.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> DfResult<Pin<Box<dyn Stream<Item = DfResult<Bytes>> + Send>>> {
        let state = Following {
            disk: Arc::clone(&self.0),
            progress: self.0.progress.subscribe(),
            reader: None,
        };
        Ok(Box::pin(futures::stream::try_unfold(state, Following::next)))
    }

    fn open_writer(&self) -> DfResult<Box<dyn SpillWriter>> {
        if self.0.created.swap(true, Ordering::AcqRel) {
            return Err(DataFusionError::Execution(
                "a sealed spill file is written once".to_owned(),
            ));
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0.path);
        let file = file.map_err(|error| DataFusionError::IoError(self.0.name(error)))?;
        self.0.files.file_created();
        let charged = Charged {
            file,
            disk: Arc::clone(&self.0),
        };
        let sealed = SealedWriter::new(charged, &self.0.files.key, &self.0.context).map_err(to_datafusion)?;
        let writer = SealedSpillWriter {
            sealed,
            disk: Arc::clone(&self.0),
        };
        writer.publish();
        Ok(Box::new(writer))
    }
}

impl OnDisk {
    /// An error of the disk, with the directory it happened in.
    fn name(&self, error: io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("spill file in {}: {error}", self.files.dir.display()),
        )
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        if !self.created.load(Ordering::Acquire) {
            return;
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "spill file could not be removed");
            }
            _ => {}
        }
        self.files.file_removed(self.charged.load(Ordering::Relaxed));
    }
}

/// The file with its quota in front.
struct Charged {
    file: File,
    disk: Arc<OnDisk>,
}

impl Write for Charged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len() as u64;
        self.disk
            .files
            .charge(count)
            .map_err(|error| io::Error::new(io::ErrorKind::StorageFull, error))?;
        // Charged before it is written, and given back with the file: what is on disk never exceeds the quota.
        self.disk.charged.fetch_add(count, Ordering::Relaxed);
        self.file.write_all(bytes).map_err(|error| self.disk.name(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct SealedSpillWriter {
    sealed: SealedWriter<Charged>,
    disk: Arc<OnDisk>,
}

impl SealedSpillWriter {
    fn publish(&self) {
        self.disk
            .progress
            .send_replace(Progress::Writing(self.sealed.written()));
    }
}

impl Write for SealedSpillWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.sealed.written();
        let taken = self.sealed.write(bytes)?;
        if self.sealed.written() != before {
            self.publish();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sealed.flush()?;
        self.publish();
        Ok(())
    }
}

impl SpillWriter for SealedSpillWriter {
    fn finish(&mut self) -> DfResult<()> {
        self.sealed.end().map_err(to_datafusion)?;
        self.disk.progress.send_replace(Progress::Ended);
        Ok(())
    }
}

impl Drop for SealedSpillWriter {
    fn drop(&mut self) {
        let leave = |progress: &mut Progress| {
            let open = *progress != Progress::Ended;
            if open {
                *progress = Progress::Abandoned;
            }
            open
        };
        self.disk.progress.send_if_modified(leave);
    }
}

type FileReader = SealedReader<File>;

/// A stream's place in a file that may still grow.
struct Following {
    disk: Arc<OnDisk>,
    progress: watch::Receiver<Progress>,
    reader: Option<FileReader>,
}

impl Following {
    async fn next(mut self) -> DfResult<Option<(Bytes, Self)>> {
        if !self.wait_for_frame().await? {
            return Ok(None);
        }
        let (disk, reader) = (Arc::clone(&self.disk), self.reader.take());
        let read = tokio::task::spawn_blocking(move || read_frame(&disk, reader)).await;
        let (frame, reader) = read.map_err(|error| DataFusionError::External(Box::new(error)))??;
        self.reader = Some(reader);
        Ok(frame.map(|frame| (frame, self)))
    }

    /// Waits until there is a whole frame to read, or the end to be checked; `false` when nothing was ever written.
    async fn wait_for_frame(&mut self) -> DfResult<bool> {
        let consumed = self.reader.as_ref().map_or(0, FileReader::consumed);
        // The header alone is no frame: the first one needs more than what is consumed after it.
        let header = crate::frame::HEADER_LEN as u64;
        let ready = |progress: &Progress| match progress {
            Progress::Writing(length) => *length > consumed.max(header),
            Progress::Empty | Progress::Ended | Progress::Abandoned => true,
        };
        let seen = self.progress.wait_for(ready).await.map(|progress| *progress);
        match seen {
            Ok(Progress::Empty) => Ok(false),
            Ok(Progress::Writing(_) | Progress::Ended) => Ok(true),
            Ok(Progress::Abandoned) | Err(_) => Err(abandoned()),
        }
    }
}

/// Reads one frame on a blocking thread; the reader comes back with it.
fn read_frame(disk: &OnDisk, reader: Option<FileReader>) -> DfResult<(Option<Bytes>, FileReader)> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => {
            let file = File::open(&disk.path).map_err(|error| DataFusionError::IoError(disk.name(error)))?;
            SealedReader::new(file, &disk.files.key, &disk.context).map_err(to_datafusion)?
        }
    };
    let frame = reader.next_frame().map_err(to_datafusion)?;
    Ok((frame, reader))
}

fn to_datafusion(error: SealError) -> DataFusionError {
    match error {
        SealError::Io(error) => match error.downcast::<DataFusionError>() {
            Ok(quota) => quota,
            Err(error) => DataFusionError::IoError(error),
        },
        other => DataFusionError::External(Box::new(other)),
    }
}

fn abandoned() -> DataFusionError {
    DataFusionError::Execution("a spill file's writer gave up before its end".to_owned())
}

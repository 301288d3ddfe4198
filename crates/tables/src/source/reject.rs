//! What happens to bad rows, and the file that lists them. The file holds the place and the reason of each bad row and
//! **no value of it**: nothing of a patient is written in clear to any disk, so whoever corrects a row goes back to the
//! source, where file, line, byte and column say which one it is.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::{BadRow, Position, Reason, SourceError};

/// What a stream does with a bad row.
#[derive(Debug, Clone)]
pub enum OnBad {
    /// The stream ends with [`SourceError::BadRow`].
    Stop,
    /// The row is left out, listed in the file and counted.
    SetAside(Arc<RejectFile>),
    /// The row is left out and nothing is said. Only for a first look at the data, such as choosing split points, when
    /// the load itself reads the same rows again.
    Skip,
}

impl OnBad {
    /// Applies the policy to bad rows, given in the file's order.
    pub(crate) fn take(&self, bad: Vec<BadRow>) -> Result<(), SourceError> {
        match self {
            Self::Skip => Ok(()),
            Self::Stop => bad
                .into_iter()
                .next()
                .map_or(Ok(()), |first| Err(SourceError::BadRow(first))),
            Self::SetAside(rejects) => bad.iter().try_for_each(|row| rejects.add(row)),
        }
    }
}

/// A CSV file of bad rows: `file,line,byte,row,column,reason`. A Parquet row has `row`, a CSV row `line` and `byte`.
pub struct RejectFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    writer: BufWriter<File>,
    counts: BTreeMap<(String, Reason), u64>,
}

impl fmt::Debug for RejectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl RejectFile {
    /// Creates the file, readable by its owner only, or empties the one that is there.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref().to_path_buf();
        let open = || {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            let mut writer = BufWriter::new(file);
            writeln!(writer, "file,line,byte,row,column,reason")?;
            Ok(writer)
        };
        let writer = open().map_err(|source| SourceError::Reject {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            state: Mutex::new(State {
                writer,
                counts: BTreeMap::new(),
            }),
        })
    }

    /// Bad rows so far by file and reason.
    pub fn counts(&self) -> BTreeMap<(String, Reason), u64> {
        self.state.lock().counts.clone()
    }

    /// Bad rows so far.
    pub fn total(&self) -> u64 {
        self.state.lock().counts.values().sum()
    }

    /// Makes sure that every line is on disk; call it before a load is committed.
    pub fn finish(&self) -> Result<(), SourceError> {
        let mut state = self.state.lock();
        let synced = state.writer.flush().and_then(|()| state.writer.get_ref().sync_all());
        synced.map_err(|source| self.error(source))
    }

    fn add(&self, bad: &BadRow) -> Result<(), SourceError> {
        let mut state = self.state.lock();
        write_row(&mut state.writer, bad).map_err(|source| self.error(source))?;
        *state.counts.entry((bad.file.clone(), bad.reason)).or_default() += 1;
        Ok(())
    }

    fn error(&self, source: io::Error) -> SourceError {
        SourceError::Reject {
            path: self.path.clone(),
            source,
        }
    }
}

fn write_row(writer: &mut impl Write, bad: &BadRow) -> io::Result<()> {
    let place = match bad.position {
        Position::Line { line, byte } => format!("{line},{byte},"),
        Position::Row(row) => format!(",,{row}"),
    };
    let file = bad.file.replace('"', "\"\"");
    writeln!(
        writer,
        "\"{file}\",{place},{},{}",
        bad.column.as_deref().unwrap_or(""),
        bad.reason
    )
}

//! What happens to bad rows, and the file that lists them. The file holds the place and the reason of each bad row and
//! **no value of it**: nothing of a patient is written in clear to any disk, so whoever corrects a row goes back to the
//! source, where file, line, byte and column say which one it is, or to what the load keeps of it, encrypted, if it is
//! told to (`rejected.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::{BadRow, Position, Reason, SourceError};
use super::limit::{Counts, RejectLimit};
use super::rejected::{RejectedRow, RowValues};

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
    /// Whether what bad rows hold is kept.
    pub(crate) fn keeps_rows(&self) -> bool {
        matches!(self, Self::SetAside(rejects) if rejects.keeps.is_some())
    }

    /// Applies the policy to the bad rows of `rows` rows of a file of a table, given in the file's order.
    pub(crate) fn take(&self, table: &str, file: &str, rows: u64, bad: Vec<Rejected>) -> Result<(), SourceError> {
        match self {
            Self::Skip => Ok(()),
            Self::Stop => bad
                .into_iter()
                .next()
                .map_or(Ok(()), |first| Err(SourceError::BadRow(first.bad))),
            Self::SetAside(rejects) => rejects.add(table, file, rows, bad),
        }
    }
}

/// A bad row on its way to the list, with what it holds where that is kept.
pub(crate) struct Rejected {
    pub(crate) bad: BadRow,
    pub(crate) values: Option<RowValues>,
}

/// A CSV file of bad rows: `file,line,byte,row,column,reason`. A Parquet row has `row`, a CSV row `line` and `byte`.
pub struct RejectFile {
    path: PathBuf,
    limit: RejectLimit,
    /// The most bytes of what bad rows hold, where that is kept.
    keeps: Option<usize>,
    state: Mutex<State>,
}

struct State {
    writer: BufWriter<File>,
    reasons: BTreeMap<(String, Reason), u64>,
    files: BTreeMap<String, Counts>,
    /// What bad rows hold, and how many bytes that is.
    kept: Vec<RejectedRow>,
    kept_bytes: usize,
}

/// The first line of the list.
const HEADER: &str = "file,line,byte,row,column,reason";

impl fmt::Debug for RejectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl RejectFile {
    /// Creates the file, readable by its owner only. A list that is there is written anew; any other file is refused, and so
    /// is a link.
    pub fn create(path: impl AsRef<Path>, limit: RejectLimit) -> Result<Self, SourceError> {
        let path = path.as_ref().to_path_buf();
        let failed = |source| SourceError::Reject {
            path: path.clone(),
            source,
        };
        if !is_list(&path).map_err(failed)? {
            return Err(SourceError::RejectTaken { path });
        }
        let writer = begun(&path).map_err(failed)?;
        Ok(Self {
            path,
            limit,
            keeps: None,
            state: Mutex::new(State {
                writer,
                reasons: BTreeMap::new(),
                files: BTreeMap::new(),
                kept: Vec::new(),
                kept_bytes: 0,
            }),
        })
    }

    /// The same, and what bad rows hold is kept in memory, up to so many bytes.
    #[must_use]
    pub fn keeping_rows(self, bytes: usize) -> Self {
        Self {
            keeps: Some(bytes),
            ..self
        }
    }

    /// The bad rows so far with what they hold, if that is kept; they are not given out again.
    pub fn take_rows(&self) -> Vec<RejectedRow> {
        std::mem::take(&mut self.state.lock().kept)
    }

    /// Bad rows so far by file and reason.
    pub fn counts(&self) -> BTreeMap<(String, Reason), u64> {
        self.state.lock().reasons.clone()
    }

    /// Bad rows of a file so far, by reason.
    pub fn reasons(&self, file: &str) -> BTreeMap<Reason, u64> {
        let state = self.state.lock();
        let of_file = state.reasons.iter().filter(|((of, _), _)| of == file);
        of_file.map(|((_, reason), rows)| (*reason, *rows)).collect()
    }

    /// Bad rows of a file so far.
    pub fn of(&self, file: &str) -> u64 {
        self.state.lock().files.get(file).map_or(0, |counts| counts.bad)
    }

    /// Bad rows so far.
    pub fn total(&self) -> u64 {
        self.state.lock().files.values().map(|counts| counts.bad).sum()
    }

    /// Makes sure that every line is on disk, and that no source has more bad rows than it may; call it before a load is
    /// committed.
    pub fn finish(&self) -> Result<(), SourceError> {
        let mut state = self.state.lock();
        let synced = state.writer.flush().and_then(|()| state.writer.get_ref().sync_all());
        synced.map_err(|source| self.error(source))?;
        match state.files.iter().find(|(_, counts)| !self.limit.allows(**counts)) {
            Some((file, counts)) => Err(self.too_many(file, *counts)),
            None => Ok(()),
        }
    }

    fn add(&self, table: &str, file: &str, rows: u64, bad: Vec<Rejected>) -> Result<(), SourceError> {
        let mut state = self.state.lock();
        let bad_rows = bad.len() as u64;
        for Rejected { bad, values } in bad {
            write_row(&mut state.writer, &bad).map_err(|source| self.error(source))?;
            *state.reasons.entry((bad.file.clone(), bad.reason)).or_default() += 1;
            if let Some(values) = values {
                self.keep(&mut state, table, bad, values)?;
            }
        }
        let counts = state.files.entry(file.to_owned()).or_default();
        counts.rows += rows;
        counts.bad += bad_rows;
        let counts = *counts;
        match self.limit.allows_more(counts) {
            true => Ok(()),
            false => {
                // Those that were found so far are what the reader of the error looks at.
                state.writer.flush().map_err(|source| self.error(source))?;
                Err(self.too_many(file, counts))
            }
        }
    }

    fn keep(&self, state: &mut State, table: &str, bad: BadRow, values: RowValues) -> Result<(), SourceError> {
        let Some(bytes) = self.keeps else { return Ok(()) };
        state.kept_bytes += values.as_json().len() + bad.file.len() + size_of::<RejectedRow>();
        if state.kept_bytes > bytes {
            return Err(SourceError::TooManyKept { bytes });
        }
        state.kept.push(RejectedRow {
            table: table.to_owned(),
            bad,
            values,
        });
        Ok(())
    }

    fn too_many(&self, file: &str, counts: Counts) -> SourceError {
        SourceError::TooManyBad {
            file: file.to_owned(),
            bad: counts.bad,
            rows: counts.rows,
            limit: self.limit,
            path: self.path.clone(),
        }
    }

    fn error(&self, source: io::Error) -> SourceError {
        SourceError::Reject {
            path: self.path.clone(),
            source,
        }
    }
}

/// Whether a list may be written here: nothing is there, or an earlier list, which is no link.
fn is_list(path: &Path) -> io::Result<bool> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        found => found?,
    };
    if !found.is_file() {
        return Ok(false);
    }
    let mut first = Vec::new();
    File::open(path)?
        .take(HEADER.len() as u64 + 1)
        .read_to_end(&mut first)?;
    Ok(first.is_empty() || first == format!("{HEADER}\n").as_bytes())
}

/// A list that is there is removed, and a file made that was not there: no link is followed that somebody puts between.
fn begun(path: &Path) -> io::Result<BufWriter<File>> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::new(file);
    writeln!(writer, "{HEADER}")?;
    Ok(writer)
}

fn write_row(writer: &mut impl Write, bad: &BadRow) -> io::Result<()> {
    let place = match bad.position {
        Position::Line { line, byte } => format!("{line},{byte},"),
        Position::Row(row) => format!(",,{row}"),
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let column = bad.column.as_deref().unwrap_or("");
    writeln!(
        writer,
        "{},{place},{column},{}",
        quoted(&bad.file),
        quoted(&bad.problem())
    )
}

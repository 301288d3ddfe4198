//! Where a result goes: standard output, or a file that appears under its name only when it is whole.
//!
//! Results can be rows about people: the file is made for its owner alone (mode 0600).

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A place to write one result, or several one after the other.
pub enum Destination {
    /// Standard output.
    Standard(BufWriter<io::Stdout>),
    /// A file beside its final name until it is kept.
    New(BufWriter<NamedTempFile>, PathBuf),
    /// Something that is not a regular file, such as a named pipe: written in place.
    Device(BufWriter<File>),
    /// Memory, for tests.
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>),
}

impl Destination {
    /// Standard output.
    pub fn standard() -> Self {
        Destination::Standard(BufWriter::with_capacity(64 * 1024, io::stdout()))
    }

    /// A file, replaced as a whole once the result is.
    pub fn file(path: &Path) -> io::Result<Self> {
        if path.exists() && !path.is_file() {
            return Ok(Destination::Device(BufWriter::new(
                OpenOptions::new().write(true).open(path)?,
            )));
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let beside = tempfile::Builder::new()
            .prefix(".parcours-")
            .suffix(".part")
            .tempfile_in(folder)?;
        Ok(Destination::New(
            BufWriter::with_capacity(256 * 1024, beside),
            path.to_owned(),
        ))
    }

    /// Whether a person reads what is written as it comes.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Destination::Standard(_)) && io::stdout().is_terminal()
    }

    /// Whether it is a file of its own, which may have a footer and be read by seeking.
    pub fn is_file(&self) -> bool {
        matches!(self, Destination::New(..))
    }

    /// Puts a new file under its name. Without this call it is removed again.
    pub fn keep(self) -> io::Result<()> {
        match self {
            Destination::New(writer, path) => {
                let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
            mut other => other.flush(),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::Standard(writer) => writer.write(bytes),
            Destination::New(writer, _) => writer.write(bytes),
            Destination::Device(writer) => writer.write(bytes),
            #[cfg(test)]
            Destination::Memory(memory) => {
                memory
                    .lock()
                    .map_err(|_| io::ErrorKind::Other)?
                    .extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Destination::Standard(writer) => writer.flush(),
            Destination::New(writer, _) => writer.flush(),
            Destination::Device(writer) => writer.flush(),
            #[cfg(test)]
            Destination::Memory(_) => Ok(()),
        }
    }
}

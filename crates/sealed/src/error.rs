//! Why sealed bytes could not be written or do not open.

use std::io;
use std::path::PathBuf;

/// An error of sealed scratch files. Frames are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Reading or writing failed below.
    #[error("scratch file: {0}")]
    Io(#[source] io::Error),
    /// The file does not begin as a sealed file does.
    #[error("not a sealed file, its header is missing or altered")]
    NotSealed,
    /// The bytes end before the end frame.
    #[error("sealed file is cut short in frame {frame}")]
    Truncated {
        /// The frame that is missing or incomplete.
        frame: u64,
    },
    /// A frame does not authenticate: altered, out of order, or of another file, place or key.
    #[error("frame {frame} of a sealed file was altered, moved or belongs elsewhere")]
    Tampered {
        /// The frame.
        frame: u64,
    },
    /// Bytes follow the end frame.
    #[error("bytes follow the end of a sealed file")]
    TrailingBytes,
    /// The file was ended; nothing can be added.
    #[error("sealed file is ended, nothing can be added")]
    Ended,
    /// The scratch directory cannot be used.
    #[error("scratch directory {}: {problem}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The cryptographic library failed; it gives no reason.
    #[error("{operation} failed in the cryptographic library")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
    },
}

impl From<SealError> for io::Error {
    /// An error from below stays itself; one of sealing becomes `InvalidData`.
    fn from(error: SealError) -> Self {
        match error {
            SealError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

//! Scratch bytes at rest that nobody else can read: shuffle partitions and spills of a running process.
//!
//! Keys are random, live in memory only and end with the job or the process, so that what is left on a disk is noise.
//! Every change to a sealed file is an error, never other bytes: flips, cuts, reordering, swaps, additions. This crate
//! refuses to write in clear. See [`frame`] for the format, [`spill`] for DataFusion's temporary files.

pub mod error;
pub mod frame;
pub mod key;
pub mod reader;
pub mod spill;
mod spill_file;
pub mod writer;

pub use error::SealError;
pub use frame::{DEFAULT_FRAME, MAX_FRAME, MIN_FRAME};
pub use key::ScratchKey;
pub use reader::SealedReader;
pub use spill::{SpillCounters, SpillFiles};
pub use writer::SealedWriter;

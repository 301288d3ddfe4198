//! Plain bytes in, a sealed file out.

use std::fmt;
use std::io::{self, Write};

use crate::error::SealError;
use crate::frame::{DEFAULT_FRAME, MAX_FRAME, MIN_FRAME, Sealer, TAG_LEN, WORD_LEN};
use crate::key::ScratchKey;

/// Seals what is written to it, frame by frame, into `W`.
///
/// It must be ended with [`SealedWriter::finish`] or [`SealedWriter::end`]: a file without its end frame does not
/// open. Bytes are copied once, into the frame's buffer, and sealed there. A failed write of a frame ends the writer
/// for good, for part of the frame may be in the file.
pub struct SealedWriter<W: Write> {
    inner: W,
    sealer: Sealer,
    /// Room for the word, then the plaintext gathered so far.
    frame: Vec<u8>,
    full: usize,
    failed: bool,
    written: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a sealed file: writes its header to `inner`.
    ///
    /// `context` names this one file for good; see [`crate::frame`].
    ///
    /// # Errors
    /// [`SealError::Io`] when writing fails, [`SealError::Crypto`] when the random source does.
    pub fn new(inner: W, key: &ScratchKey, context: &[u8]) -> Result<Self, SealError> {
        Self::with_frame(inner, key, context, DEFAULT_FRAME)
    }

    /// As [`SealedWriter::new`], with full frames of `plain_bytes`, held between [`MIN_FRAME`] and [`MAX_FRAME`].
    ///
    /// # Errors
    /// As [`SealedWriter::new`].
    pub fn with_frame(mut inner: W, key: &ScratchKey, context: &[u8], plain_bytes: usize) -> Result<Self, SealError> {
        let (sealer, header) = Sealer::new(key, context)?;
        inner.write_all(&header).map_err(SealError::Io)?;
        let full = WORD_LEN + plain_bytes.clamp(MIN_FRAME, MAX_FRAME);
        let mut frame = Vec::with_capacity(full + TAG_LEN);
        frame.resize(WORD_LEN, 0);
        Ok(Self {
            inner,
            sealer,
            frame,
            full,
            failed: false,
            written: header.len() as u64,
        })
    }

    /// Bytes handed to `W` so far: whole frames only.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Seals what is left, writes the end frame and flushes `W`. Once it has succeeded, calling it again does nothing.
    ///
    /// # Errors
    /// [`SealError::Io`] when writing fails now, [`SealError::Ended`] when it failed before.
    pub fn end(&mut self) -> Result<(), SealError> {
        if !self.sealer.is_ended() {
            self.put_frame(true)?;
            self.frame = Vec::new();
        } else if self.failed {
            return Err(SealError::Ended);
        }
        self.inner.flush().map_err(SealError::Io)
    }

    /// Ends the file as [`SealedWriter::end`] does, and gives `W` back.
    ///
    /// # Errors
    /// As [`SealedWriter::end`].
    pub fn finish(mut self) -> Result<W, SealError> {
        self.end()?;
        Ok(self.inner)
    }

    fn put_frame(&mut self, last: bool) -> Result<(), SealError> {
        if self.failed {
            return Err(SealError::Ended);
        }
        self.failed = true; // until proven otherwise: an early return leaves the writer closed
        self.sealer.seal(&mut self.frame, last)?;
        self.inner.write_all(&self.frame).map_err(SealError::Io)?;
        self.written += self.frame.len() as u64;
        self.frame.truncate(WORD_LEN);
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed || self.sealer.is_ended() {
            return Err(SealError::Ended.into());
        }
        if self.frame.len() == self.full {
            self.put_frame(false)?;
        }
        let taken = bytes.len().min(self.full - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Puts what was gathered into a frame of its own, however short, so that a reader beside it can have it.
    fn flush(&mut self) -> io::Result<()> {
        if !self.sealer.is_ended() && self.frame.len() > WORD_LEN {
            self.put_frame(false)?;
        }
        self.inner.flush()
    }
}

impl<W: Write> fmt::Debug for SealedWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedWriter")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

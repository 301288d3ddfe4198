//! A sealed file in, the plain bytes that were written out, or an error.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;

use crate::error::SealError;
use crate::frame::{HEADER_LEN, Opener, TAG_LEN, WORD_LEN};
use crate::key::ScratchKey;

/// Opens a sealed file, frame by frame. No byte is given out before its frame has proved genuine; whether the file is
/// whole is known at its end, so a caller acts on what it read only when reading has ended without an error.
pub struct SealedReader<R: Read> {
    inner: R,
    opener: Opener,
    /// The open frame of [`Read`], without its tag, and how much of it was given out.
    frame: Vec<u8>,
    given: usize,
    failed: bool,
    consumed: u64,
}

impl<R: Read> SealedReader<R> {
    /// Reads the header from `inner`. `key` and `context` are those that the file was written with.
    ///
    /// # Errors
    /// [`SealError::NotSealed`] for another kind of file, [`SealError::Truncated`] for a shorter one.
    pub fn new(mut inner: R, key: &ScratchKey, context: &[u8]) -> Result<Self, SealError> {
        let mut header = [0; HEADER_LEN];
        inner.read_exact(&mut header).map_err(|error| short(error, 0))?;
        let opener = Opener::new(key, context, &header)?;
        Ok(Self {
            inner,
            opener,
            frame: Vec::new(),
            given: 0,
            failed: false,
            consumed: HEADER_LEN as u64,
        })
    }

    /// Bytes taken from `R` so far.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next frame's plaintext without a copy, or `None` after the end frame. Not to be mixed with [`Read`].
    ///
    /// # Errors
    /// Any [`SealError`] of a damaged file; after one, every further call is an error.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, SealError> {
        let mut frame = Vec::new();
        while self.fill(&mut frame)? {
            if !frame.is_empty() {
                return Ok(Some(Bytes::from(frame)));
            }
        }
        Ok(None)
    }

    /// Opens the next frame into `frame`; `false` after the end frame.
    fn fill(&mut self, frame: &mut Vec<u8>) -> Result<bool, SealError> {
        if self.failed {
            return Err(SealError::Tampered {
                frame: self.opener.number(),
            });
        }
        let outcome = if self.opener.is_ended() {
            Ok(false)
        } else {
            self.read_frame(frame).map(|()| true)
        };
        self.failed = outcome.is_err();
        outcome
    }

    fn read_frame(&mut self, frame: &mut Vec<u8>) -> Result<(), SealError> {
        let number = self.opener.number();
        let mut word = [0; WORD_LEN];
        self.inner.read_exact(&mut word).map_err(|error| short(error, number))?;
        let length = self.opener.body_len(word)?;
        frame.clear();
        frame.reserve_exact(length);
        // Into spare capacity: the buffer is not zeroed first, and is never larger than one frame.
        let read = self
            .inner
            .by_ref()
            .take(length as u64)
            .read_to_end(frame)
            .map_err(|error| short(error, number))?;
        if read < length {
            return Err(SealError::Truncated { frame: number });
        }
        self.opener.open(word, frame)?;
        frame.truncate(length - TAG_LEN);
        self.consumed += (WORD_LEN + length) as u64;
        if self.opener.is_ended() {
            self.expect_end()
        } else {
            Ok(())
        }
    }

    fn expect_end(&mut self) -> Result<(), SealError> {
        match self.inner.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(SealError::TrailingBytes),
            Err(error) => Err(SealError::Io(error)),
        }
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.frame.len() {
            let mut frame = std::mem::take(&mut self.frame);
            self.given = 0;
            let more = self.fill(&mut frame);
            if more.as_ref().is_ok_and(|more| *more) {
                self.frame = frame;
            } else {
                return more.map(|_| 0).map_err(io::Error::from);
            }
        }
        let taken = out.len().min(self.frame.len() - self.given);
        out[..taken].copy_from_slice(&self.frame[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

impl<R: Read> fmt::Debug for SealedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReader")
            .field("consumed", &self.consumed)
            .finish_non_exhaustive()
    }
}

fn short(error: io::Error, frame: u64) -> SealError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SealError::Truncated { frame },
        _ => SealError::Io(error),
    }
}

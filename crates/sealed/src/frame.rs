//! The format of a sealed file, and the ciphers that make and open its frames.
//!
//! ```text
//! header: "PSEALED1" (8 bytes), salt (32 bytes)
//! frame:  word (u32, little-endian: length of the plaintext, top bit set in the end frame), ciphertext, tag (16 bytes)
//! ```
//!
//! The file's AES-256-GCM key is HKDF-SHA256(scratch key, salt, "parcours-sealed-1 file key"). A frame's nonce is its
//! number (four zero bytes, u64 big-endian); its additional data are the caller's context, the number (u64 big-endian)
//! and the end flag (one byte). The end frame is the last and may be empty. A whole older file of the same context and
//! scratch key opens, so a context names one file for good: job, stage, partition and attempt, or a random id.

use std::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use crate::error::SealError;
use crate::key::{SALT_LEN, ScratchKey, fill_random};

/// Plaintext bytes of a frame unless told otherwise.
pub const DEFAULT_FRAME: usize = 256 * 1024;
/// Least plaintext bytes that a writer may be told to put into a full frame.
pub const MIN_FRAME: usize = 64 * 1024;
/// Most plaintext bytes of a frame; a longer one is refused before anything is allocated.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = MAGIC.len() + SALT_LEN;
/// Bytes of the word before each frame.
pub(crate) const WORD_LEN: usize = 4;
/// Bytes of the tag after each frame.
pub(crate) const TAG_LEN: usize = 16;

const MAGIC: &[u8; 8] = b"PSEALED1";
const LAST: u32 = 1 << 31;

/// A file's cipher and its place in the sequence of frames.
struct Sequence {
    key: LessSafeKey,
    /// Context, number, end flag; only the last nine bytes change.
    aad: Vec<u8>,
    number: u64,
    ended: bool,
}

impl Sequence {
    fn new(key: LessSafeKey, context: &[u8]) -> Self {
        let mut aad = context.to_vec();
        aad.extend_from_slice(&[0; 9]);
        Self {
            key,
            aad,
            number: 0,
            ended: false,
        }
    }

    /// The next frame's nonce and additional data, beside the key they are for.
    fn next(&mut self, last: bool) -> (&LessSafeKey, Nonce, Aad<&[u8]>) {
        let number = self.number.to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&number);
        let start = self.aad.len() - 9;
        self.aad[start..start + 8].copy_from_slice(&number);
        self.aad[start + 8] = u8::from(last);
        (
            &self.key,
            Nonce::assume_unique_for_key(nonce),
            Aad::from(self.aad.as_slice()),
        )
    }

    fn advance(&mut self, last: bool) {
        self.number += 1;
        self.ended = last;
    }
}

/// Seals the frames of one file, in order.
pub(crate) struct Sealer(Sequence);

impl Sealer {
    /// A sealer of a new file, and the header that the file begins with.
    pub(crate) fn new(key: &ScratchKey, context: &[u8]) -> Result<(Self, [u8; HEADER_LEN]), SealError> {
        let mut salt = [0; SALT_LEN];
        fill_random(&mut salt)?;
        let mut header = [0; HEADER_LEN];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].copy_from_slice(&salt);
        Ok((Self(Sequence::new(key.file_key(&salt)?, context)), header))
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.ended
    }

    /// Seals `frame` in place: it comes as [`WORD_LEN`] free bytes and plaintext, and leaves as a whole frame.
    pub(crate) fn seal(&mut self, frame: &mut Vec<u8>, last: bool) -> Result<(), SealError> {
        let sequence = &mut self.0;
        if sequence.ended {
            return Err(SealError::Ended);
        }
        let length = u32::try_from(frame.len() - WORD_LEN).unwrap_or(u32::MAX);
        let word = if last { length | LAST } else { length };
        frame[..WORD_LEN].copy_from_slice(&word.to_le_bytes());
        let (key, nonce, aad) = sequence.next(last);
        if cfg!(feature = "measure-plain") {
            frame.extend_from_slice(&[0; TAG_LEN]);
        } else {
            let tag = key.seal_in_place_separate_tag(nonce, aad, &mut frame[WORD_LEN..]);
            let tag = tag.map_err(|_| SealError::Crypto {
                operation: "sealing a frame",
            })?;
            frame.extend_from_slice(tag.as_ref());
        }
        sequence.advance(last);
        Ok(())
    }
}

/// Opens the frames of one file, in order. After an error it opens nothing more.
pub(crate) struct Opener(Sequence);

impl Opener {
    /// An opener for the file that begins with `header`.
    pub(crate) fn new(key: &ScratchKey, context: &[u8], header: &[u8; HEADER_LEN]) -> Result<Self, SealError> {
        let Some(Ok(salt)) = header.strip_prefix(MAGIC).map(<&[u8; SALT_LEN]>::try_from) else {
            return Err(SealError::NotSealed);
        };
        Ok(Self(Sequence::new(key.file_key(salt)?, context)))
    }

    /// The number of the next frame.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.ended
    }

    /// Bytes of ciphertext and tag that follow `word`.
    pub(crate) fn body_len(&self, word: [u8; WORD_LEN]) -> Result<usize, SealError> {
        let length = (u32::from_le_bytes(word) & !LAST) as usize;
        if length > MAX_FRAME {
            return Err(SealError::Tampered { frame: self.0.number });
        }
        Ok(length + TAG_LEN)
    }

    /// Opens `body` in place; its plaintext is all but its last [`TAG_LEN`] bytes.
    pub(crate) fn open(&mut self, word: [u8; WORD_LEN], body: &mut [u8]) -> Result<(), SealError> {
        let sequence = &mut self.0;
        let last = u32::from_le_bytes(word) & LAST != 0;
        let (key, nonce, aad) = sequence.next(last);
        if !cfg!(feature = "measure-plain") && key.open_in_place(nonce, aad, body).is_err() {
            return Err(SealError::Tampered { frame: sequence.number });
        }
        sequence.advance(last);
        Ok(())
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}", self.number)
    }
}

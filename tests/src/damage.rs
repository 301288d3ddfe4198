//! Damage to files, drawn at random from a seed: what a failing disk does, and what somebody does who can write to it but
//! has no key. Knows where the frames of sealed files and the modules of encrypted Parquet files begin, from the
//! descriptions of both formats, so that damage can follow their seams. What must come of it is for the tests to say.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One bit is turned.
    Flip,
    /// One bit is turned where a frame begins or ends: in its length, its nonce or its tag.
    FlipAtSeam,
    /// A stretch is filled with other bytes.
    Overwrite,
    /// The end is missing.
    Truncate,
    /// The file ends where a frame ends.
    TruncateAtSeam,
    /// Bytes follow the end.
    Append,
    /// A stretch is missing in the middle.
    Cut,
    /// A stretch is there twice.
    Repeat,
    /// A frame is missing.
    DropFrame,
    /// A frame is there twice.
    RepeatFrame,
    /// Two frames have changed places.
    SwapFrames,
    /// All frames are in another order.
    Shuffle,
    /// A frame of another file stands in the place of one.
    ForeignFrame,
    /// Another file stands in its place: of another partition, task, stage, job or table.
    ForeignFile,
    /// A file that was there before stands in its place.
    Replay,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Flip,
        Self::FlipAtSeam,
        Self::Overwrite,
        Self::Truncate,
        Self::TruncateAtSeam,
        Self::Append,
        Self::Cut,
        Self::Repeat,
        Self::DropFrame,
        Self::RepeatFrame,
        Self::SwapFrames,
        Self::Shuffle,
        Self::ForeignFrame,
        Self::ForeignFile,
        Self::Replay,
    ];
}

/// Where the frames of a file lie.
pub type Seams = fn(&[u8]) -> Vec<Range<usize>>;

/// A file, and the others that may get into its place.
#[derive(Debug, Clone, Copy)]
pub struct Victim<'a> {
    /// The file as it was written.
    pub original: &'a [u8],
    /// Whole files that belong elsewhere.
    pub foreign: &'a [Vec<u8>],
    /// Whole files that were in this place before.
    pub earlier: &'a [Vec<u8>],
    /// Where frames begin and end.
    pub seams: Seams,
}

impl Victim<'_> {
    /// The damaged file; nothing when this damage cannot be done to it, or leaves it as it was.
    pub fn damaged(&self, kind: Kind, random: &mut StdRng) -> Option<Vec<u8>> {
        let damaged = self.draw(kind, random)?;
        (damaged != self.original).then_some(damaged)
    }

    fn draw(&self, kind: Kind, random: &mut StdRng) -> Option<Vec<u8>> {
        let frames = (self.seams)(self.original);
        let mut bytes = self.original.to_vec();
        match kind {
            Kind::Flip => {
                let at = random.random_range(0..bytes.len());
                flip(&mut bytes, at, random);
            }
            Kind::FlipAtSeam => {
                let frame = any(&frames, random)?;
                let edge = if random.random_bool(0.5) {
                    frame.start..(frame.start + 16).min(frame.end)
                } else {
                    frame.end.saturating_sub(16).max(frame.start)..frame.end
                };
                let at = random.random_range(edge);
                flip(&mut bytes, at, random);
            }
            Kind::Overwrite => {
                let stretch = stretch(bytes.len(), random);
                random.fill_bytes(&mut bytes[stretch]);
            }
            Kind::Truncate => bytes.truncate(random.random_range(0..self.original.len())),
            Kind::TruncateAtSeam => bytes.truncate(any(&frames, random)?.start),
            Kind::Append => {
                let mut more = vec![0; random.random_range(1..64)];
                random.fill_bytes(&mut more);
                bytes.extend(more);
            }
            Kind::Cut => _ = bytes.drain(stretch(self.original.len(), random)),
            Kind::Repeat => {
                let stretch = stretch(bytes.len(), random);
                let again = bytes[stretch.clone()].to_vec();
                bytes.splice(stretch.end..stretch.end, again);
            }
            Kind::DropFrame => _ = bytes.drain(any(&frames, random)?),
            Kind::RepeatFrame => {
                let frame = any(&frames, random)?;
                let at = any(&frames, random)?.start;
                bytes.splice(at..at, self.original[frame].to_vec());
            }
            Kind::SwapFrames | Kind::Shuffle => return self.reordered(kind, &frames, random),
            Kind::ForeignFrame => {
                let other = any(self.foreign, random)?;
                let foreign = other[any(&(self.seams)(&other), random)?].to_vec();
                bytes.splice(any(&frames, random)?, foreign);
            }
            Kind::ForeignFile => bytes = any(self.foreign, random)?,
            Kind::Replay => bytes = any(self.earlier, random)?,
        }
        Some(bytes)
    }

    fn reordered(&self, kind: Kind, frames: &[Range<usize>], random: &mut StdRng) -> Option<Vec<u8>> {
        let mut order: Vec<Range<usize>> = frames.to_vec();
        let swaps = if kind == Kind::SwapFrames { 1 } else { order.len() };
        for _ in 0..swaps {
            let (one, two) = (index(&order, random)?, index(&order, random)?);
            order.swap(one, two);
        }
        let (first, last) = (frames.first()?.start, frames.last()?.end);
        let mut bytes = self.original[..first].to_vec();
        order
            .iter()
            .for_each(|frame| bytes.extend_from_slice(&self.original[frame.clone()]));
        bytes.extend_from_slice(&self.original[last..]);
        Some(bytes)
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut StdRng) {
    bytes[at] ^= 1 << random.random_range(0..8);
}

fn index<T>(of: &[T], random: &mut StdRng) -> Option<usize> {
    (!of.is_empty()).then(|| random.random_range(0..of.len()))
}

fn any<T: Clone>(of: &[T], random: &mut StdRng) -> Option<T> {
    Some(of[index(of, random)?].clone())
}

/// At least one byte and at most an eighth of the file.
fn stretch(length: usize, random: &mut StdRng) -> Range<usize> {
    let start = random.random_range(0..length);
    let most = (length / 8).max(1).min(length - start);
    start..start + random.random_range(1..=most)
}

/// The frames of a sealed file: a header of 40 bytes, then each a length of four bytes (its top bit marks the end), as many
/// bytes, and a tag of 16.
pub fn sealed_frames(file: &[u8]) -> Vec<Range<usize>> {
    chain(file, 40, file.len(), |word| (word & 0x7fff_ffff) as usize + 16)
}

/// The encrypted modules of a Parquet file that begins with `PARE`: each a length of four bytes, and as many bytes. The
/// footer, which is found from the end, is left out.
pub fn parquet_modules(file: &[u8]) -> Vec<Range<usize>> {
    let tail = file.len().saturating_sub(8);
    let footer = file.get(tail..tail + 4).and_then(|word| word.try_into().ok());
    let footer = footer.map_or(0, |word| u32::from_le_bytes(word) as usize);
    chain(file, 4, tail.saturating_sub(footer), |word| word as usize)
}

fn chain(file: &[u8], start: usize, end: usize, body: impl Fn(u32) -> usize) -> Vec<Range<usize>> {
    let (mut frames, mut at) = (Vec::new(), start);
    while let Some(word) = file.get(at..at + 4).and_then(|word| word.try_into().ok()) {
        let next = at + 4 + body(u32::from_le_bytes(word));
        if next > end {
            break;
        }
        frames.push(at..next);
        at = next;
    }
    frames
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Forty bytes of header, then frames of the given lengths.
    fn sealed(lengths: &[u32]) -> Vec<u8> {
        let mut file = vec![9; 40];
        for length in lengths {
            file.extend(length.to_le_bytes());
            file.extend((0..length + 16).map(|n| (n + length) as u8));
        }
        file
    }

    #[test]
    fn frames_are_found_where_they_are() {
        assert_eq!(sealed_frames(&sealed(&[5, 0, 7])), [40..65, 65..85, 85..112]);
        assert!(sealed_frames(&sealed(&[5])[..50]).is_empty());
        let mut parquet = b"PARE".to_vec();
        parquet.extend([2, 0, 0, 0, 1, 1, 3, 0, 0, 0, 2, 2, 2]);
        parquet.extend(b"footer");
        parquet.extend(6_u32.to_le_bytes());
        parquet.extend(b"PARE");
        assert_eq!(parquet_modules(&parquet), [4..10, 10..17]);
    }

    #[test]
    fn every_kind_can_be_done_and_changes_something() {
        let original = sealed(&[50, 60, 70]);
        let foreign = [sealed(&[40, 30])];
        let earlier = [sealed(&[50, 61, 70])];
        let victim = Victim {
            original: &original,
            foreign: &foreign,
            earlier: &earlier,
            seams: sealed_frames,
        };
        let mut random = StdRng::seed_from_u64(1);
        for kind in Kind::ALL {
            let damaged = (0..50).find_map(|_| victim.damaged(kind, &mut random));
            assert_ne!(damaged.unwrap(), original, "{kind:?}");
        }
    }
}

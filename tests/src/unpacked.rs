//! What lies compressed in a run of bytes. Compression can hide a value from a search: a writer that compresses and does
//! not encrypt must not pass for one that encrypts. LZ4 and Zstandard are what Arrow's writers use; their frames begin with
//! four bytes that say so, wherever they lie. A frame that is damaged or cut gives what could be read of it.

use std::io::Read;

use memchr::memmem;

const LZ4: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Most bytes taken from one frame.
const MOST: u64 = 1 << 28;

/// The contents of every frame that begins in `bytes`, each handed to `take`. Returns how many held anything.
pub fn each_frame(bytes: &[u8], mut take: impl FnMut(&[u8])) -> usize {
    let mut frames = 0;
    for at in memmem::find_iter(bytes, &LZ4) {
        frames += usize::from(unpack(lz4_flex::frame::FrameDecoder::new(&bytes[at..]), &mut take));
    }
    for at in memmem::find_iter(bytes, &ZSTD) {
        if let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(&bytes[at..]) {
            frames += usize::from(unpack(decoder.single_frame(), &mut take));
        }
    }
    frames
}

fn unpack(frame: impl Read, take: &mut impl FnMut(&[u8])) -> bool {
    let mut content = Vec::new();
    // An error is the end of what can be read: what came before it is kept.
    let _ = frame.take(MOST).read_to_end(&mut content);
    if !content.is_empty() {
        take(&content);
    }
    !content.is_empty()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        each_frame(bytes, |content| all.push(content.to_vec()));
        all
    }

    #[test]
    fn frames_are_found_between_other_bytes_and_when_cut() {
        let text = b"PATIENT-MARKER ".repeat(1000);
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(b"before".to_vec());
        lz4.write_all(&text).unwrap();
        let lz4 = lz4.finish().unwrap();
        let zstd = [
            b"before".to_vec(),
            zstd::encode_all(text.as_slice(), 1).unwrap(),
            b"after".to_vec(),
        ]
        .concat();
        assert!(lz4.len() < 1000 && zstd.len() < 1000);
        assert_eq!(unpacked(&lz4), std::slice::from_ref(&text));
        assert_eq!(unpacked(&zstd), [text]);
        assert!(unpacked(b"nothing compressed").is_empty());
    }

    #[test]
    fn a_cut_frame_gives_its_beginning() {
        let text: Vec<u8> = (0..400_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
        let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
        lz4.write_all(&text).unwrap();
        let mut lz4 = lz4.finish().unwrap();
        lz4.truncate(lz4.len() / 2);
        let found = unpacked(&lz4);
        assert!(found[0].len() > 1000 && text.starts_with(&found[0]));
    }
}

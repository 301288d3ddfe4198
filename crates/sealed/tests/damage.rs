//! Every change to a sealed file is found: thousands of random mutations, and the ones an attacker would choose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};

use parcours_sealed::{MIN_FRAME, ScratchKey, SealError, SealedReader, SealedWriter};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

const CONTEXT: &[u8] = b"job 7, stage 2, partition 3, attempt 0";
const HEADER: usize = 40;
const OVERHEAD: usize = 4 + 16;

fn seal(key: &ScratchKey, context: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut writer = SealedWriter::with_frame(Vec::new(), key, context, MIN_FRAME).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn open(key: &ScratchKey, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut reader = SealedReader::new(sealed, key, context)?;
    let mut plain = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        plain.extend_from_slice(&frame);
    }
    Ok(plain)
}

/// The same through `Read`, which has its own buffering.
fn open_by_reading(key: &ScratchKey, context: &[u8], sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    SealedReader::new(sealed, key, context)?.read_to_end(&mut plain)?;
    Ok(plain)
}

fn random_bytes(random: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

#[test]
fn any_chunking_comes_back() {
    let mut random = StdRng::seed_from_u64(1);
    let key = ScratchKey::random().unwrap();
    let edges = [
        0,
        1,
        MIN_FRAME - 1,
        MIN_FRAME,
        MIN_FRAME + 1,
        3 * MIN_FRAME,
        3 * MIN_FRAME + 7,
    ];
    let lengths = edges
        .into_iter()
        .chain((0..60).map(|_| random.random_range(0..4 * MIN_FRAME)))
        .collect::<Vec<_>>();
    for length in lengths {
        let plain = random_bytes(&mut random, length);
        let mut writer = SealedWriter::with_frame(Vec::new(), &key, CONTEXT, MIN_FRAME).unwrap();
        let mut rest = plain.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(random.random_range(1..=rest.len().min(2 * MIN_FRAME)));
            writer.write_all(now).unwrap();
            if random.random_bool(0.2) {
                writer.flush().unwrap();
            }
            rest = later;
        }
        let sealed = writer.finish().unwrap();
        assert_eq!(open(&key, CONTEXT, &sealed).unwrap(), plain);
        let mut reader = SealedReader::new(sealed.as_slice(), &key, CONTEXT).unwrap();
        let mut read = Vec::new();
        loop {
            let mut buffer = vec![0; random.random_range(1..100_000)];
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        assert_eq!(read, plain);
        assert_eq!(reader.consumed(), sealed.len() as u64);
    }
}

#[test]
fn ten_thousand_random_mutations_are_all_found() {
    let mut random = StdRng::seed_from_u64(2);
    let key = ScratchKey::random().unwrap();
    let plain = random_bytes(&mut random, 2 * MIN_FRAME + 1000);
    let sealed = seal(&key, CONTEXT, &plain);
    for round in 0..10_000 {
        let mut damaged = sealed.clone();
        match round % 5 {
            // Most of a file is ciphertext: aim half of the flips at headers, words and tags.
            0 => flip(&mut damaged, random.random_range(0..sealed.len()), &mut random),
            1 => {
                let start = [0, HEADER, HEADER + 4 + MIN_FRAME, sealed.len() - 40][random.random_range(0..4)];
                flip(&mut damaged, start + random.random_range(0..40), &mut random);
            }
            2 => damaged.truncate(random.random_range(0..sealed.len())),
            3 => {
                let more = random.random_range(1..64);
                damaged.extend(random_bytes(&mut random, more));
            }
            _ => cut_or_repeat(&mut damaged, &mut random),
        }
        if damaged == sealed {
            continue;
        }
        assert!(open(&key, CONTEXT, &damaged).is_err(), "mutation {round} went unseen");
        assert!(
            open_by_reading(&key, CONTEXT, &damaged).is_err(),
            "mutation {round} went unseen by read"
        );
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut StdRng) {
    bytes[at] ^= 1 << random.random_range(0..8);
}

/// Removes or doubles a stretch in the middle.
fn cut_or_repeat(bytes: &mut Vec<u8>, random: &mut StdRng) {
    let start = random.random_range(0..bytes.len() - 1);
    let end = random.random_range(start + 1..bytes.len());
    if random.random_bool(0.5) {
        bytes.drain(start..end);
    } else {
        let stretch = bytes[start..end].to_vec();
        bytes.splice(end..end, stretch);
    }
}

/// Frames of a sealed file whose frames are full but for the last.
fn frames(sealed: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, rest) = sealed.split_at(HEADER);
    (
        header.to_vec(),
        rest.chunks(MIN_FRAME + OVERHEAD).map(<[u8]>::to_vec).collect(),
    )
}

#[test]
fn frames_keep_their_order_and_number() {
    let key = ScratchKey::random().unwrap();
    let sealed = seal(&key, CONTEXT, &vec![7; 4 * MIN_FRAME + 9]);
    let (header, original) = frames(&sealed);
    assert_eq!(original.len(), 5);
    for one in 0..5 {
        for two in 0..5 {
            let mut swapped = original.clone();
            swapped.swap(one, two);
            let outcome = open(&key, CONTEXT, &[header.clone(), swapped.concat()].concat());
            assert_eq!(outcome.is_ok(), one == two, "frames {one} and {two} swapped");
        }
        let mut without = original.clone();
        without.remove(one);
        assert!(open(&key, CONTEXT, &[header.clone(), without.concat()].concat()).is_err());
        let mut doubled = original.clone();
        doubled.insert(one, original[one].clone());
        assert!(open(&key, CONTEXT, &[header.clone(), doubled.concat()].concat()).is_err());
    }
}

#[test]
fn a_cut_at_a_frame_is_named_as_a_cut() {
    let key = ScratchKey::random().unwrap();
    let sealed = seal(&key, CONTEXT, &vec![7; 3 * MIN_FRAME + 1]);
    for whole in 0..3 {
        let cut = &sealed[..HEADER + whole * (MIN_FRAME + OVERHEAD)];
        match open(&key, CONTEXT, cut) {
            Err(SealError::Truncated { frame }) => assert_eq!(frame, whole as u64),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        open(&key, CONTEXT, &sealed[..20]),
        Err(SealError::Truncated { frame: 0 })
    ));
    let longer = [sealed.as_slice(), b"!"].concat();
    assert!(matches!(open(&key, CONTEXT, &longer), Err(SealError::TrailingBytes)));
    assert!(matches!(open(&key, CONTEXT, &[0; 100]), Err(SealError::NotSealed)));
}

#[test]
fn the_end_cannot_be_moved() {
    let key = ScratchKey::random().unwrap();
    let sealed = seal(&key, CONTEXT, &vec![7; MIN_FRAME + 1]);
    let mut early = sealed[..HEADER + MIN_FRAME + OVERHEAD].to_vec();
    early[HEADER + 3] |= 0x80;
    assert!(matches!(
        open(&key, CONTEXT, &early),
        Err(SealError::Tampered { frame: 0 })
    ));
    let second = HEADER + MIN_FRAME + OVERHEAD;
    let mut open_end = sealed.clone();
    open_end[second + 3] &= 0x7f;
    assert!(open(&key, CONTEXT, &open_end).is_err());
}

#[test]
fn files_do_not_stand_in_for_one_another() {
    let (key, other) = (ScratchKey::random().unwrap(), ScratchKey::random().unwrap());
    let one = seal(&key, CONTEXT, b"one");
    let two = seal(&key, b"job 7, stage 2, partition 4, attempt 0", b"two");
    assert!(matches!(
        open(&key, CONTEXT, &two),
        Err(SealError::Tampered { frame: 0 })
    ));
    assert!(open(&other, CONTEXT, &one).is_err());
    // A frame of one file under the header of another, both of one context.
    let twin = seal(&key, CONTEXT, b"uno");
    let mixed = [&one[..HEADER], &twin[HEADER..]].concat();
    assert!(open(&key, CONTEXT, &mixed).is_err());
    let again = ScratchKey::from_bytes(key.expose());
    assert_eq!(open(&again, CONTEXT, &one).unwrap(), b"one");
}

#[test]
fn an_unended_file_does_not_open_and_an_ended_one_takes_nothing_more() {
    let key = ScratchKey::random().unwrap();
    let mut bytes = Vec::new();
    {
        let mut writer = SealedWriter::new(&mut bytes, &key, CONTEXT).unwrap();
        writer.write_all(b"half").unwrap();
        writer.flush().unwrap();
    }
    assert!(matches!(
        open(&key, CONTEXT, &bytes),
        Err(SealError::Truncated { frame: 1 })
    ));
    let mut writer = SealedWriter::new(Vec::new(), &key, CONTEXT).unwrap();
    writer.end().unwrap();
    writer.end().unwrap();
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.flush().is_ok());
    assert_eq!(open(&key, CONTEXT, &writer.finish().unwrap()).unwrap(), b"");
}

/// Takes a number of bytes, then fails once, then works again.
struct Faulty {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room == 0 {
            self.room = usize::MAX;
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_ends_the_writer() {
    let key = ScratchKey::random().unwrap();
    let faulty = Faulty {
        bytes: Vec::new(),
        room: HEADER + 100,
    };
    let mut writer = SealedWriter::with_frame(faulty, &key, CONTEXT, MIN_FRAME).unwrap();
    let error = writer.write_all(&vec![1; 2 * MIN_FRAME]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(writer.write_all(b"more").is_err());
    assert!(matches!(writer.end(), Err(SealError::Ended)));
    assert!(matches!(writer.end(), Err(SealError::Ended)));
}

#[test]
fn nothing_of_the_plaintext_or_key_shows() {
    let key = ScratchKey::random().unwrap();
    let marker = b"PATIENT-MARKER-0042";
    let sealed = seal(&key, CONTEXT, &marker.repeat(10_000));
    assert!(!sealed.windows(marker.len()).any(|window| window == marker));
    assert!(!sealed.windows(8).any(|window| window == &key.expose()[..8]));
    assert_eq!(format!("{key:?}"), "ScratchKey");
    // The same plaintext twice never gives the same bytes.
    assert_ne!(
        seal(&key, CONTEXT, b"same")[HEADER..],
        seal(&key, CONTEXT, b"same")[HEADER..]
    );
}

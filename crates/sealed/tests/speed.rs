//! Speed of sealing and opening on one core, printed. Run with
//! `cargo test --release -p parcours-sealed --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::time::Instant;

use parcours_sealed::{ScratchKey, SealedReader, SealedWriter};

/// Mebibytes sealed and opened.
const ROUNDS: usize = 512;

#[test]
#[ignore = "measures, proves nothing"]
fn gigabytes_per_second() {
    let key = ScratchKey::random().unwrap();
    let plain = vec![42_u8; 1 << 20];
    let rate = |seconds: f64| (ROUNDS * plain.len()) as f64 / seconds / 1e9;
    // Into a sink: the page faults of a growing vector would be most of what is measured.
    let start = Instant::now();
    let mut writer = SealedWriter::new(std::io::sink(), &key, b"speed").unwrap();
    for _ in 0..ROUNDS {
        writer.write_all(&plain).unwrap();
    }
    writer.finish().unwrap();
    let sealing = start.elapsed().as_secs_f64();

    let mut writer = SealedWriter::new(Vec::new(), &key, b"speed").unwrap();
    for _ in 0..ROUNDS {
        writer.write_all(&plain).unwrap();
    }
    let sealed = writer.finish().unwrap();
    let start = Instant::now();
    let mut reader = SealedReader::new(sealed.as_slice(), &key, b"speed").unwrap();
    let mut opened = 0;
    while let Some(frame) = reader.next_frame().unwrap() {
        opened += frame.len();
    }
    let opening = start.elapsed().as_secs_f64();
    assert_eq!(opened, ROUNDS * plain.len());
    println!("sealing {:.2} GB/s, opening {:.2} GB/s", rate(sealing), rate(opening));
}

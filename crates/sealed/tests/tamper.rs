//! Spill files altered on disk, at random: DataFusion's stream over one ends with an error that says what is wrong, and gives
//! no byte that was not written. `just tamper` does it more often than the sample here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion_execution::SpillFile;
use futures::StreamExt;
use parcours_sealed::SpillFiles;
use parcours_tests::damage::{Kind, Victim, sealed_frames};
use parcours_tests::rounds::{report, rounds};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

struct Spilled {
    file: Arc<dyn SpillFile>,
    path: PathBuf,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

fn spills(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("spill-"))
        .collect()
}

/// Spills into `dir`; `kept` holds what keeps the files there.
fn spill(files: &Arc<SpillFiles>, random: &mut StdRng) -> Vec<Spilled> {
    let manager = Arc::new(files.disk_manager().build().unwrap());
    let mut all = Vec::new();
    for _ in 0..6 {
        let before = spills(files.dir());
        let file = manager.create_tmp_file("test").unwrap();
        let mut writer = file.open_writer().unwrap();
        let mut plain = Vec::new();
        for _ in 0..random.random_range(4..9) {
            let mut piece = vec![0; 200 * random.random_range(1..4)];
            random.fill_bytes(&mut piece);
            writer.write_all(&piece).unwrap();
            writer.flush().unwrap();
            plain.extend(piece);
        }
        writer.finish().unwrap();
        drop(writer);
        let path = spills(files.dir())
            .into_iter()
            .find(|path| !before.contains(path))
            .unwrap();
        all.push(Spilled {
            sealed: fs::read(&path).unwrap(),
            file,
            path,
            plain,
        });
    }
    all
}

/// A new file in the place of another: file systems hasten to the disk what is cut to nothing and written again.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn read(file: &Arc<dyn SpillFile>) -> (Vec<u8>, Result<(), String>) {
    let mut stream = file.read_stream().unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes, Err(error.to_string())),
        }
    }
    (bytes, Ok(()))
}

#[tokio::test]
async fn no_altered_spill_is_taken_for_the_one_that_was_written() {
    let mut random = StdRng::seed_from_u64(4);
    let dir = tempfile::tempdir().unwrap();
    let files = SpillFiles::open(&dir.path().join("one"), 1 << 30).unwrap();
    let other = SpillFiles::open(&dir.path().join("two"), 1 << 30).unwrap();
    let (ours, theirs) = (spill(&files, &mut random), spill(&other, &mut random));
    let mut found = BTreeMap::<Kind, usize>::new();
    let rounds = rounds(4_000);
    let mut done = 0;
    while done < rounds {
        let which = random.random_range(0..ours.len());
        let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
        let one = &ours[which];
        let foreign: Vec<Vec<u8>> = ours
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != which)
            .map(|(_, one)| one.sealed.clone())
            .collect();
        // A spill's name is never used twice: what was there before is a file of a process that is gone.
        let earlier = [theirs[which].sealed.clone()];
        let victim = Victim {
            original: &one.sealed,
            foreign: &foreign,
            earlier: &earlier,
            seams: sealed_frames,
        };
        let Some(damaged) = victim.damaged(kind, &mut random) else {
            continue;
        };
        put(&one.path, &damaged);
        let (bytes, ended) = read(&one.file).await;
        let sentence = ended.expect_err(&format!("round {done}: {kind:?} went unseen"));
        assert!(one.plain.starts_with(&bytes), "round {done}: {kind:?} gave other bytes");
        assert!(
            sentence.contains("sealed file"),
            "does not say what is wrong: {sentence}"
        );
        *found.entry(kind).or_default() += 1;
        put(&one.path, &one.sealed);
        done += 1;
    }
    for one in &ours {
        assert_eq!(
            read(&one.file).await,
            (one.plain.clone(), Ok(())),
            "restored, it must open"
        );
    }
    assert_eq!(found.len(), Kind::ALL.len(), "{found:?}");
    report(&format!("{done} alterations of spill files, all found: {found:?}"));
}

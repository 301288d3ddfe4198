//! Partitions altered on scratch space, at random: whatever is done to a file, reading it ends with an error that says what
//! is wrong, and no byte comes out that was not written. `just tamper` does it more often than the sample here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use parcours_executor::shuffle::PartitionKey;
use parcours_executor::shuffle::store::{PartitionStore, StoreError};
use parcours_tests::damage::{Kind, Victim, sealed_frames};
use parcours_tests::rounds::{report, rounds};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// A partition that was written, its bytes in clear, and what lies or lay on disk.
struct Written {
    key: PartitionKey,
    path: PathBuf,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    /// The file that the same task had written there before.
    earlier: Vec<u8>,
}

fn keys() -> Vec<PartitionKey> {
    let mut keys = Vec::new();
    for (job, stage) in [("job-a", 1), ("job-a", 2), ("job-b", 1)] {
        for (partition, task) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            keys.push(PartitionKey {
                job: job.to_owned(),
                stage,
                partition,
                task,
            });
        }
    }
    keys
}

/// Some frames, each of its own length: a flush ends a frame.
fn write(store: &PartitionStore, key: &PartitionKey, random: &mut StdRng) -> Vec<u8> {
    let mut writer = store.create(key).unwrap();
    let mut plain = Vec::new();
    for _ in 0..random.random_range(4..9) {
        // Lengths repeat, so that frames can stand in for one another.
        let mut piece = vec![0; 200 * random.random_range(1..4)];
        random.fill_bytes(&mut piece);
        writer.write_all(&piece).unwrap();
        writer.flush().unwrap();
        plain.extend(piece);
    }
    writer.finish().unwrap();
    plain
}

fn files(store: &PartitionStore) -> Vec<PathBuf> {
    parcours_tests::sandbox::files_below(store.root())
}

/// Writes every partition, twice over, and takes down what lies on disk.
fn written(store: &PartitionStore, random: &mut StdRng) -> Vec<Written> {
    let mut all = Vec::new();
    for key in keys() {
        let before = files(store);
        write(store, &key, random);
        let path = files(store).into_iter().find(|path| !before.contains(path)).unwrap();
        let earlier = fs::read(&path).unwrap();
        let plain = write(store, &key, random);
        assert_eq!(files(store).len(), before.len() + 1, "a partition has one file");
        all.push(Written {
            sealed: fs::read(&path).unwrap(),
            key,
            path,
            plain,
            earlier,
        });
    }
    all
}

/// A new file in the place of another: file systems hasten to the disk what is cut to nothing and written again.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What reading gave before it ended, and how it ended.
fn read(store: &PartitionStore, key: &PartitionKey) -> (Vec<u8>, Result<(), String>) {
    let mut bytes = Vec::new();
    let ended = match store.read(key) {
        Ok(mut reader) => reader
            .read_to_end(&mut bytes)
            .map(drop)
            .map_err(|error| error.to_string()),
        Err(StoreError::Damaged(error)) => Err(error.to_string()),
        Err(error) => panic!("not found damaged but: {error}"),
    };
    (bytes, ended)
}

#[test]
fn no_altered_partition_is_taken_for_the_one_that_was_written() {
    let mut random = StdRng::seed_from_u64(3);
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("one"), 1 << 30, 0).unwrap();
    let other = PartitionStore::open(&dir.path().join("two"), 1 << 30, 0).unwrap();
    let (ours, theirs) = (written(&store, &mut random), written(&other, &mut random));
    let (mut found, mut sentences) = (BTreeMap::<Kind, usize>::new(), BTreeMap::<String, usize>::new());
    let rounds = rounds(10_000);
    let mut done = 0;
    while done < rounds {
        let which = random.random_range(0..ours.len());
        let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
        let Written {
            key,
            path,
            plain,
            sealed,
            earlier,
        } = &ours[which];
        let foreign: Vec<Vec<u8>> = ours
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != which)
            .map(|(_, one)| one.sealed.clone())
            .chain([theirs[which].sealed.clone()])
            .collect();
        let victim = Victim {
            original: sealed,
            foreign: &foreign,
            earlier: std::slice::from_ref(earlier),
            seams: sealed_frames,
        };
        let Some(damaged) = victim.damaged(kind, &mut random) else {
            continue;
        };
        put(path, &damaged);
        let (bytes, ended) = read(&store, key);
        let sentence = ended.expect_err(&format!("round {done}: {kind:?} of {key:?} went unseen"));
        assert!(plain.starts_with(&bytes), "round {done}: {kind:?} gave other bytes");
        *found.entry(kind).or_default() += 1;
        *sentences.entry(named(&sentence)).or_default() += 1;
        put(path, sealed);
        done += 1;
    }
    for one in &ours {
        assert_eq!(
            read(&store, &one.key),
            (one.plain.clone(), Ok(())),
            "restored, it must open"
        );
    }
    assert_eq!(found.len(), Kind::ALL.len(), "{found:?}");
    report(&format!(
        "{done} alterations of partitions, all found: {found:?}; said: {sentences:?}"
    ));
}

/// The sentence without its numbers; one that does not say what is wrong with the file fails the test.
fn named(sentence: &str) -> String {
    let told = [
        "was altered, moved or belongs elsewhere",
        "is cut short",
        "bytes follow the end",
        "not a sealed file",
    ];
    let told = told.iter().find(|words| sentence.contains(**words));
    told.unwrap_or_else(|| panic!("does not say what is wrong: {sentence}"))
        .to_string()
}

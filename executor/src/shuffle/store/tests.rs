//! Partitions come back as they were written, from memory or from disk, within their budgets, and end with their job.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};

use super::*;

/// Nothing stays in memory.
const NONE: u64 = 0;

fn key(job: &str, partition: usize) -> PartitionKey {
    PartitionKey {
        job: job.into(),
        stage: 1,
        partition,
        task: 7,
    }
}

fn write(store: &PartitionStore, key: &PartitionKey, bytes: &[u8]) -> Result<(), StoreError> {
    let mut writer = store.create(key)?;
    writer.write_all(bytes)?;
    writer.finish()
}

fn read(store: &PartitionStore, key: &PartitionKey) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.read(key).map_err(io::Error::other)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn files(store: &PartitionStore) -> usize {
    fs::read_dir(store.root()).unwrap().count()
}

#[test]
fn partitions_come_back_and_lie_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1 << 20, NONE).unwrap();
    write(&store, &key("J", 0), b"PATIENT-MARKER").unwrap();
    assert_eq!(read(&store, &key("J", 0)).unwrap(), b"PATIENT-MARKER");
    let on_disk = fs::read(store.shared.path(&key("J", 0)).unwrap()).unwrap();
    assert!(!on_disk.windows(14).any(|w| w == b"PATIENT-MARKER"));
}

#[test]
fn small_partitions_stay_in_memory_and_make_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1 << 20, 1 << 20).unwrap();
    write(&store, &key("J", 0), b"zero").unwrap();
    write(&store, &key("J", 1), b"").unwrap();
    assert_eq!(read(&store, &key("J", 0)).unwrap(), b"zero");
    assert_eq!(read(&store, &key("J", 1)).unwrap(), b"");
    assert_eq!((files(&store), store.bytes_written()), (0, 0));
    assert_eq!((store.used(), store.in_memory()), (4, 4));
    store.end("J");
    assert_eq!(store.used(), 0);
    assert!(matches!(store.read(&key("J", 0)), Err(StoreError::Missing { .. })));
}

#[test]
fn what_grows_beyond_memory_goes_to_disk_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1 << 22, 300_000).unwrap();
    let large: Vec<u8> = (0..2_000_000_u32).map(|n| n as u8).collect();
    write(&store, &key("J", 0), &large).unwrap();
    assert_eq!(store.in_memory(), 0);
    assert_eq!(read(&store, &key("J", 0)).unwrap(), large);
    // Many small ones fill the budget; the others go to disk, and all come back.
    for partition in 1..6 {
        write(&store, &key("J", partition), &large[..100_000]).unwrap();
    }
    assert!(store.in_memory() > 100_000 && store.in_memory() <= 300_000);
    for partition in 1..6 {
        assert_eq!(read(&store, &key("J", partition)).unwrap(), &large[..100_000]);
    }
    // Given up half way, nothing stays.
    let mut writer = store.create(&key("K", 0)).unwrap();
    let before = store.in_memory();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(store.in_memory(), before);
}

#[test]
fn a_partition_moved_to_another_place_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1 << 20, NONE).unwrap();
    write(&store, &key("J", 0), b"zero").unwrap();
    write(&store, &key("J", 1), b"one").unwrap();
    let path = |partition| store.shared.path(&key("J", partition)).unwrap();
    fs::copy(path(0), path(1)).unwrap();
    assert!(read(&store, &key("J", 1)).is_err());
}

#[test]
fn an_ended_job_leaves_nothing_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for memory in [NONE, 1 << 20] {
        let store = PartitionStore::open(&dir.path().join("p"), 1 << 20, memory).unwrap();
        write(&store, &key("J", 0), b"zero").unwrap();
        assert!(store.used() > 0);
        let mut late = store.create(&key("J", 2)).unwrap();
        store.end("J");
        assert!(late.write_all(b"late").is_err() || late.finish().is_err());
        assert_eq!(store.used(), 0);
        assert!(!store.root().join("J").exists());
        assert!(matches!(store.create(&key("J", 1)), Err(StoreError::Ended { .. })));
        assert!(matches!(store.read(&key("J", 0)), Err(StoreError::Missing { .. })));
    }
}

#[test]
fn the_quota_is_kept_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1000, NONE).unwrap();
    let error = write(&store, &key("J", 0), &[0; 100_000]).unwrap_err();
    assert!(error.to_string().contains("scratch.shuffle"), "{error}");
}

#[test]
fn an_earlier_process_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("p/old/1")).unwrap();
    let store = PartitionStore::open(&dir.path().join("p"), 1000, NONE).unwrap();
    assert_eq!(files(&store), 0);
}

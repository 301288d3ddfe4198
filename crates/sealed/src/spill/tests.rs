//! Tests of spill files: what lies on disk, the quota, and what is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use datafusion_execution::DiskManager;
use futures::StreamExt;

use super::*;

fn opened(dir: &Path, quota: u64) -> (Arc<SpillFiles>, Arc<DiskManager>) {
    let files = SpillFiles::open(dir, quota).unwrap();
    let manager = Arc::new(files.disk_manager().build().unwrap());
    (files, manager)
}

fn on_disk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap() != LOCK).collect()
}

async fn read(file: &Arc<dyn SpillFile>) -> DfResult<Vec<u8>> {
    let mut stream = file.read_stream()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_spill_comes_back_sealed_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (files, manager) = opened(&dir.path().join("spill"), 10 << 20);
    let file = manager.create_tmp_file("test").unwrap();
    assert_eq!(file.path(), None, "a path would be read around us");
    let plain = b"PATIENT-MARKER".repeat(50_000);
    let mut writer = file.open_writer().unwrap();
    writer.write_all(&plain).unwrap();
    writer.finish().unwrap();
    drop(writer);
    assert_eq!(read(&file).await.unwrap(), plain);
    assert_eq!(read(&file).await.unwrap(), plain, "a file is read any number of times");

    let paths = on_disk(files.dir());
    let bytes = fs::read(&paths[0]).unwrap();
    assert!(!bytes.windows(14).any(|window| window == b"PATIENT-MARKER"));
    assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(files.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    let size = bytes.len() as u64;
    assert_eq!(file.size(), Some(size));
    assert_eq!(
        files.counters(),
        SpillCounters {
            bytes: size,
            files: 1,
            bytes_written: size,
            files_created: 1
        }
    );

    drop(file);
    assert_eq!(
        files.counters(),
        SpillCounters {
            bytes: 0,
            files: 0,
            bytes_written: size,
            files_created: 1
        }
    );
    assert!(on_disk(files.dir()).is_empty());
}

#[tokio::test]
async fn a_reader_keeps_up_with_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (_files, manager) = opened(dir.path(), 10 << 20);
    let file = manager.create_tmp_file("test").unwrap();
    let mut writer = file.open_writer().unwrap();
    let mut stream = file.read_stream().unwrap();
    for round in 0..20_u8 {
        writer.write_all(&[round; 100]).unwrap();
        writer.flush().unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), vec![round; 100]);
    }
    // Nothing more yet: the stream waits, it does not end.
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), stream.next()).await;
    assert!(waiting.is_err());
    drop(stream);
    let late = tokio::spawn({
        let file = Arc::clone(&file);
        async move { read(&file).await }
    });
    tokio::task::yield_now().await;
    writer.write_all(b"end").unwrap();
    writer.finish().unwrap();
    assert_eq!(late.await.unwrap().unwrap().len(), 2003);
}

#[tokio::test]
async fn a_writer_that_gives_up_fails_its_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (files, manager) = opened(dir.path(), 10 << 20);
    let file = manager.create_tmp_file("test").unwrap();
    assert_eq!(read(&file).await.unwrap(), b"", "nothing was ever written");
    let mut writer = file.open_writer().unwrap();
    assert!(file.open_writer().is_err(), "a second writer would interleave");
    writer.write_all(b"half").unwrap();
    writer.flush().unwrap();
    let mut stream = file.read_stream().unwrap();
    drop(writer);
    assert!(stream.next().await.unwrap().is_err());
    assert!(read(&file).await.is_err());
    drop((file, stream));
    assert_eq!(files.counters().files, 0);
}

#[tokio::test]
async fn damage_on_disk_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (files, manager) = opened(dir.path(), 10 << 20);
    let (one, two) = (
        manager.create_tmp_file("one").unwrap(),
        manager.create_tmp_file("two").unwrap(),
    );
    for file in [&one, &two] {
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&[1; 600_000]).unwrap();
        writer.finish().unwrap();
    }
    let paths = on_disk(files.dir());
    let original = fs::read(&paths[0]).unwrap();
    fs::copy(&paths[1], &paths[0]).unwrap();
    let outcomes = [read(&one).await, read(&two).await];
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        1,
        "one file was swapped"
    );
    fs::write(&paths[0], &original[..original.len() - 1]).unwrap();
    let outcomes = [read(&one).await, read(&two).await];
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        1,
        "one file was cut"
    );
}

#[tokio::test]
async fn the_quota_is_kept_named_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (files, manager) = opened(dir.path(), 1 << 20);
    let file = manager.create_tmp_file("test").unwrap();
    let mut writer = file.open_writer().unwrap();
    let error = writer.write_all(&vec![0; 2 << 20]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("1048576 bytes") && text.contains(&*dir.path().to_string_lossy()),
        "{text}"
    );
    assert!(text.starts_with("Resources exhausted"), "{text}");
    assert!(files.counters().bytes <= 1 << 20);
    let finish = writer.finish();
    assert!(finish.is_err(), "a file that lacks bytes must not end well");
    drop((writer, file));
    assert_eq!((files.counters().bytes, files.counters().files), (0, 0));
    let file = manager.create_tmp_file("test").unwrap();
    let mut writer = file.open_writer().unwrap();
    writer.write_all(&[0; 1000]).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_directory_is_scrubbed_of_spills_only_and_not_shared() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spill-left"), b"noise").unwrap();
    fs::write(dir.path().join("thesis.odt"), b"years of work").unwrap();
    let (files, _manager) = opened(dir.path(), 1 << 20);
    assert_eq!(on_disk(dir.path()), [dir.path().join("thesis.odt")]);
    let second = SpillFiles::open(dir.path(), 1 << 20).unwrap_err().to_string();
    assert!(second.contains("another process uses it"), "{second}");
    drop((files, _manager));
    SpillFiles::open(dir.path(), 1 << 20).unwrap();
}

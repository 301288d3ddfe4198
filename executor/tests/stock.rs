//! The control of the proof that nothing of a patient is written in clear (`tests/tests/residue.rs`): the engine's own spill
//! files and Ballista's own shuffle writers, over the same rows, recorded by the same recorder and searched by the same
//! search, give every marker away, compressed or not. Without this, finding none elsewhere would prove nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::config::BALLISTA_SHUFFLE_COMPRESSION_CODEC;
use ballista_core::execution_plans::ShuffleWriterExec;
use ballista_core::execution_plans::sort_shuffle::{SortShuffleConfig, SortShuffleWriterExec};
use ballista_core::extension::SessionConfigExt;
use datafusion::config::SpillCompression;
use datafusion::datasource::MemTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::expressions::col;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use parcours_tests::markers;
use parcours_tests::rounds::report;
use parcours_tests::writes::{Recorder, Recording};

const ROWS: usize = 100_000;
const DIR: &str = "PARCOURS_STOCK_DIR";
const CODEC: &str = "PARCOURS_STOCK_CODEC";

#[test]
fn the_search_finds_what_stock_writers_leave() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let Some(recorder) = Recorder::new(&dir.join("recorded")).unwrap() else {
        return;
    };
    for codec in ["none", "lz4"] {
        let mut writers = Command::new(std::env::current_exe().unwrap());
        writers.args(["stock_writers_write", "--exact", "--ignored", "--nocapture"]);
        writers.env(DIR, dir.join(codec)).env(CODEC, codec);
        let output = recorder.wrap(codec, &writers).unwrap().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for recording in recorder.finish().unwrap() {
        recording.ensure_complete().unwrap();
        let mut seen = Vec::new();
        for kind in ["spill", "shuffle", "sort-shuffle"] {
            let (files, found) = found_below(&recording, &dir.join(&recording.process).join(kind));
            assert_eq!(found, markers::in_arrow(), "{kind} of {} shows less", recording.process);
            seen.push(format!("{files} of {kind}"));
        }
        let (count, codec) = (markers::in_arrow().len(), &recording.process);
        report(&format!(
            "stock writers, compression {codec}: all {count} markers found in files {}",
            seen.join(", ")
        ));
    }
}

/// How many files were written below a folder, and the markers in them.
fn found_below(recording: &Recording, folder: &Path) -> (usize, BTreeSet<&'static str>) {
    let below: Vec<&PathBuf> = recording
        .files()
        .filter(|(target, _)| Path::new(target).starts_with(folder))
        .map(|(_, content)| content)
        .collect();
    let found = below
        .iter()
        .flat_map(|content| markers::found_in(&std::fs::read(content).unwrap()));
    (below.len(), found.collect())
}

#[tokio::test]
#[ignore = "the test above runs it under a recorder"]
async fn stock_writers_write() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("run by the test above"));
    let codec = std::env::var(CODEC).unwrap();
    for kind in ["spill", "shuffle", "sort-shuffle"] {
        std::fs::create_dir_all(dir.join(kind)).unwrap();
    }
    let context = session(&dir, &codec);
    let sorted = "SELECT * FROM visits ORDER BY patient, day";
    let plan = context.sql(sorted).await.unwrap().create_physical_plan().await.unwrap();
    let path = |kind: &str| dir.join(kind).display().to_string();
    let job = || JobId::new("stock");
    let shuffle = ShuffleWriterExec::try_new(job(), 1, plan.clone(), path("shuffle")).unwrap();
    let partitions = shuffle.execute_shuffle_write(context.task_ctx()).await.unwrap();
    assert_eq!(
        partitions.iter().map(|(_, part)| part.num_rows).sum::<u64>(),
        ROWS as u64
    );

    let by = Partitioning::Hash(vec![col("patient", &plan.schema()).unwrap()], 4);
    let config = SortShuffleConfig::new(true, 8192);
    let shuffle = SortShuffleWriterExec::try_new(job(), 2, plan, path("sort-shuffle"), by, config).unwrap();
    let written = shuffle.execute(0, context.task_ctx()).unwrap();
    written.try_collect::<Vec<_>>().await.unwrap();
}

/// A session that spills into `dir`, with the engine's own files.
fn session(dir: &Path, codec: &str) -> SessionContext {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![dir.join("spill")]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(16 << 20)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .unwrap();
    let mut config = SessionConfig::new_with_ballista()
        .with_target_partitions(1)
        .set_str(BALLISTA_SHUFFLE_COMPRESSION_CODEC, codec);
    let execution = &mut config.options_mut().execution;
    execution.sort_spill_reservation_bytes = 2 << 20;
    execution.spill_compression = match codec {
        "lz4" => SpillCompression::Lz4Frame,
        _ => SpillCompression::Uncompressed,
    };
    let context = SessionContext::new_with_config_rt(config, runtime);
    let batches = markers::batches(ROWS).unwrap();
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
    context.register_table("visits", Arc::new(table)).unwrap();
    context
}

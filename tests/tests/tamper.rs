//! Partitions of a running query altered on disk. The query is computed anew and answered rightly, or ends with an error; it
//! is never answered wrongly. What the altering is found by is proved file by file in `executor/tests/tamper.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::query::{self, Query};
use parcours_tests::sandbox::{Plan, Sandbox};

use crate::cluster::loaded;
use crate::faults::{report, rounds};

/// A query whose partitions are damaged must have come to its end within so long.
const LIMIT: Duration = Duration::from_secs(120);
/// How many files are altered of a query that is to be answered in the end: of its first attempt.
const SOME: usize = 16;
/// A byte of the first frame; header and length come before it.
const AT: u64 = 50;

/// What came of a query.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Right,
    Refused(String),
}

#[test]
fn a_query_whose_partitions_are_altered_is_never_answered_wrongly() -> Result<()> {
    let Some(oracle) = Oracle::over("claims", "faults")? else {
        return Ok(());
    };
    let mut cluster = loaded(Plan {
        partition_memory: "0",
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        let queries = query::all("faults")?;
        let (mut altered, mut anew, mut refused) = (0, 0, Vec::new());
        let rounds = rounds(4);
        for round in 0..rounds {
            let query = &queries[round % queries.len()];
            let before = submissions(cluster)?;
            let (outcome, count) = tamper(cluster, &oracle, query, SOME).with_context(|| format!("round {round}"))?;
            altered += count;
            anew += submissions(cluster)? - before - 1;
            if let Outcome::Refused(said) = outcome {
                refused.push(said);
            }
        }
        ensure!(anew >= rounds / 2, "{altered} files were altered and hardly any was missed");
        ensure!(refused.len() < rounds, "nothing was answered: {refused:#?}");
        for query in &queries {
            let (outcome, count) = tamper(cluster, &oracle, query, usize::MAX)?;
            altered += count;
            if let Outcome::Refused(said) = outcome {
                refused.push(said);
            }
        }
        let named = (0..2).map(|number| Ok(cluster.executor(number)?.log().contains("was altered, moved or belongs elsewhere")));
        ensure!(named.collect::<Result<Vec<bool>>>()?.contains(&true), "no executor's log names the damage");
        ensure!(!refused.is_empty(), "queries whose every partition is altered were all answered");
        ensure!(refused.iter().all(|said| !said.contains("panicked")), "{refused:#?}");
        report(&format!(
            "{altered} partitions of {} running queries altered on disk: computed anew {anew} times, {} ended with an error, \
             all others were answered rightly; said: {}",
            rounds + queries.len(),
            refused.len(),
            refused.last().map(|said| said.trim()).unwrap_or_default()
        ));
        Ok(())
    })
}

/// How often queries were given to the engine so far.
fn submissions(cluster: &mut Sandbox) -> Result<usize> {
    Ok(cluster.scheduler()?.log().matches("query submitted").count())
}

/// Asks a query and alters at most `most` of its partitions while it runs. Returns what came of it and how many those were.
fn tamper(cluster: &Sandbox, oracle: &Oracle, query: &Query, most: usize) -> Result<(Outcome, usize)> {
    wait_until_clear(cluster)?;
    let file = cluster.folder().at("tampered.arrow");
    let mut command = cluster.sql_command("alice")?;
    command
        .args(["--format", "arrow", "--file"])
        .arg(&query.path)
        .arg("--output")
        .arg(&file);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let altered = alter_until_the_end(cluster, &mut child, most)?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        oracle.check(query, &file)?;
        return Ok((Outcome::Right, altered));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!said.trim().is_empty(), "an error without a sentence");
    Ok((Outcome::Refused(said), altered))
}

/// What an earlier query left is not to be altered in the place of this one's.
fn wait_until_clear(cluster: &Sandbox) -> Result<()> {
    let start = Instant::now();
    while !cluster.scratch_files().is_empty() {
        ensure!(
            start.elapsed() < LIMIT,
            "not within {LIMIT:?}: an earlier query's partitions are gone"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn alter_until_the_end(cluster: &Sandbox, child: &mut Child, most: usize) -> Result<usize> {
    let start = Instant::now();
    let mut done = std::collections::HashSet::new();
    while child.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill()?;
            anyhow::bail!("not within {LIMIT:?}: the query came to an end");
        }
        for path in cluster.scratch_files() {
            let is_partition = path.components().any(|part| part.as_os_str() == "partitions");
            if is_partition && done.len() < most && !done.contains(&path) && alter(&path).unwrap_or(false) {
                done.insert(path);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(done.len())
}

/// Turns every bit of one byte, once it is on the disk. The file may be gone by then.
fn alter(path: &Path) -> std::io::Result<bool> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    if file.read_at(&mut byte, AT)? == 0 {
        return Ok(false);
    }
    file.write_at(&[!byte[0]], AT)?;
    Ok(true)
}

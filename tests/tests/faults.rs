//! What happens when processes die: an executor in the middle of a query, the client in the middle of a large result.
//! Each proof is a number of rounds over one cluster; the moments of the kills are spread evenly and the same in every
//! run. A small sample runs with the tests; `just soak-kills` runs hundreds (`PARCOURS_ROUNDS`). Figures go to standard
//! error, past the test runner, for `docs/results.md`.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::process::Usage;
pub use parcours_tests::rounds::{report, rounds};
use parcours_tests::sandbox::{Plan, Sandbox};
use parcours_tests::{place, query};

use crate::cluster::loaded;

/// A query whose executor dies must be right within so long.
const RECOVERY: Duration = Duration::from_secs(60);
/// Whatever a client that died had asked for must be gone within so long.
const CLEARED: Duration = Duration::from_secs(15);
/// Rounds before the first look at what processes hold: caches fill, allocators take what they keep.
const WARM_UP: usize = 10;

/// The share of a duration at which round `round` strikes: evenly spread, whatever their number.
pub fn share(round: usize) -> f64 {
    (round as f64 * 0.618_033_988_75 + 0.1).fract()
}

#[test]
fn an_executor_killed_in_a_query_leaves_the_answer_right() -> Result<()> {
    let Some(oracle) = Oracle::over("claims", "faults")? else {
        return Ok(());
    };
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| kill_executors(cluster, &oracle, rounds(3)))
}

fn kill_executors(cluster: &mut Sandbox, oracle: &Oracle, rounds: usize) -> Result<()> {
    let queries = query::all("faults")?;
    let mut undisturbed = Vec::new();
    for query in &queries {
        let start = Instant::now();
        oracle.check(query, &cluster.answer(query)?)?;
        undisturbed.push(start.elapsed());
    }
    let (mut slowest, mut watch) = (Duration::ZERO, Watch::default());
    for round in 0..rounds {
        let which = round % queries.len();
        let moment = undisturbed[which].mul_f64(share(round));
        let took = kill_one(cluster, oracle, &queries[which], moment, round % 2)
            .with_context(|| format!("round {round}, struck after {moment:?}"))?;
        slowest = slowest.max(took);
        all_clear(cluster).with_context(|| format!("after round {round}"))?;
        watch.look(round, cluster.scheduler()?.usage()?);
    }
    report(&format!(
        "{rounds} rounds of kill -9 on an executor: every answer right, slowest {slowest:.1?} (undisturbed at most \
         {:.1?}), scheduler {watch}",
        undisturbed.iter().max().copied().unwrap_or_default(),
    ));
    watch.check()
}

/// Asks, kills an executor at the moment, starts another in its place, and checks the answer. Returns how long it took.
fn kill_one(
    cluster: &mut Sandbox,
    oracle: &Oracle,
    query: &query::Query,
    moment: Duration,
    victim: usize,
) -> Result<Duration> {
    let file = cluster.folder().at("struck.arrow");
    let mut command = cluster.sql_command("alice")?;
    command
        .args(["--format", "arrow", "--file"])
        .arg(&query.path)
        .arg("--output")
        .arg(&file);
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    std::thread::sleep(moment);
    cluster.take_executor(victim)?.kill()?;
    let said = finish(child, RECOVERY)?;
    let took = start.elapsed();
    ensure!(said.is_empty(), "the client said: {said}");
    oracle.check(query, &file)?;
    cluster.start_executor(victim)?;
    cluster.wait_until_ready()?;
    wait(Duration::from_secs(30), "the executor is back", || {
        Ok(cluster.gauge("executors_connected")? == 2)
    })?;
    Ok(took)
}

/// Waits for a client's end and returns what it said on standard error; it is killed after `limit`.
fn finish(mut child: Child, limit: Duration) -> Result<String> {
    let ended = wait(limit, "the client ended", || Ok(child.try_wait()?.is_some()));
    if ended.is_err() {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ended.with_context(|| said.clone())?;
    ensure!(
        output.status.success(),
        "the client ended with {}: {said}",
        output.status
    );
    Ok(said)
}

#[test]
fn a_client_killed_in_a_large_result_leaves_nothing_running() -> Result<()> {
    if place::data()?.is_none() {
        return Ok(());
    }
    let mut cluster = loaded(Plan::default())?;
    cluster.explain(|cluster| kill_clients(cluster, rounds(3)))
}

/// Some twelve million rows: nobody reads it to the end.
const LARGE: &str = "SELECT a.*, b.pde_id AS other, b.srvc_dt AS other_day FROM claims.prescription a \
                     JOIN claims.prescription b ON extract(month FROM a.srvc_dt) = extract(month FROM b.srvc_dt)";

fn kill_clients(cluster: &mut Sandbox, rounds: usize) -> Result<()> {
    let (mut slowest, mut watch) = (Duration::ZERO, Watch::default());
    for round in 0..rounds {
        kill_client(cluster, share(round)).with_context(|| format!("round {round}"))?;
        let start = Instant::now();
        all_clear(cluster).with_context(|| format!("after round {round}"))?;
        slowest = slowest.max(start.elapsed());
        watch.look(round, cluster.scheduler()?.usage()?);
    }
    let answer = cluster.ask("SELECT count(*) AS n FROM claims.prescription")?;
    ensure!(answer.rows.len() == 1, "the cluster does not answer any more");
    report(&format!(
        "{rounds} rounds of kill -9 on a client in a large result: tasks, partitions and scratch files gone after at \
         most {slowest:.1?}, scheduler {watch}"
    ));
    watch.check()
}

/// Reads up to 8 MiB of the result, or nothing at all in some rounds, then kills the client.
fn kill_client(cluster: &Sandbox, share: f64) -> Result<()> {
    let mut command = cluster.sql_command("alice")?;
    command.args(["--format", "csv", "--command", LARGE]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut output = child.stdout.take().context("the client has no output")?;
    let read = if share < 0.25 {
        std::thread::sleep(Duration::from_secs_f64(share * 4.0));
        Ok(0)
    } else {
        let mut some = vec![0; (share * f64::from(8 << 20)) as usize];
        output.read_exact(&mut some).map(|()| some.len())
    };
    child.kill()?;
    child.wait()?;
    read.context("the large result ended early").map(drop)
}

/// Waits until nothing of any query is left: no job, no task, no partition, no file.
fn all_clear(cluster: &Sandbox) -> Result<()> {
    wait(CLEARED, "nothing of the query is left", || {
        let running = cluster.gauge("queries_running")? + cluster.executor_gauge("tasks_running")?;
        Ok(running + cluster.executor_gauge("partition_bytes")? == 0 && cluster.scratch_files().is_empty())
    })
    .with_context(|| {
        format!(
            "queries {:?}, tasks {:?}, partition bytes {:?}, files {:?}",
            cluster.gauge("queries_running"),
            cluster.executor_gauge("tasks_running"),
            cluster.executor_gauge("partition_bytes"),
            cluster.scratch_files(),
        )
    })
}

fn wait(limit: Duration, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        ensure!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What a process held after the warm-up and at the last look.
#[derive(Default)]
struct Watch {
    first: Option<Usage>,
    last: Option<Usage>,
    rounds: usize,
}

impl Watch {
    fn look(&mut self, round: usize, usage: Usage) {
        self.rounds = round + 1;
        if round <= WARM_UP {
            self.first = Some(usage);
        }
        self.last = Some(usage);
        if round % 50 == 49 {
            report(&format!("{} rounds done, scheduler {self}", round + 1));
        }
    }

    /// A leak of one descriptor, thread or 100 KiB a round would show; what an allocator keeps does not.
    fn check(&self) -> Result<()> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(());
        };
        let rounds = self.rounds.saturating_sub(WARM_UP);
        ensure!(
            last.descriptors <= first.descriptors + 20,
            "descriptors grew over {rounds} rounds: {self}"
        );
        ensure!(
            last.threads <= first.threads + 20,
            "threads grew over {rounds} rounds: {self}"
        );
        let allowed = first.resident_kib + 64 * 1024 + 100 * rounds as u64;
        ensure!(last.resident_kib <= allowed, "memory grew over {rounds} rounds: {self}");
        Ok(())
    }
}

impl std::fmt::Display for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return f.write_str("not looked at");
        };
        write!(
            f,
            "{} -> {} MiB, {} -> {} descriptors, {} -> {} threads",
            first.resident_kib / 1024,
            last.resident_kib / 1024,
            first.descriptors,
            last.descriptors,
            first.threads,
            last.threads
        )
    }
}

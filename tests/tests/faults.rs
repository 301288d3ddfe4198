//! What happens when processes die: an executor in the middle of a query, the client in the middle of a large result.
//! Each proof is a number of rounds over one cluster; the moments of the kills are spread evenly and the same in every
//! run. A small sample runs with the tests; `just soak-kills` runs hundreds (`PARCOURS_ROUNDS`). Figures go to standard
//! error, past the test runner, for `docs/results.md`.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
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
/// Most rounds before the first look at what processes hold: caches fill, allocators take what they keep.
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
    let undisturbed = undisturbed(cluster, oracle, &queries)?;
    let (mut slowest, mut watch, mut struck) = (Duration::ZERO, Watch::over(rounds), 0);
    for round in 0..rounds {
        let which = round % queries.len();
        // Before a query runs it is planned, and behind that its client ends: neither is where a kill is to fall.
        let moment = undisturbed[which].mul_f64(0.7 * share(round));
        let before = cluster.computed_anew()?;
        let took = kill_one(cluster, oracle, &queries[which], moment, round % 2)
            .with_context(|| format!("round {round}, struck after {moment:?}"))?;
        struck += usize::from(cluster.computed_anew()? > before);
        slowest = slowest.max(took);
        all_clear(cluster).with_context(|| format!("after round {round}"))?;
        watch.look(round, cluster.scheduler()?.usage()?);
    }
    report(&format!(
        "{rounds} rounds of kill -9 on an executor, {struck} of which had a query computed anew: every answer right, slowest \
         {slowest:.1?} (undisturbed at most {:.1?}), scheduler {watch}",
        undisturbed.iter().max().copied().unwrap_or_default(),
    ));
    ensure!(
        struck * 3 >= rounds,
        "only {struck} of {rounds} kills fell into a query's work: they prove nothing of the others"
    );
    watch.check()
}

/// How long each query takes when nothing happens: the second time, when everything is there that is kept.
fn undisturbed(cluster: &Sandbox, oracle: &Oracle, queries: &[query::Query]) -> Result<Vec<Duration>> {
    let timed = queries.iter().map(|query| {
        oracle.check(query, &cluster.answer(query)?)?;
        let start = Instant::now();
        oracle.check(query, &cluster.answer(query)?)?;
        Ok(start.elapsed())
    });
    timed.collect()
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
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    wait(RECOVERY, "the query runs", || {
        Ok(cluster.gauge("queries_running")? > 0 || child.try_wait()?.is_some())
    })?;
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
    let left = |cluster: &Sandbox| Ok::<_, anyhow::Error>(gone(cluster, "failed")? + gone(cluster, "cancelled")?);
    let before = left(cluster)?;
    let (mut slowest, mut watch) = (Duration::ZERO, Watch::over(rounds));
    for round in 0..rounds {
        kill_client(cluster, share(round)).with_context(|| format!("round {round}"))?;
        let start = Instant::now();
        all_clear(cluster).with_context(|| format!("after round {round}"))?;
        slowest = slowest.max(start.elapsed());
        watch.look(round, cluster.scheduler()?.usage()?);
    }
    let left = left(cluster)? - before;
    ensure!(
        left * 2 >= rounds as u64,
        "of {rounds} killed clients only {left} left a query behind that had to be ended"
    );
    let answer = cluster.ask("SELECT count(*) AS n FROM claims.prescription")?;
    ensure!(answer.rows.len() == 1, "the cluster does not answer any more");
    report(&format!(
        "{rounds} rounds of kill -9 on a client in a large result: tasks, partitions and scratch files gone after at \
         most {slowest:.1?}, scheduler {watch}"
    ));
    watch.check()
}

/// How many queries ended so, as the scheduler counts them.
fn gone(cluster: &Sandbox, how: &str) -> Result<u64> {
    cluster.gauge(&format!("queries_{how}_total"))
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
struct Watch {
    /// Rounds before the first look that counts.
    warm_up: usize,
    first: Option<Usage>,
    last: Option<Usage>,
    rounds: usize,
}

impl Watch {
    /// A watch over so many rounds, at least half of which come after the warm-up.
    fn over(rounds: usize) -> Self {
        Self {
            warm_up: WARM_UP.min(rounds / 2),
            first: None,
            last: None,
            rounds: 0,
        }
    }

    fn look(&mut self, round: usize, usage: Usage) {
        self.rounds = round + 1;
        if round < self.warm_up.max(1) {
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
            bail!("nothing was looked at");
        };
        let rounds = self.rounds.saturating_sub(self.warm_up.max(1));
        ensure!(rounds > 0, "nothing was looked at after the warm-up");
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

/// What each round leaves behind, so that it is found, or not, by a watch over so many rounds.
fn watched(rounds: usize, each: Usage) -> Result<()> {
    let mut watch = Watch::over(rounds);
    for round in 0..rounds {
        let so_far = round as u64;
        let usage = Usage {
            resident_kib: 100_000 + each.resident_kib * so_far,
            peak_resident_kib: 0,
            descriptors: 40 + each.descriptors * round,
            threads: 12 + each.threads * so_far,
        };
        watch.look(round, usage);
    }
    watch.check()
}

#[test]
fn a_leak_of_every_kind_is_found_and_none_is_not() -> Result<()> {
    let none = Usage {
        resident_kib: 0,
        peak_resident_kib: 0,
        descriptors: 0,
        threads: 0,
    };
    let leaks = [
        Usage { descriptors: 1, ..none },
        Usage { threads: 1, ..none },
        Usage {
            resident_kib: 4_000,
            ..none
        },
    ];
    for rounds in [3, 12, 40] {
        watched(rounds, none).with_context(|| format!("{rounds} rounds"))?;
    }
    for leak in leaks {
        ensure!(
            watched(40, leak).is_err(),
            "{leak:?} in each of 40 rounds was not found"
        );
        let many = Usage {
            resident_kib: leak.resident_kib * 20,
            descriptors: leak.descriptors * 15,
            threads: leak.threads * 15,
            ..none
        };
        ensure!(watched(3, many).is_err(), "{many:?} in each of 3 rounds was not found");
    }
    ensure!(
        watched(0, none).is_err() && watched(1, none).is_err(),
        "nothing was looked at"
    );
    Ok(())
}

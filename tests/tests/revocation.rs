//! Rotation and revocation at once, under load: clients ask without pause while master keys are rotated, rewrapped and
//! retired, and while a class is taken from the executors and given back, again and again. Whatever is answered is right;
//! what is refused names the class and reads it; nothing of the class is released or answered while it is away.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::query::{self, Query};
use parcours_tests::rounds::{report, rounds};
use parcours_tests::sandbox::{ALL_CLASSES, Plan, Sandbox};

use crate::cluster::loaded;
use crate::keys::TAKEN_BACK;
use crate::rotation::{rotation, run};

/// Those that read class health, and those that do not: a client asks each of them over and over.
const WITH_HEALTH: [&str; 2] = ["08_absent_diagnoses", "13_dispensed_before_admission"];
const WITHOUT_HEALTH: [&str; 2] = ["04_readmission_30_days", "09_survival_after_stay"];
const REFUSAL: &str = "class health of dataset claims";
/// How long the class is away, after it must be used no more, and how long it is there again.
const AWAY: Duration = Duration::from_secs(4);
const BACK: Duration = Duration::from_secs(6);

/// From when until when the class was away; the end comes before it is given back.
struct Away {
    from: Instant,
    until: Instant,
}

/// One answer that was right, or one refusal.
struct Asked {
    start: Instant,
    end: Instant,
    refused: bool,
}

#[test]
fn a_class_comes_and_goes_under_load_while_keys_are_rotated() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    let mut cluster = loaded(Plan {
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        let times = rounds(3);
        let (aways, with, without) = load(cluster, &oracle, times)?;
        ensure!(
            without.iter().all(|asked| !asked.refused),
            "a query that reads nothing of the class was refused"
        );
        let (mut right, mut refused) = (without.len(), 0);
        for asked in &with {
            let away = aways.iter().any(|away| away.holds(asked));
            let near = aways.iter().any(|away| away.touches(asked));
            ensure!(asked.refused || !away, "it was answered while the class was away");
            ensure!(!asked.refused || near, "it was refused while the class was there");
            refused += usize::from(asked.refused);
            right += usize::from(!asked.refused);
        }
        ensure!(refused > 0 && right > with.len() - refused, "nothing was proven");
        let log = cluster.keyd()?.log();
        ensure!(
            log.contains("claims/health#1") && log.contains("claims/health#2"),
            "the executors did not see a rotation"
        );
        report(&format!(
            "a class taken and given back {times} times under four clients and {times} rotations of 5 keys: {right} \
             answers, all right; {refused} refusals, all of what reads the class, none answered {TAKEN_BACK:?} after it \
             was taken"
        ));
        Ok(())
    })
}

/// Lets clients ask until the class came and went `times` times, and the keys were rotated as often.
fn load(cluster: &mut Sandbox, oracle: &Oracle, times: usize) -> Result<(Vec<Away>, Vec<Asked>, Vec<Asked>)> {
    let rotations = (1..=u32::try_from(times)?).map(|round| rotation(cluster, round));
    let rotations = rotations.collect::<Result<Vec<_>>>()?;
    let (cluster, done) = (&*cluster, &AtomicBool::new(false));
    let queries = query::all("claims")?;
    let named = |name: &&str| {
        queries
            .iter()
            .find(|query| query.name == *name)
            .context("no such query")
    };
    // What was read before, the executors open with the first keys.
    for name in &WITH_HEALTH {
        cluster.answer(named(name)?)?;
    }
    let (rounds, begun) = mpsc::channel();
    std::thread::scope(|scope| {
        let client = |name: &&str| -> Result<_> {
            let query = named(name)?;
            Ok(scope.spawn(move || ask_until(cluster, oracle, query, done)))
        };
        let with = WITH_HEALTH.iter().map(client).collect::<Result<Vec<_>>>()?;
        let without = WITHOUT_HEALTH.iter().map(client).collect::<Result<Vec<_>>>()?;
        let operator = scope.spawn(move || rotate(rotations, &begun));
        let aways = come_and_go(cluster, times, rounds);
        let rotated = operator.join();
        done.store(true, Ordering::SeqCst);
        let ended =
            |thread: std::thread::Result<Result<Vec<Asked>>>| thread.map_err(|_| anyhow!("a client ended badly"))?;
        let all = |threads: Vec<std::thread::ScopedJoinHandle<'_, Result<Vec<Asked>>>>| {
            let each: Result<Vec<_>> = threads.into_iter().map(|thread| ended(thread.join())).collect();
            each.map(|each| each.into_iter().flatten().collect::<Vec<_>>())
        };
        let (with, without) = (all(with)?, all(without)?);
        rotated.map_err(|_| anyhow!("the operator ended badly"))??;
        Ok((aways?, with, without))
    })
}

/// Rotates all keys once in each round.
fn rotate(rotations: Vec<Vec<Command>>, begun: &mpsc::Receiver<()>) -> Result<()> {
    for rotation in rotations {
        begun.recv()?;
        rotation.into_iter().try_for_each(run)?;
    }
    Ok(())
}

/// Takes the class from all executors and gives it back, in as many rounds; says when one begins.
fn come_and_go(cluster: &Sandbox, times: usize, rounds: mpsc::Sender<()>) -> Result<Vec<Away>> {
    let executors = ["executor-1", "executor-2"];
    let mut aways = Vec::new();
    for _ in 0..times {
        // Where nobody rotates any more, that ended with an error, which is seen later.
        let _ended = rounds.send(());
        let from = Instant::now();
        cluster
            .folder()
            .write_key_access(&executors, &["claims"], &["identity", "quasi", "plain"])?;
        std::thread::sleep(TAKEN_BACK + AWAY);
        let until = Instant::now();
        cluster
            .folder()
            .write_key_access(&executors, &["claims"], &ALL_CLASSES)?;
        aways.push(Away { from, until });
        std::thread::sleep(TAKEN_BACK + BACK);
    }
    Ok(aways)
}

/// Asks one query without pause. An answer is compared with DuckDB's, a refusal must name the class.
fn ask_until(cluster: &Sandbox, oracle: &Oracle, query: &Query, done: &AtomicBool) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let start = Instant::now();
        let answer = cluster.answer(query);
        let end = Instant::now();
        let refused = match answer {
            Ok(file) => oracle.check(query, &file).map(|()| false)?,
            Err(refusal) if format!("{refusal:#}").contains(REFUSAL) => true,
            Err(failure) => bail!("{failure:#}"),
        };
        all.push(Asked { start, end, refused });
    }
    Ok(all)
}

impl Away {
    /// Whether the class was away all the time of asking, and long enough before for everyone to know.
    fn holds(&self, asked: &Asked) -> bool {
        asked.start > self.from + TAKEN_BACK && asked.end < self.until
    }

    /// Whether the class was away at any moment of asking, or shortly before.
    fn touches(&self, asked: &Asked) -> bool {
        asked.end > self.from && asked.start < self.until + TAKEN_BACK
    }
}

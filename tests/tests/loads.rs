//! A load is atomic: killed at any moment it leaves the old version or the new one, never a mixture, and what it left
//! lying about is found by `parcours vacuum`. A cluster is asked all the while. Running a load again adds nothing twice.
//! `just soak-loads` kills more often than the sample here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parcours_tests::oracle::Oracle;
use parcours_tests::place;
use parcours_tests::rows::Value;
use parcours_tests::sandbox::{Plan, Sandbox, printed};

use crate::faults::{report, rounds, share};
use crate::queries::check_all;

/// From so many rounds on, some have to leave the new version and some the old one.
const BOTH: usize = 10;

const FILES: [&str; 5] = ["bene", "pde", "inpatient", "outpatient", "carrier"];

/// One row that tells every version from every other: the rows of each table, and a sum over one.
const FINGERPRINT: &str = "SELECT \
    (SELECT count(*) FROM claims.beneficiary) AS bene, (SELECT count(*) FROM claims.prescription) AS pde, \
    (SELECT count(*) FROM claims.inpatient) AS inpatient, (SELECT count(*) FROM claims.outpatient) AS outpatient, \
    (SELECT count(*) FROM claims.carrier) AS carrier, \
    (SELECT CAST(sum(tot_rx_cst_amt) AS BIGINT) FROM claims.prescription) AS cost";

/// The published files in pieces: the first holds half of every table, the others share the rest.
struct Pieces {
    all: PathBuf,
    data: PathBuf,
}

impl Pieces {
    fn cut(folder: &Path, count: usize) -> Result<Option<Self>> {
        let Some(published) = place::data()? else {
            return Ok(None);
        };
        let pieces = Self {
            all: folder.join("pieces"),
            data: folder.join("data/claims"),
        };
        fs::create_dir_all(&pieces.all)?;
        fs::create_dir_all(&pieces.data)?;
        for file in FILES {
            let text = fs::read_to_string(published.join(format!("claims/{file}.csv")))?;
            let (header, rows) = text.split_once('\n').context("a source has no header")?;
            let mut parts = vec![format!("{header}\n"); count];
            for (number, row) in rows.lines().enumerate() {
                let part = if number % 2 == 0 {
                    0
                } else {
                    1 + number / 2 % (count - 1)
                };
                parts[part] += row;
                parts[part].push('\n');
            }
            for (number, part) in parts.iter().enumerate() {
                fs::write(pieces.all.join(format!("{file}_{number:03}.csv")), part)?;
            }
        }
        Ok(Some(pieces))
    }

    /// Puts one piece of every table beside those already there.
    fn add(&self, number: usize) -> Result<()> {
        for file in FILES {
            let name = format!("{file}_{number:03}.csv");
            fs::hard_link(self.all.join(&name), self.data.join(&name))?;
        }
        Ok(())
    }

    /// The fingerprint of pieces 0 to `last`, counted from the text.
    fn fingerprint(&self, last: usize) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        for file in FILES {
            values.push(self.fold(file, last, |_| 1)?);
        }
        let cost = |row: &str| row.rsplit(',').next().and_then(|cost| cost.parse().ok()).unwrap_or(0);
        values.push(self.fold("pde", last, cost)?);
        Ok(values)
    }

    fn fold(&self, file: &str, last: usize, value: impl Fn(&str) -> i128) -> Result<Value> {
        let mut sum = 0;
        for number in 0..=last {
            let text = fs::read_to_string(self.all.join(format!("{file}_{number:03}.csv")))?;
            sum += text.lines().skip(1).map(&value).sum::<i128>();
        }
        Ok(Value::Number(sum))
    }

    fn load(&self, cluster: &Sandbox) -> Result<Command> {
        let mut command = cluster.load_file(&place::tests().join("datasets/claims.toml"))?;
        command.env("PARCOURS_DATA", self.data.parent().context("no parent")?);
        Ok(command)
    }
}

fn fingerprint(cluster: &Sandbox) -> Result<Vec<Value>> {
    let mut rows = cluster.ask(FINGERPRINT)?.rows;
    rows.pop().context("the fingerprint has no row")
}

#[test]
fn a_load_killed_at_any_moment_shows_the_old_version_or_the_new() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["claims"],
        ..Plan::default()
    })?;
    let rounds = rounds(3);
    let Some(pieces) = Pieces::cut(&cluster.folder().0, rounds + 2)? else {
        return Ok(());
    };
    pieces.add(0)?;
    printed(&mut pieces.load(&cluster)?)?;
    cluster.explain(|cluster| {
        cluster.start_all()?;
        kill_loads(cluster, &pieces, rounds)?;
        check_all(&oracle, "claims", |query| cluster.answer(query)).context("after the last load")?;
        vacuum(cluster, &oracle)
    })
}

fn kill_loads(cluster: &Sandbox, pieces: &Pieces, rounds: usize) -> Result<()> {
    pieces.add(1)?;
    let start = Instant::now();
    printed(&mut pieces.load(cluster)?)?;
    let undisturbed = start.elapsed();
    let (mut completed, mut struck) = (0, 0);
    for round in 0..rounds {
        let piece = round + 2;
        let (old, new) = (pieces.fingerprint(piece - 1)?, pieces.fingerprint(piece)?);
        settle(cluster, &old)?;
        pieces.add(piece)?;
        let moment = undisturbed.mul_f64(share(round));
        let (seen, fell) = kill_one(cluster, pieces, moment)?;
        struck += usize::from(fell);
        for answer in &seen {
            ensure!(
                *answer == old || *answer == new,
                "struck after {moment:?}: {answer:?} is neither {old:?} nor {new:?}"
            );
        }
        completed += usize::from(seen.last() == Some(&new));
        verify(cluster).context("after a kill")?;
        printed(&mut pieces.load(cluster)?).context("the load after the killed one")?;
        settle(cluster, &new)?;
        let again = printed(&mut pieces.load(cluster)?)?;
        ensure!(
            fingerprint(cluster)? == new,
            "a load of nothing new changed the tables: {again}"
        );
    }
    report(&format!(
        "{rounds} loads killed over {undisturbed:.1?}, {struck} before their end: {completed} left the new version, the others \
         the old one; each load after it added its rows once"
    ));
    ensure!(
        struck * 2 >= rounds,
        "only {struck} of {rounds} loads were still running"
    );
    ensure!(completed < rounds, "no kill left the old version");
    ensure!(
        rounds < BOTH || completed > 0,
        "of {rounds} kills none left the new version: none came late enough"
    );
    Ok(())
}

/// Starts a load, asks the cluster until the moment comes, kills the load, and asks until its version would be served.
/// Returns what was answered, in order, and whether the load was still running when it was killed.
fn kill_one(cluster: &Sandbox, pieces: &Pieces, moment: Duration) -> Result<(Vec<Vec<Value>>, bool)> {
    let mut load = pieces.load(cluster)?;
    let mut child = load
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    let mut seen = Vec::new();
    while start.elapsed() < moment {
        if moment - start.elapsed() > Duration::from_millis(500) {
            seen.push(fingerprint(cluster)?);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let fell = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        seen.push(fingerprint(cluster)?);
    }
    Ok((seen, fell))
}

/// Looks at every row of the dataset.
fn verify(cluster: &Sandbox) -> Result<()> {
    printed(&mut cluster.dataset_command(&["tables", "verify", "claims"])?).map(drop)
}

/// Waits until the scheduler serves a version.
fn settle(cluster: &Sandbox, expected: &[Value]) -> Result<()> {
    let start = Instant::now();
    loop {
        let served = fingerprint(cluster)?;
        if served == expected {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "{served:?} is served instead of {expected:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What killed loads left is found and removed once, and nothing that is needed.
fn vacuum(cluster: &Sandbox, oracle: &Oracle) -> Result<()> {
    let removed = cluster.vacuum("claims")?;
    check_all(oracle, "claims", |query| cluster.answer(query)).context("after vacuum")?;
    ensure!(cluster.vacuum("claims")? == 0, "vacuum found something twice");
    report(&format!("vacuum removed {removed} files that killed loads had left"));
    Ok(())
}

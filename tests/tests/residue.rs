//! Nothing of a patient is left in clear. A cluster with little memory answers queries that shuffle, spill, sort, join,
//! regroup and window rows whose values cannot be mistaken, among them the benches' queries. Every byte that its processes
//! and the loads hand to the system is recorded (`parcours_tests::writes` says why none escapes) and searched, as it is and
//! unpacked: files that were removed, tables' logs, logs, names of files, and what went over sockets. None holds a marker.
//!
//! That the search sees is shown twice: `executor/tests/stock.rs` finds every marker in what the engine's own writers leave,
//! with the same recorder and the same search; and here it finds them in what a person's own client writes for them, which
//! is recorded beside the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use parcours_synthetic::{PATIENT_ID, Population, dataset_toml, queries, tables};
use parcours_tests::rounds::report;
use parcours_tests::rows::{Rows, Value};
use parcours_tests::sandbox::{ALL_CLASSES, Plan, Sandbox, printed};
use parcours_tests::writes::{Recorder, Recording};
use parcours_tests::{markers, place};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const ROWS: usize = 600_000;
const PATIENTS: u64 = 4_000;
/// The recorded client.
const PERSON: &str = "person";
/// Pseudonyms of the benches' patients that are looked for.
const PSEUDONYMS: usize = 40;

/// Queries over the marked rows; each says what it is to make the engine do, and how many rows it has.
const QUERIES: [(&str, &str, usize); 7] = [
    (
        "sort",
        "SELECT * FROM marked.visits ORDER BY code, patient OFFSET 599990",
        10,
    ),
    (
        "window",
        "SELECT count(*) AS n, max(before) AS b FROM (SELECT commune, lag(code) OVER (PARTITION BY commune ORDER BY code) \
         AS before FROM marked.visits) AS w WHERE before IS NOT NULL",
        1,
    ),
    (
        "aggregate",
        "SELECT count(*) AS n, max(first) AS f FROM (SELECT code, commune, min(patient) AS first, max(seen) AS last, \
         sum(amount / 1000) AS total FROM marked.visits GROUP BY code, commune) AS g",
        1,
    ),
    (
        "join",
        "SELECT count(*) AS n, max(v.code) AS c FROM marked.visits AS v JOIN (SELECT commune, site, max(day) AS day, \
         min(code) AS code FROM marked.visits WHERE amount > 99000 GROUP BY commune, site) AS r \
         ON v.commune = r.commune AND v.site = r.site WHERE v.code <> r.code",
        1,
    ),
    ("distinct", "SELECT count(DISTINCT code) AS codes FROM marked.visits", 1),
    (
        "rows of a patient",
        "SELECT * FROM marked.visits WHERE amount = 6491869451083707185 LIMIT 1000",
        1000,
    ),
    (
        "literal",
        "SELECT count(*) AS n FROM marked.visits WHERE site = '000~PlNsGt5%r' OR code = 'nobody~HeLtMk9$w'",
        1,
    ),
];

/// Statements that fail over a value, or name one: what is said of them must not hold it.
const FAILING: [(&str, &str); 2] = [
    ("SELECT max(CAST(code AS INT)) AS n FROM marked.visits", "cast"),
    (
        "SELECT no_such_column FROM marked.visits WHERE code = 'nobody~HeLtMk9$w'",
        "no_such_column not found",
    ),
];

#[test]
fn no_byte_of_a_patient_is_written_in_clear() -> Result<()> {
    let place = tempfile::tempdir_in(place::scratch("residue")?)?;
    let Some(recorder) = Recorder::new(&place.path().join("recorded"))?.map(Arc::new) else {
        return Ok(());
    };
    let (marked, snds, pseudonyms) = sources(place.path())?;
    let mut cluster = Sandbox::prepare(Plan {
        memory: "48MiB",
        partition_memory: "0",
        datasets: vec![markers::DATASET, "snds"],
        recorder: Some(recorder.clone()),
        ..Plan::default()
    })?;
    // Whoever sees one dataset need not name it, as the benches' queries do not.
    let grants = [
        ("alice", markers::DATASET, &ALL_CLASSES[..]),
        ("bob", "snds", &ALL_CLASSES[..]),
    ];
    cluster.folder().write_access(&grants)?;
    for description in [&marked, &snds] {
        printed(cluster.load_file(description)?.args(["--memory", "64MiB"]))?;
    }
    cluster.explain(|cluster| {
        cluster.start_all()?;
        ask(cluster)?;
        for counter in ["partitions_begun", "spill_files_created"] {
            ensure!(
                cluster.executor_gauge(counter)? > 20,
                "too little was written: {counter}"
            );
        }
        Ok(())
    })?;
    answer_for_a_person(&cluster)?;
    let made = [
        cluster.executor_gauge("partition_bytes_written")?,
        cluster.executor_gauge("spill_bytes_written")?,
    ];
    for number in 0..2 {
        cluster
            .take_executor(number)?
            .terminate(std::time::Duration::from_secs(20))?;
    }
    cluster
        .take_scheduler()?
        .terminate(std::time::Duration::from_secs(20))?;
    cluster.take_keyd()?.terminate(std::time::Duration::from_secs(20))?;
    let recordings = recorder.finish()?;
    ensure!(
        recordings.len() == 7,
        "two loads, four nodes and a client were to be recorded"
    );
    let mut searched = Searched::default();
    for recording in &recordings {
        recording.ensure_complete()?;
        if recording.process == PERSON {
            ensure_all_shown(recording)?;
            continue;
        }
        searched.search(recording, &pseudonyms)?;
    }
    searched.check()?;
    report(&format!(
        "{} markers and {PSEUDONYMS} pseudonyms in none of {} files ({} MiB; {} MiB of partitions, {} MiB of spills) and of \
         {} sockets and pipes that a key daemon, a scheduler, two executors and two loads wrote",
        markers::all().len(),
        searched.files,
        searched.bytes >> 20,
        made[0] >> 20,
        made[1] >> 20,
        searched.others,
    ));
    Ok(())
}

/// Writes the marked rows and a small population, and says how both are loaded, and which pseudonyms to look for. The search
/// finds the markers and the pseudonyms there.
fn sources(place: &Path) -> Result<(std::path::PathBuf, std::path::PathBuf, Vec<String>)> {
    let marked = markers::write_csv(place, ROWS, 4)?;
    let found = markers::found_in(&std::fs::read(place.join("visits.csv"))?);
    ensure!(
        found == markers::in_text(),
        "the search does not find the markers where they are: {found:?}"
    );
    let source = place.join("snds");
    let population = Population {
        patients: PATIENTS,
        ..Population::default()
    };
    population.write_parquet(&source, |_| {})?;
    let snds = place.join("snds.toml");
    std::fs::write(&snds, dataset_toml(4, &source))?;
    let pseudonyms = pseudonyms(&source)?;
    ensure!(pseudonyms.len() == PSEUDONYMS, "{} pseudonyms", pseudonyms.len());
    Ok((marked, snds, pseudonyms))
}

/// Pseudonyms from the generated files of the first table.
fn pseudonyms(source: &Path) -> Result<Vec<String>> {
    let table = tables()
        .iter()
        .find(|table| table.sharded)
        .context("no table of patients")?;
    let file = std::fs::read_dir(source.join(table.name))?
        .next()
        .context("no file")??
        .path();
    let rows = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file)?)?.build()?;
    let mut found = BTreeSet::new();
    for batch in rows {
        let batch = batch?;
        let ids = batch.column_by_name(PATIENT_ID).context("no pseudonyms")?;
        let ids = arrow::compute::cast(ids, &arrow::datatypes::DataType::Utf8)?;
        let ids = arrow::array::AsArray::as_string::<i32>(&ids);
        found.extend(ids.iter().flatten().map(str::to_owned));
        if found.len() >= PSEUDONYMS {
            break;
        }
    }
    Ok(found.into_iter().take(PSEUDONYMS).collect())
}

/// The answer of a cluster whose memory is little on purpose: on a busy machine a merge may ask for some while another part
/// of the query still holds it, and the query then ends with a sentence that names the pool. It is asked again, and that is
/// told: a query that only ever ends so writes less than it should.
fn in_little_memory(cluster: &Sandbox, name: &str, sql: &str) -> Result<Rows> {
    for _ in 0..3 {
        match cluster.ask(sql) {
            Err(error) if format!("{error:#}").contains("memory pool of an executor") => {
                report(&format!("{name}: asked again, for {error:#}"));
            }
            answer => return answer,
        }
    }
    cluster.ask(sql)
}

fn ask(cluster: &Sandbox) -> Result<()> {
    let count = cluster.ask("SELECT count(*) AS n FROM marked.visits")?;
    ensure!(count.rows == [[Value::Number(ROWS as i128)]], "{count:?}");
    for (name, sql, rows) in QUERIES {
        let answer = in_little_memory(cluster, name, sql).context(name)?;
        ensure!(answer.rows.len() == rows, "{name}: {answer}");
    }
    let distinct = cluster.ask(QUERIES[4].1)?;
    ensure!(
        distinct.rows == [[Value::Number(ROWS as i128)]],
        "texts of 20 random letters are all different: {distinct:?}"
    );
    for query in queries::all() {
        let mut bob = cluster.sql_command("bob")?;
        // A statement may begin with a comment, which is not to be taken for an option.
        bob.args(["--format", "csv"]).arg(format!("--command={}", query.sql));
        let rows = printed(&mut bob).context(query.name)?;
        ensure!(rows.lines().count() > 1, "{} has no row", query.name);
    }
    for (sql, sentence) in FAILING {
        let said = cluster.refused("alice", sql)?;
        ensure!(said.contains(sentence), "{sql}: {said}");
    }
    Ok(())
}

/// A client that writes rows into a file of its person, who is entitled to them.
fn answer_for_a_person(cluster: &Sandbox) -> Result<()> {
    let mut command = cluster.sql_command("alice")?;
    command.args(["--format", "csv", "--command", QUERIES[5].1, "--output"]);
    command.arg(cluster.folder().at("rows.csv"));
    printed(&mut cluster.recorded(PERSON, command)?).map(drop)
}

/// The control in this very run: the search finds in the client's recording what a text file shows.
fn ensure_all_shown(recording: &Recording) -> Result<()> {
    let mut found = BTreeSet::new();
    for (_, content) in recording.files() {
        found.extend(markers::found_in(&std::fs::read(content)?));
    }
    ensure!(found == markers::in_text(), "the client's file shows {found:?} only");
    Ok(())
}

/// What was searched, and where something was found.
#[derive(Default)]
struct Searched {
    files: usize,
    others: usize,
    bytes: u64,
    logs: usize,
    found: BTreeMap<String, BTreeSet<String>>,
}

impl Searched {
    fn search(&mut self, recording: &Recording, pseudonyms: &[String]) -> Result<()> {
        let files: BTreeSet<&String> = recording.files().map(|(target, _)| target).collect();
        for (target, content) in &recording.targets {
            let bytes = std::fs::read(content)?;
            if files.contains(target) {
                self.files += 1;
                self.bytes += bytes.len() as u64;
            } else {
                self.others += 1;
            }
            self.logs += usize::from(target.contains("/_delta_log/") && memmem::find(&bytes, b"numRecords").is_some());
            self.look(&format!("{} in {target}", recording.process), &bytes, pseudonyms);
        }
        let names: Vec<u8> = recording.names.iter().flatten().copied().collect();
        self.look(&format!("{}, names of files", recording.process), &names, pseudonyms);
        Ok(())
    }

    fn look(&mut self, place: &str, bytes: &[u8], pseudonyms: &[String]) {
        let mut found: BTreeSet<String> = markers::found_in(bytes).into_iter().map(str::to_owned).collect();
        let ids = pseudonyms
            .iter()
            .filter(|id| memmem::find(bytes, id.as_bytes()).is_some());
        found.extend(ids.map(|_| "a pseudonym".to_owned()));
        if !found.is_empty() {
            self.found.insert(place.to_owned(), found);
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(self.found.is_empty(), "written in clear: {:#?}", self.found);
        ensure!(self.files > 60, "only {} files were written", self.files);
        ensure!(self.logs > 1, "the tables' logs are not among what was searched");
        Ok(())
    }
}

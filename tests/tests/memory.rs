//! Sorts, regroupings, joins and windows over twenty times the memory pool of the executor that computes them. Each is
//! answered as DuckDB answers it on the same rows, or ends with a sentence that names the pool and its size; no process is
//! ended by the kernel, and the most memory that each ever had resident stays under a bound.
//!
//! The bound of an executor is its pool, and 1 GiB for what the pool does not count: the program, batches on their way
//! between operators, pages being decoded, what each thread's allocator keeps for itself, and footers (a few files take a few
//! MiB of `keys.footer_cache`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use parcours_tests::query::{self, Query};
use parcours_tests::rounds::report;
use parcours_tests::rows::Rows;
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python};

const POOL_MIB: u64 = 48;
const ROWS: u64 = 8_000_000;
/// What an executor may have resident beside its pool.
const BESIDE_POOL_MIB: u64 = 1024;
/// What a scheduler may have resident: it relays results and keeps none.
const SCHEDULER_MIB: u64 = 256;
/// Queries that must be answered; the others may say why not.
const ANSWERED: [&str; 5] = ["aggregate", "join_few", "sort", "window", "window_of_patient"];

#[test]
fn data_of_twenty_times_the_pool_is_computed_or_the_pool_is_named() -> Result<()> {
    if python::interpreter()?.is_none() {
        return Ok(());
    }
    let place = tempfile::tempdir_in(place::scratch("memory")?)?;
    let (data, answers) = (place.path().join("data"), place.path().join("answers"));
    let arguments = [
        ROWS.to_string().into(),
        data.clone(),
        query::folder("memory"),
        answers.clone(),
    ];
    let bytes: u64 = python::run("memory.py", &arguments)?.trim().parse()?;
    ensure!(bytes >= 20 * (POOL_MIB << 20), "the rows take {bytes} bytes only");
    let mut cluster = Sandbox::prepare(Plan {
        executors: 1,
        memory: "48MiB",
        datasets: vec!["big"],
        ..Plan::default()
    })?;
    printed(&mut cluster.load_file(&description(place.path(), &data)?)?)?;
    cluster.explain(|cluster| {
        cluster.start_all()?;
        let mut said = BTreeMap::new();
        for query in query::all("memory")? {
            let start = Instant::now();
            let outcome = ask(cluster, &query, &answers).with_context(|| query.name.clone())?;
            let peak = cluster.executor(0)?.usage()?.peak_resident_kib >> 10;
            let name = &query.name;
            report(&format!(
                "{name}: {outcome} after {:.1?}, until then at most {peak} MiB",
                start.elapsed()
            ));
            said.insert(query.name, outcome);
        }
        for name in ANSWERED {
            ensure!(
                said.get(name).is_some_and(|outcome| outcome == RIGHT),
                "{name}: {said:#?}"
            );
        }
        resident(cluster, bytes)
    })
}

fn description(place: &Path, data: &Path) -> Result<std::path::PathBuf> {
    let path = place.join("big.toml");
    let text = format!(
        r#"name = "big"
patient_id = "patient"
shards = 2
[[tables]]
name = "visits"
sources = [{:?}]
order = ["day", "note"]
columns = [
  {{ name = "patient", class = "identity" }},
  {{ name = "day", class = "quasi" }},
  {{ name = "code", class = "health" }},
  {{ name = "note", class = "health" }},
  {{ name = "amount", class = "plain" }},
]
"#,
        data.join("*.parquet")
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

const RIGHT: &str = "answered as DuckDB does";

/// What came of a query: the right answer, or the sentence that names the pool. All else is an error.
fn ask(cluster: &Sandbox, query: &Query, answers: &Path) -> Result<String> {
    let file = cluster.folder().at(format!("{}.arrow", query.name));
    let mut command = cluster.sql_command("alice")?;
    command
        .args(["--format", "arrow", "--file"])
        .arg(&query.path)
        .arg("--output")
        .arg(&file);
    let output = command.output()?;
    if output.status.success() {
        let expected = Rows::read(&answers.join(format!("{}.arrow", query.name)))?;
        expected.compare(&Rows::read(&file)?, query.order)?;
        return Ok(RIGHT.to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let named = said.contains("memory pool of an executor") && said.contains(&format!("memory = {POOL_MIB}MiB"));
    ensure!(named, "the sentence does not name the pool and its size: {said}");
    Ok(said)
}

fn resident(cluster: &mut Sandbox, bytes: u64) -> Result<()> {
    let executor = cluster.executor(0)?.usage()?.peak_resident_kib >> 10;
    let scheduler = cluster.scheduler()?.usage()?.peak_resident_kib >> 10;
    let reserved = cluster.executor_gauge("memory_reserved_peak_bytes")? >> 20;
    let spilled = cluster.executor_gauge("spill_bytes_written")? >> 20;
    report(&format!(
        "{} MiB of rows through a pool of {POOL_MIB} MiB ({reserved} MiB reserved at most, {spilled} MiB spilled): resident \
         at most {executor} MiB in the executor (bound {}), {scheduler} MiB in the scheduler (bound {SCHEDULER_MIB})",
        bytes >> 20,
        POOL_MIB + BESIDE_POOL_MIB,
    ));
    ensure!(
        executor <= POOL_MIB + BESIDE_POOL_MIB,
        "the executor had {executor} MiB resident"
    );
    ensure!(scheduler <= SCHEDULER_MIB, "the scheduler had {scheduler} MiB resident");
    ensure!(spilled > 100, "nothing much was spilled");
    Ok(())
}

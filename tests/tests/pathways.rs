//! The research queries of the benches, over 1, 3, 16 and 64 shards of several files each: their rows are those of DuckDB
//! and of a single process of DataFusion on the plain files, and they run in the stages that were approved: none exchanges
//! or sorts patients.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use parcours_synthetic::{PATIENT_ID, Population, dataset_toml, queries};
use parcours_tests::rounds::report;
use parcours_tests::rows::Value;
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python, stages};

/// Enough that no answer is empty.
const PATIENTS: u64 = 6_000;

/// Set to have the plans of this run approved.
const APPROVE: &str = "PARCOURS_APPROVE";

#[test]
fn sixteen_shards_are_answered_rightly_in_the_approved_stages() -> Result<()> {
    let Some(sandbox) = answered(16)? else { return Ok(()) };
    let plans = stages::plans(&sandbox.folder().at("logs/scheduler.log"))?;
    let names: Vec<&str> = queries::all().iter().map(|query| query.name).collect();
    ensure!(
        plans.len() == names.len(),
        "{} plans of {} queries",
        plans.len(),
        names.len()
    );
    let checked = names.iter().zip(&plans).map(|(name, plan)| check(name, plan));
    let wrong: Vec<String> = checked
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    explanations(&sandbox)
}

/// What explanations say of exchanges, of a query that keeps to its shards, one that groups by something else, and one that
/// loses its shards over a computed patient.
fn explanations(sandbox: &Sandbox) -> Result<()> {
    let join = "SELECT count(*) AS n FROM pharmacie AS p JOIN ald AS a ON a.ben_idt_ano = p.ben_idt_ano GROUP BY";
    let computed = "SELECT count(*) FROM pharmacie AS p JOIN ald AS a ON upper(a.ben_idt_ano) = upper(p.ben_idt_ano)";
    for (query, said) in [
        (
            format!("{join} p.ben_idt_ano"),
            "none: every step runs inside the shards",
        ),
        (format!("{join} p.atc"), "groups by (atc) are brought together"),
        (computed.to_owned(), "rows leave their shards for the join on (upper("),
    ] {
        let explained = sandbox.ask(&format!("EXPLAIN {query}"))?;
        let of_exchanges = |row: &&Vec<Value>| row.first() == Some(&Value::Text("exchanges".to_owned()));
        match explained.rows.iter().find(of_exchanges).map(Vec::as_slice) {
            Some([_, Value::Text(found)]) if found.contains(said) => {}
            other => anyhow::bail!("EXPLAIN {query} says {other:?} and not {said:?}"),
        }
    }
    Ok(())
}

#[test]
fn other_numbers_of_shards_are_answered_rightly() -> Result<()> {
    for shards in [1, 3, 64] {
        answered(shards).with_context(|| format!("with {shards} shards"))?;
    }
    Ok(())
}

/// A cluster that has answered all queries as the oracles do; none without Python.
fn answered(shards: u32) -> Result<Option<Sandbox>> {
    if python::interpreter()?.is_none() {
        return Ok(None);
    }
    let place = tempfile::tempdir_in(place::scratch("pathways")?)?;
    let source = place.path().join("source");
    let population = Population {
        patients: PATIENTS,
        ..Population::default()
    };
    population.write_parquet(&source, |_| {})?;
    let mut cluster = Sandbox::prepare(Plan {
        datasets: vec!["snds"],
        log: Some(stages::LOG),
        ..Plan::default()
    })?;
    for description in descriptions(place.path(), &source, shards)? {
        printed(&mut cluster.load_file(&description)?)?;
    }
    let asked = place.path().join("queries.json");
    std::fs::write(&asked, statements()?)?;
    let said = cluster.explain(|cluster| {
        cluster.start_all()?;
        let connection = cluster.folder().write_connection("alice", &cluster.ports())?;
        python::run(
            "pathways.py",
            &[connection.as_path(), source.as_path(), asked.as_path()].map(OsStr::new),
        )
    })?;
    report(&format!("{shards} shards: {}", said.trim()));
    Ok(Some(cluster))
}

/// Dataset files that are loaded one after the other, so that shards have several files: the first names half of the sources.
fn descriptions(place: &Path, source: &Path, shards: u32) -> Result<[PathBuf; 2]> {
    let all = dataset_toml(shards, source);
    let (first, second) = (place.join("first.toml"), place.join("all.toml"));
    std::fs::write(&first, all.replace("/*.parquet", "/*[02468].parquet"))?;
    std::fs::write(&second, all)?;
    Ok([first, second])
}

fn statements() -> Result<String> {
    let statements: Vec<String> = queries::all()
        .iter()
        .map(|query| {
            Ok(format!(
                "{}: {}",
                serde_json::to_string(query.name)?,
                serde_json::to_string(query.sql)?
            ))
        })
        .collect::<Result<_>>()?;
    Ok(format!("{{{}}}", statements.join(",\n")))
}

/// Whether a plan is the approved one, and keeps patients where they are.
fn check(name: &str, plan: &str) -> Result<()> {
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        let below = lines.get(at + 1).copied().unwrap_or_default();
        ensure!(
            !moves_patients(line, below),
            "{name} exchanges or sorts patients: {line}\n{plan}"
        );
    }
    let file = place::tests().join("plans").join(format!("{name}.txt"));
    if std::env::var_os(APPROVE).is_some() {
        return std::fs::write(&file, plan).with_context(|| format!("cannot write {}", file.display()));
    }
    let approved = std::fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        approved == plan,
        "{name} runs in other stages than approved (if that is right, run this test with {APPROVE}=1):\n{}",
        stages::difference(&approved, plan)
    );
    Ok(())
}

/// Whether a node sends rows where their patient says, or puts patients in order. What lies `below` may be in their order
/// already: rows are then sorted within each patient.
fn moves_patients(node: &str, below: &str) -> bool {
    let by_patient = |start: &str| {
        let rest = node.split_once(start).map(|(_, rest)| rest).unwrap_or_default();
        let keys = rest.split(']').next().unwrap_or_default();
        keys.contains(PATIENT_ID) || keys.contains("__patient")
    };
    let exchanges = by_patient("partitioning=Hash([");
    let in_order = below.contains("ordering_mode=PartiallySorted([0])")
        || below.contains("ordering_mode=Sorted")
        || below.contains(&format!("output_ordering=[{PATIENT_ID}"));
    let sorts = node.starts_with("SortExec") && by_patient("expr=[") && !in_order;
    exchanges || sorts
}

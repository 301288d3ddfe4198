//! The research queries of the benches, over 1, 3, 16 and 64 shards of several files each: their rows are those of DuckDB
//! and of a single process of DataFusion on the plain files, and they run in the stages that were approved: none exchanges
//! or sorts patients. A plan is the scheduler's; that executors run it with the operators that are approved for each query
//! is read from what they count.

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
    operators(&sandbox)?;
    explanations(&sandbox)
}

/// The operators of ours with which executors run each query, held against those that are approved.
fn operators(sandbox: &Sandbox) -> Result<()> {
    let mut ran = String::new();
    for query in queries::all() {
        let before = sandbox.operators()?;
        let mut command = sandbox.sql_command("alice")?;
        // A statement may begin with a comment, which is not to be taken for an option.
        command
            .args(["--format", "csv"])
            .arg(format!("--command={}", query.sql));
        printed(&mut command).context(query.name)?;
        let now = sandbox.operators()?;
        let more: Vec<&str> = now
            .iter()
            .filter(|(name, count)| before.get(*name).is_none_or(|before| before < count))
            .map(|(name, _)| name.as_str())
            .collect();
        ran += &format!("{}: {}\n", query.name, more.join(", "));
    }
    approved("operators", &ran)?;
    for (name, count) in sandbox.operators()? {
        ensure!(count > 0, "no executor ran the operator {name}");
    }
    Ok(())
}

/// What an explanation says of exchanges where there are none.
const NONE: &str = "none: every step runs inside the shards";

/// What explanations say of exchanges, of a query that keeps to its shards, one that groups by something else, and one that
/// loses its shards over a computed patient.
fn explanations(sandbox: &Sandbox) -> Result<()> {
    let join = "SELECT count(*) AS n FROM pharmacie AS p JOIN ald AS a ON a.ben_idt_ano = p.ben_idt_ano GROUP BY";
    let on = |keys| format!("SELECT a.ben_idt_ano FROM pharmacie AS p JOIN ald AS a ON {keys}");
    let computed = "SELECT count(*) FROM pharmacie AS p JOIN ald AS a ON upper(a.ben_idt_ano) = upper(p.ben_idt_ano)";
    for (query, said) in [
        (format!("{join} p.ben_idt_ano"), NONE),
        // Among several keys the patient is found wherever it stands, and only where it is one on both sides.
        (on("a.ben_idt_ano = p.ben_idt_ano AND a.med_mtf_cod = p.atc"), NONE),
        (on("a.med_mtf_cod = p.atc AND a.ben_idt_ano = p.ben_idt_ano"), NONE),
        (
            on("a.ben_idt_ano = p.atc AND a.med_mtf_cod = p.ben_idt_ano AND a.ben_idt_ano = p.ben_idt_ano"),
            NONE,
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
        ensure!(
            !moves_patients(line, &lines[at + 1..]),
            "{name} exchanges or sorts patients: {line}\n{plan}"
        );
    }
    approved(name, plan)
}

/// Whether a text is the one that was approved under this name.
fn approved(name: &str, now: &str) -> Result<()> {
    let file = place::tests().join("plans").join(format!("{name}.txt"));
    if std::env::var_os(APPROVE).is_some() {
        return std::fs::write(&file, now).with_context(|| format!("cannot write {}", file.display()));
    }
    let approved = std::fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        approved == now,
        "{name} runs otherwise than approved (if that is right, run this test with {APPROVE}=1):\n{}",
        stages::difference(&approved, now)
    );
    Ok(())
}

/// Whether a node sends rows where their patient says, sends patients anywhere, or puts patients in order. What lies `below`
/// it may be in their order already: rows are then sorted within each patient.
fn moves_patients(node: &str, below: &[&str]) -> bool {
    let by_patient = |start: &str| mentions_patient(&listed(node, start).unwrap_or_default());
    let exchanges =
        node.starts_with("ExchangeExec") && (by_patient("partitioning=Hash([") || gives_patients_out(below));
    let input = below.first().copied().unwrap_or_default();
    let in_order = input.contains("ordering_mode=PartiallySorted([0])")
        || input.contains("ordering_mode=Sorted")
        || input.contains(&format!("output_ordering=[{PATIENT_ID}"));
    let sorts = node.starts_with("SortExec") && by_patient("expr=[") && !in_order;
    exchanges || sorts
}

/// What stands in a list that begins so; lists within it are part of it.
fn listed(node: &str, start: &str) -> Option<String> {
    let (_, rest) = node.split_once(start)?;
    let mut open = 1;
    let inside = rest.chars().take_while(|letter| {
        open += i32::from(matches!(letter, '[' | '(')) - i32::from(matches!(letter, ']' | ')'));
        open > 0
    });
    Some(inside.collect())
}

fn mentions_patient(text: &str) -> bool {
    text.contains(&format!("{PATIENT_ID}@")) || text.contains("__patient@")
}

/// Whether patients are among what a plan gives out, by the first of its nodes that says what it gives out. Of a plan that
/// does not say it, they are.
fn gives_patients_out(plan: &[&str]) -> bool {
    for node in plan {
        let name = node.split([':', ' ']).next().unwrap_or_default();
        return match name {
            "SortExec"
            | "SortPreservingMergeExec"
            | "CoalescePartitionsExec"
            | "LocalLimitExec"
            | "GlobalLimitExec" => {
                continue;
            }
            "ProjectionExec" => listed(node, "expr=[").is_none_or(|exprs| mentions_patient(&exprs)),
            "AggregateExec" => {
                let keeps = [
                    "min(",
                    "max(",
                    "first_value(",
                    "last_value(",
                    "array_agg(",
                    "string_agg(",
                ];
                let aggregates = listed(node, "aggr=[").unwrap_or_default();
                let kept = keeps.iter().filter_map(|start| listed(&aggregates, start));
                let of_patient = |argument: String| argument.contains(PATIENT_ID);
                listed(node, "gby=[").is_none_or(|keys| mentions_patient(&keys)) || kept.into_iter().any(of_patient)
            }
            "DataSourceExec" => listed(node, "projection=[").is_none_or(|columns| columns.contains(PATIENT_ID)),
            _ => listed(node, "projection=[").is_none_or(|columns| mentions_patient(&columns)),
        };
    }
    true
}

#[test]
fn approved_plans_move_no_patient() -> Result<()> {
    for query in queries::all() {
        let plan = std::fs::read_to_string(place::tests().join("plans").join(format!("{}.txt", query.name)))?;
        let lines: Vec<&str> = plan.lines().map(str::trim).collect();
        ensure!(plan.contains("ExchangeExec"), "{} exchanges nothing", query.name);
        for (at, line) in lines.iter().enumerate() {
            ensure!(!moves_patients(line, &lines[at + 1..]), "{}: {line}", query.name);
        }
    }
    Ok(())
}

#[test]
fn patients_that_move_are_seen() {
    let scan =
        format!("DataSourceExec: stay, projection=[{PATIENT_ID}, d], output_ordering=[{PATIENT_ID}@0 ASC], by shard");
    let by_day = "AggregateExec: mode=Partial, gby=[d@1 as d], aggr=[count(Int64(1))]";
    let sort = "SortExec: expr=[d@0 ASC], preserve_partitioning=[true]";
    let moving: [(String, Vec<String>); 8] = [
        (
            format!("ExchangeExec: partitioning=Hash([{PATIENT_ID}@0], 16)"),
            vec![by_day.to_owned()],
        ),
        (
            "ExchangeExec: partitioning=Hash([d@1], 16)".to_owned(),
            vec![scan.clone()],
        ),
        ("ExchangeExec: partitioning=None".to_owned(), vec![scan.clone()]),
        (
            "ExchangeExec: partitioning=None".to_owned(),
            vec![sort.to_owned(), scan.clone()],
        ),
        (
            "ExchangeExec: partitioning=None".to_owned(),
            vec![format!("ProjectionExec: expr=[upper({PATIENT_ID}@0) as x, d@1 as d]")],
        ),
        (
            "ExchangeExec: partitioning=Hash([d@0], 16)".to_owned(),
            vec![format!(
                "AggregateExec: mode=Partial, gby=[d@1 as d], aggr=[max(t.{PATIENT_ID})]"
            )],
        ),
        (
            "ExchangeExec: partitioning=None".to_owned(),
            vec!["SomethingNewExec: n=1".to_owned()],
        ),
        (
            format!("SortExec: expr=[{PATIENT_ID}@0 ASC]"),
            vec!["FilterExec: d@1 > 3".to_owned()],
        ),
    ];
    for (node, below) in moving {
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        assert!(moves_patients(&node, &below), "{node} over {below:?}");
    }
    let staying = [
        ("ExchangeExec: partitioning=Hash([d@0], 16)", by_day.to_owned()),
        (
            "ExchangeExec: partitioning=None",
            format!("{by_day}, of count(t.{PATIENT_ID})"),
        ),
        ("SortExec: expr=[d@0 ASC]", scan),
    ];
    for (node, below) in staying {
        assert!(!moves_patients(node, &[&below]), "{node} over {below}");
    }
}

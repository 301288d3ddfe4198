//! What is written anywhere is searched for values of patients: tables and logs of a cluster that has just answered every
//! query, and its scratch files while it answers, hold none. The same search finds them in the published files, and in a
//! file that is planted among what was written.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use parcours_tests::sandbox::{Plan, Sandbox, files_below};
use parcours_tests::{place, query};

use crate::cluster::loaded;

/// Columns whose values are long enough to mean something where they are found, one or more of each class.
const COLUMNS: [(&str, &str, &str); 6] = [
    ("identity", "pde", "DESYNPUF_ID"),
    ("identity", "pde", "PDE_ID"),
    ("identity", "inpatient", "CLM_ID"),
    ("quasi", "inpatient", "AT_PHYSN_NPI"),
    ("health", "pde", "PROD_SRVC_ID"),
    ("quasi", "carrier", "PRF_PHYSN_NPI_1"),
];

/// Known values by their length, to be looked for at every place of a file.
struct Known(Vec<(usize, HashSet<Vec<u8>>)>);

impl Known {
    fn of(data: &Path, file: &str, column: &str) -> Result<Self> {
        let text = std::fs::read_to_string(data.join(format!("claims/{file}.csv")))?;
        let mut lines = text.lines();
        let at = lines
            .next()
            .and_then(|header| header.split(',').position(|name| name == column));
        let at = at.with_context(|| format!("{file} has no column {column}"))?;
        let mut lengths: Vec<(usize, HashSet<Vec<u8>>)> = Vec::new();
        for value in lines
            .filter_map(|line| line.split(',').nth(at))
            .filter(|value| value.len() >= 9)
        {
            match lengths.iter_mut().find(|(length, _)| *length == value.len()) {
                Some((_, values)) => _ = values.insert(value.as_bytes().to_vec()),
                None => lengths.push((value.len(), HashSet::from([value.as_bytes().to_vec()]))),
            }
        }
        ensure!(!lengths.is_empty(), "{column} has no value to look for");
        Ok(Self(lengths))
    }

    fn found_in(&self, bytes: &[u8]) -> usize {
        self.0
            .iter()
            .map(|(length, values)| bytes.windows(*length).filter(|place| values.contains(*place)).count())
            .sum()
    }
}

/// Files by their paths, as they were when they were read.
type Written = BTreeMap<PathBuf, Vec<u8>>;

/// What lies below these folders now.
fn written(cluster: &Sandbox, folders: &[&str]) -> Result<Written> {
    let files = folders.iter().flat_map(|name| files_below(&cluster.folder().at(name)));
    files.map(|path| Ok((path.clone(), std::fs::read(&path)?))).collect()
}

/// What lies on scratch space while a query is computed, caught as it comes and goes.
fn scratch(cluster: &Sandbox, query: &query::Query) -> Result<Written> {
    let mut command = cluster.sql_command("alice")?;
    command.args(["--format", "csv", "--file"]).arg(&query.path);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut caught = Written::new();
    while child.try_wait()?.is_none() {
        for path in cluster.scratch_files() {
            // It may be gone, or grow: the longest is kept.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let longest = caught.entry(path).or_default();
            if bytes.len() > longest.len() {
                *longest = bytes;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    ensure!(child.wait()?.success(), "{} was not answered", query.name);
    caught.retain(|_, bytes| !bytes.is_empty());
    Ok(caught)
}

/// The files that hold a known value.
fn holding<'a>(written: &'a Written, known: &Known) -> Vec<&'a Path> {
    let holding = written.iter().filter(|(_, bytes)| known.found_in(bytes) > 0);
    holding.map(|(path, _)| path.as_path()).collect()
}

#[test]
fn no_value_of_a_patient_is_written_in_clear() -> Result<()> {
    let Some(data) = place::data()? else { return Ok(()) };
    let mut cluster = loaded(Plan {
        partition_memory: "0",
        ..Plan::default()
    })?;
    cluster.explain(|cluster| {
        for query in query::all("claims")? {
            cluster.answer(&query).map(drop)?;
        }
        cluster.refused(
            "alice",
            "SELECT no_such_column FROM claims.beneficiary WHERE desynpuf_id = '001115EAB83B19BB'",
        )?;
        let mut all = Written::new();
        for query in query::all("faults")? {
            all.extend(scratch(cluster, &query)?);
        }
        ensure!(all.len() > 10, "only {} scratch files were caught", all.len());
        all.extend(written(cluster, &["tables", "logs"])?);
        for (class, file, column) in COLUMNS {
            let known = Known::of(&data, file, column)?;
            let published = std::fs::read(data.join(format!("claims/{file}.csv")))?;
            ensure!(
                known.found_in(&published) > 100,
                "the search does not find {column} where it is"
            );
            let found = holding(&all, &known);
            ensure!(found.is_empty(), "values of class {class} are in {found:?}");
            let planted = cluster.folder().at("logs/planted.log");
            std::fs::write(&planted, &published[..published.len() / 2])?;
            let found = written(cluster, &["tables", "logs"])?;
            std::fs::remove_file(&planted)?;
            ensure!(
                holding(&found, &known) == [planted.as_path()],
                "a planted file with {column} is not found among the others"
            );
        }
        Ok(())
    })
}

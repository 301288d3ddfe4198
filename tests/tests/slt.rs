//! SQLite's sqllogictest files (`slt` in the test data): tables of a few rows, sharded by the row's number and under
//! one patient, and some ninety thousand queries of which a sample is asked here and all by `just slt`. Right is what
//! SQLite answered, or what DuckDB does; `tests/slt/refused.txt` lists what may be refused, and why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use parcours_tests::rounds::{every, report};
use parcours_tests::sandbox::{Plan, Sandbox, printed};
use parcours_tests::{place, python, tool};

/// Of how many queries one is asked.
const SAMPLE: usize = 151;
const SHARDS: &str = "16";

/// Which share of the queries may be planned anew, in percent; each of them is answered all the same.
const REPLANS: &str = "1";

#[test]
fn sqlites_queries_are_answered_as_sqlite_or_duckdb_does() -> Result<()> {
    let (Some(data), Some(_)) = (place::data()?, python::interpreter()?) else {
        return Ok(());
    };
    let files = files(&data.join("slt"));
    if files.is_empty() {
        return tool::missing("SQLite's sqllogictest files", "put them into slt of the test data");
    }
    let folder = tempfile::tempdir_in(place::scratch("slt")?)?;
    let mut prepare: Vec<OsString> = vec!["prepare".into(), folder.path().into(), SHARDS.into()];
    prepare.extend(files.iter().cloned().map(OsString::from));
    python::run("slt.py", &prepare)?;
    let mut cluster = loaded(folder.path())?;
    cluster.explain(|cluster| {
        cluster.grant_to_namesakes()?;
        cluster.start_all()?;
        report(&ask(cluster, folder.path(), &files)?);
        Ok(())
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    files
}

/// A cluster with every dataset that was prepared, not yet started.
fn loaded(folder: &Path) -> Result<Sandbox> {
    let mut descriptions = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            descriptions.push(path);
        }
    }
    let name = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let names = descriptions
        .iter()
        .map(|path| name(path).context("a description without a name"));
    let datasets = names
        .map(|name| name.map(|name| &*name.leak()))
        .collect::<Result<Vec<&'static str>>>()?;
    let cluster = Sandbox::prepare(Plan {
        datasets,
        ..Plan::default()
    })?;
    for description in &descriptions {
        printed(&mut cluster.load_file(description)?)?;
    }
    Ok(cluster)
}

fn ask(cluster: &Sandbox, folder: &Path, files: &[PathBuf]) -> Result<String> {
    let mut arguments: Vec<OsString> = vec!["ask".into(), folder.into(), cluster.folder().0.clone().into()];
    arguments.push(place::tests().join("slt/refused.txt").into());
    arguments.extend(["--every".into(), every(SAMPLE).to_string().into()]);
    arguments.extend(["--replans".into(), REPLANS.into()]);
    arguments.extend(files.iter().cloned().map(OsString::from));
    python::run("slt.py", &arguments)
}

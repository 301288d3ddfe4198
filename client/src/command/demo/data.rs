//! The demo's rows: generated in plain Parquet, then loaded as anyone loads a dataset, into encrypted tables.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use indicatif::{HumanBytes, HumanCount};
use parcours_synthetic::{Population, dataset_toml};
use parcours_tables::load::LoadOptions;
use parcours_tables::snapshot::TableDescription;
use parcours_tables::spec::Dataset;
use parcours_tables::{Snapshot, Stores};
use serde::Serialize;
use url::Url;

use super::folder::Folder;
use super::keys::Rings;
use super::steps::Steps;
use super::{DATASET, DemoArgs};
use crate::command::load;
use crate::exit::Failure;

/// What was generated.
#[derive(Debug, Serialize)]
pub struct Generated {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the plain Parquet files.
    pub bytes: u64,
    /// Time it took.
    pub seconds: f64,
}

/// What was loaded.
#[derive(Debug, Serialize)]
pub struct Loaded {
    /// Tables.
    pub tables: usize,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the encrypted files.
    pub bytes: u64,
    /// Encrypted files.
    pub files: usize,
    /// Time it took.
    pub seconds: f64,
}

/// Writes the patients' rows and the file that describes them.
pub async fn generate(folder: &Folder, args: &DemoArgs, steps: &Steps) -> Result<Generated, Failure> {
    let patients = args.patients;
    let step = steps.begin_counted("generating", patients, "patients");
    let (bar, source) = (step.bar(), folder.source());
    let population = Population {
        patients,
        seed: args.seed,
        ..Population::default()
    };
    let writing = move || population.write_parquet(&source, |progress| bar.set_position(progress.done));
    let report = tokio::task::spawn_blocking(writing)
        .await
        .context("generation was cut short")?;
    let report = report.context("cannot generate patients")?;
    std::fs::write(folder.at("dataset.toml"), dataset_toml(args.shards, &folder.source()))
        .context("cannot write dataset.toml")?;
    let (rows, bytes) = (report.rows(), report.bytes());
    let (count, size) = (HumanCount(rows), HumanBytes(bytes));
    let people = HumanCount(patients);
    let seconds = step.end(&format!(
        "Generated {people} synthetic patients: {count} rows, {size} of plain Parquet"
    ));
    Ok(Generated { rows, bytes, seconds })
}

/// Loads them into encrypted tables.
pub async fn load(folder: &Folder, rings: &Rings, shards: u32, steps: &Steps) -> Result<Loaded, Failure> {
    let started = Instant::now();
    let step = steps.begin("loading");
    let dataset = Dataset::from_file(folder.at("dataset.toml")).context("cannot read dataset.toml")?;
    let into = Url::from_directory_path(folder.tables()).map_err(|()| anyhow!("the folder is not absolute"))?;
    let stores = Arc::new(Stores::default());
    let mut options = LoadOptions {
        progress: Arc::new(load::Bar::new(step.bar(), "loading")),
        ..LoadOptions::default()
    };
    options.spill_dir = folder.at("spill");
    let keys = rings.master.clone();
    let load = load::Load {
        dataset,
        into: into.clone(),
        stores: stores.clone(),
        keys,
        options,
    };
    // A task of its own, so that an interruption is noticed while rows are being sorted.
    let mut loading = tokio::task::JoinSet::new();
    loading.spawn(load.run());
    loading
        .join_next()
        .await
        .context("nothing was loaded")?
        .context("loading was cut short")??;
    let described = Snapshot::open(&into, DATASET, None, &stores)
        .await
        .context("cannot look at the tables")?
        .describe();
    let sum = |of: fn(&TableDescription) -> u64| described.tables.iter().map(of).sum::<u64>();
    let (rows, bytes) = (sum(|table| table.rows), sum(|table| table.bytes));
    let files = described.tables.iter().map(|table| table.files).sum();
    let tables = described.tables.len();
    let (count, size) = (HumanCount(rows), HumanBytes(bytes));
    step.end(&format!(
        "Loaded {count} rows into {tables} encrypted tables of {shards} shards: {files} files, {size}"
    ));
    Ok(Loaded {
        tables,
        rows,
        bytes,
        files,
        seconds: started.elapsed().as_secs_f64(),
    })
}

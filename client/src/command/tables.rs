//! `parcours tables`: what is in a place where datasets are loaded: lists, describes, shows history. It needs no key, for
//! it reads logs only, and shows no value of a row. `report` opens what a load said of itself, `rejects` the rows that it set
//! aside. `verify-keys` has keys and opens no data with them; `verify` reads all of it, and shows no value either.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, StringArray, UInt64Array};
use arrow::record_batch::RecordBatch;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use parcours_tables::snapshot::{DatasetDescription, HistoryEntry, TableDescription};
use parcours_tables::{Catalog, Snapshot, Stores};
use serde::Serialize;
use url::Url;

use super::load_rejects::{self, RejectsArgs};
use super::load_report::{self, ReportArgs};
use super::store::{StoreArgs, location};
use super::verify::{self, VerifyArgs};
use super::verify_keys::{self, VerifyKeysArgs};
use crate::exit::Failure;
use crate::output::{render, say};

/// List and describe loaded datasets, show their history, and check their keys and rows
#[derive(Debug, Args)]
pub struct TablesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List datasets and their newest versions
    List(Place),
    /// Describe a dataset: tables, columns and their classes, shards, rows, bytes
    Describe {
        #[command(flatten)]
        place: Place,
        /// Dataset
        dataset: String,
        /// Version [default: the newest]
        #[arg(long)]
        version: Option<u64>,
    },
    /// Show a dataset's versions, newest first
    History {
        #[command(flatten)]
        place: Place,
        /// Dataset
        dataset: String,
    },
    Report(Box<ReportArgs>),
    Rejects(Box<RejectsArgs>),
    VerifyKeys(Box<VerifyKeysArgs>),
    Verify(Box<VerifyArgs>),
}

#[derive(Debug, Args)]
struct Place {
    /// Where datasets are: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl Place {
    fn open(&self) -> Result<(Url, Arc<Stores>), Failure> {
        Ok((location(&self.location)?, self.store.stores()))
    }
}

/// Runs the command.
pub async fn run(args: TablesArgs) -> Result<(), Failure> {
    match args.action {
        Action::List(place) => list(&place).await,
        Action::Describe {
            place,
            dataset,
            version,
        } => describe(&place, &dataset, version).await,
        Action::History { place, dataset } => history(&place, &dataset).await,
        Action::Report(args) => load_report::run(*args).await,
        Action::Rejects(args) => load_rejects::run(*args).await,
        Action::VerifyKeys(args) => verify_keys::run(*args).await,
        Action::Verify(args) => verify::run(*args).await,
    }
}

async fn list(place: &Place) -> Result<(), Failure> {
    let (url, stores) = place.open()?;
    let catalog = Catalog::discover(&url, &stores)
        .await
        .context("cannot list the datasets")?;
    let datasets: Vec<_> = catalog.datasets().collect();
    if place.json {
        let named = |(dataset, version): &(&str, u64)| serde_json::json!({ "dataset": dataset, "version": version });
        return print_json(&datasets.iter().map(named).collect::<Vec<_>>());
    }
    let names = datasets.iter().map(|(name, _)| *name);
    let versions = datasets.iter().map(|(_, version)| *version);
    show(vec![("dataset", text(names)), ("version", numbers(versions))])
}

async fn describe(place: &Place, dataset: &str, version: Option<u64>) -> Result<(), Failure> {
    let (url, stores) = place.open()?;
    let snapshot = Snapshot::open(&url, dataset, version, &stores)
        .await
        .context("cannot describe the dataset")?;
    let description = snapshot.describe();
    if place.json {
        return print_json(&description);
    }
    say(heading(&description))?;
    show_tables(&description.tables)?;
    description.tables.iter().try_for_each(show_columns)
}

async fn history(place: &Place, dataset: &str) -> Result<(), Failure> {
    let (url, stores) = place.open()?;
    let entries = Snapshot::history(&url, dataset, &stores)
        .await
        .context("cannot read the history")?;
    if place.json {
        return print_json(&entries);
    }
    let created = |entry: &HistoryEntry| entry.created.format("%Y-%m-%d %H:%M:%S").to_string();
    let sources = |entry: &HistoryEntry| entry.added_sources.len() as u64;
    show(vec![
        ("version", numbers(entries.iter().map(|entry| entry.version))),
        ("loaded (UTC)", text(entries.iter().map(created))),
        ("rows", numbers(entries.iter().map(|entry| entry.rows))),
        (
            "bytes",
            text(entries.iter().map(|entry| HumanBytes(entry.bytes).to_string())),
        ),
        ("new sources", numbers(entries.iter().map(sources))),
    ])
}

fn heading(dataset: &DatasetDescription) -> String {
    let DatasetDescription {
        dataset,
        version,
        created,
        patient_id,
        shards,
        split_version,
        ..
    } = dataset;
    let created = created.format("%Y-%m-%d %H:%M:%S UTC");
    let patients = match patient_id.is_empty() {
        true => "no patients".to_owned(),
        false => format!("patients by {patient_id} in {shards} shards (split set {split_version})"),
    };
    format!("{dataset}, version {version}, loaded {created}; {patients}")
}

fn show_tables(tables: &[TableDescription]) -> Result<(), Failure> {
    let shards = |table: &TableDescription| match (
        table.sharded,
        table.rows_by_shard.iter().min().zip(table.rows_by_shard.iter().max()),
    ) {
        (true, Some((least, most))) => format!("{} of {least} to {most} rows", table.rows_by_shard.len()),
        _ => "none".to_owned(),
    };
    show(vec![
        ("table", text(tables.iter().map(|table| table.name.as_str()))),
        ("rows", numbers(tables.iter().map(|table| table.rows))),
        (
            "bytes",
            text(tables.iter().map(|table| HumanBytes(table.bytes).to_string())),
        ),
        ("files", numbers(tables.iter().map(|table| table.files as u64))),
        ("shards", text(tables.iter().map(shards))),
        ("sorted by", text(tables.iter().map(|table| table.sorted_by.join(", ")))),
    ])
}

fn show_columns(table: &TableDescription) -> Result<(), Failure> {
    say(format!("\n{}", table.name))?;
    let columns = &table.columns;
    show(vec![
        ("column", text(columns.iter().map(|column| column.name.as_str()))),
        ("type", text(columns.iter().map(|column| column.data_type.as_str()))),
        (
            "null",
            text(columns.iter().map(|column| if column.nullable { "yes" } else { "no" })),
        ),
        ("class", text(columns.iter().map(|column| column.class.as_str()))),
    ])
}

/// A column of text.
pub fn text<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A column of numbers.
pub fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

/// Prints columns as an aligned table.
pub fn show(columns: Vec<(&str, ArrayRef)>) -> Result<(), Failure> {
    let rows = RecordBatch::try_from_iter(columns).context("cannot lay out the table")?;
    Ok(say(
        render(&rows.schema(), &[rows]).context("cannot lay out the table")?
    )?)
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    Ok(say(serde_json::to_string_pretty(value).context("cannot write json")?)?)
}

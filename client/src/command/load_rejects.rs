//! `parcours tables rejects`: the rows that loads set aside and were told to keep (`parcours load --keep-rejects`), read back
//! for whoever has the dataset's keys. It prints values of patients, and says so.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use parcours_keys::KeyService;
use parcours_tables::load::{KeptReject, rejects};

use super::key_source::KeySource;
use super::store::{StoreArgs, location};
use super::tables::{numbers, print_json, show, text};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Show the rows that loads set aside, with what they hold
///
/// Only loads with --keep-rejects keep them: encrypted with the version, under the key of class identity. What is printed are
/// values of patients.
#[derive(Debug, Args)]
pub struct RejectsArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    /// Version at which they are set aside [default: the newest]
    #[arg(long)]
    version: Option<u64>,
    /// Only those of this table
    #[arg(long)]
    table: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs `parcours tables rejects`.
pub async fn run(args: RejectsArgs) -> Result<(), Failure> {
    let (url, stores) = (location(&args.location)?, args.store.stores());
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let (dataset, version) = (args.dataset.clone(), args.version);
    let found = interruptible(async move {
        let found = rejects(&url, &dataset, version, &stores, &keys).await;
        Ok(found.context("cannot read the rows that were set aside")?)
    });
    let mut rows: Vec<KeptReject> = found.await?;
    rows.retain(|row| args.table.as_ref().is_none_or(|table| row.table == *table));
    match (args.json, rows.is_empty()) {
        (true, _) => print_json(&rows),
        (false, true) => Ok(say(format!(
            "{} keeps no rows that were set aside: parcours load --keep-rejects keeps them",
            args.dataset
        ))?),
        (false, false) => print(&rows),
    }
}

fn print(rows: &[KeptReject]) -> Result<(), Failure> {
    show(vec![
        ("version", numbers(rows.iter().map(|row| row.version))),
        ("table", text(rows.iter().map(|row| row.table.as_str()))),
        ("source", text(rows.iter().map(|row| row.source.as_str()))),
        ("place", text(rows.iter().map(place))),
        (
            "column",
            text(rows.iter().map(|row| row.column.as_deref().unwrap_or_default())),
        ),
        ("reason", text(rows.iter().map(|row| row.reason.as_str()))),
        ("values", text(rows.iter().map(|row| row.values.to_string()))),
    ])
}

fn place(row: &KeptReject) -> String {
    match (row.line, row.row) {
        (Some(line), _) => format!("line {line}"),
        (None, Some(row)) => format!("row {row}"),
        (None, None) => String::new(),
    }
}

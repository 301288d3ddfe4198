//! What a load did, as a page to read and to sign: a line for each table at the end of `parcours load`, then its sources,
//! with the rows that were read and those that were set aside, and its columns. `parcours tables report` shows the same later,
//! as it was kept, encrypted, with the version.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use parcours_keys::KeyService;
use parcours_tables::load::{ColumnReport, LoadReport, SourceReport, TableReport, reports};

use super::key_source::KeySource;
use super::store::{StoreArgs, location};
use super::tables::{numbers, print_json, show, text};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Show the report of the load that made a version
///
/// It says which sources were read, how many of their rows were loaded and set aside, and what the rows have in each column:
/// NULLs, and bounds of columns of class plain. It is kept encrypted with the version, under the key of class identity.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    /// Version [default: the newest that a load made]
    #[arg(long)]
    version: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs `parcours tables report`.
pub async fn run(args: ReportArgs) -> Result<(), Failure> {
    let (url, stores) = (location(&args.location)?, args.store.stores());
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let (dataset, version) = (args.dataset.clone(), args.version);
    let found = interruptible(async move {
        let found = reports(&url, &dataset, version, &stores, &keys).await;
        Ok(found.context("cannot read the report")?)
    });
    let wanted = |report: &LoadReport| version.is_none_or(|version| report.created == Some(version));
    let report = found.await?.into_iter().find(wanted).ok_or_else(|| match version {
        Some(version) => anyhow!(
            "version {version} of {} has no report: no load made it, or an earlier Parcours",
            args.dataset
        ),
        None => anyhow!(
            "no version of {} has a report: earlier Parcours made them",
            args.dataset
        ),
    })?;
    match args.json {
        true => print_json(&report),
        false => print(&report, None),
    }
}

/// Prints a report; `rejects` is where bad rows are listed.
pub fn print(report: &LoadReport, rejects: Option<&Path>) -> Result<(), Failure> {
    match (report.created, report.version) {
        (Some(version), _) => say(format!("loaded {} version {version}", report.dataset)),
        (None, Some(version)) => say(format!("nothing new, {} stays at version {version}", report.dataset)),
        (None, None) => say(format!("nothing to load into {}", report.dataset)),
    }?;
    for table in &report.tables {
        say(format!("  {:24} {}", table.name, line(table)))?;
    }
    if report.created.is_some() {
        let (new, known) = (HumanCount(report.patients.new), HumanCount(report.patients.known));
        say(format!("patients: {new} new, {known} known before"))?;
    }
    if report.rejected > 0 {
        let rows = HumanCount(report.rejected);
        match rejects {
            Some(rejects) => say(format!("{rows} bad rows set aside, see {}", rejects.display())),
            None => say(format!("{rows} bad rows set aside")),
        }?;
    }
    report
        .tables
        .iter()
        .filter(|table| table.loaded > 0)
        .try_for_each(details)
}

fn line(table: &TableReport) -> String {
    let skipped = match table.skipped {
        0 => String::new(),
        count => format!(", {count} sources loaded before"),
    };
    let repeated = match table.repeated {
        0 => String::new(),
        count => format!(", {} of them as another one in every column", HumanCount(count)),
    };
    let anew = if table.replaced { ", built anew" } else { "" };
    let archived = match table.archived.len() {
        0 => String::new(),
        count => format!(", rows of {count} sources stay that are no longer there"),
    };
    let aside = match table.set_aside_before {
        0 => String::new(),
        count => format!(
            ", {} bad rows of earlier loads stay set aside (--replace tries them again)",
            HumanCount(count)
        ),
    };
    let (rows, bytes) = (HumanCount(table.rows), HumanBytes(table.bytes));
    format!(
        "{rows} rows of {} sources in {} files ({bytes}){anew}{archived}{repeated}{skipped}{aside}",
        table.loaded, table.files
    )
}

/// The sources and the columns of a table.
fn details(table: &TableReport) -> Result<(), Failure> {
    let sources = &table.sources;
    say(format!("\n{}", table.name))?;
    show(vec![
        ("source", text(sources.iter().map(|source| source.path.as_str()))),
        ("rows read", numbers(sources.iter().map(|source| source.read))),
        ("loaded", numbers(sources.iter().map(|source| source.loaded))),
        ("set aside", text(sources.iter().map(set_aside))),
    ])?;
    let columns = &table.columns;
    let mut shown = vec![
        ("column", text(columns.iter().map(|column| column.name.as_str()))),
        ("class", text(columns.iter().map(|column| column.class.as_str()))),
        ("type", text(columns.iter().map(|column| column.data_type.as_str()))),
        ("null", text(columns.iter().map(|column| share(column, table.rows)))),
    ];
    if columns.iter().any(|column| column.least.is_some()) {
        let bound = |bound: &Option<String>| bound.clone().unwrap_or_default();
        shown.push(("least", text(columns.iter().map(|column| bound(&column.least)))));
        shown.push(("greatest", text(columns.iter().map(|column| bound(&column.greatest)))));
    }
    show(shown)
}

fn set_aside(source: &SourceReport) -> String {
    let reasons = source.rejected.iter();
    let reasons: Vec<String> = reasons.map(|(reason, rows)| format!("{rows} {reason}")).collect();
    match reasons.is_empty() {
        true => "0".to_owned(),
        false => reasons.join("; "),
    }
}

/// The share of rows in which a column is NULL.
fn share(column: &ColumnReport, rows: u64) -> String {
    match rows {
        0 => String::new(),
        rows => format!("{:.2} %", 100.0 * column.nulls as f64 / rows as f64),
    }
}

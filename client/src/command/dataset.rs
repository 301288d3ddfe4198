//! `parcours dataset`: what a description of a dataset says, before it is loaded.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use parcours_tables::load::{DatasetDiff, LoadOptions, TableDiff, diff};
use parcours_tables::spec::Dataset;

use super::load::{Bar, spinner};
use super::store::{StoreArgs, location};
use super::tables::print_json;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Look at the description of a dataset
#[derive(Debug, Args)]
pub struct DatasetArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Diff(Box<DiffArgs>),
}

/// Show what loading a description would do: sources, how they are read, columns
///
/// Sources are digested, to tell new ones from those that were loaded before; no key is needed, and nothing is written.
#[derive(Debug, Args)]
struct DiffArgs {
    /// File that describes the dataset (TOML)
    dataset: PathBuf,
    /// Where its tables are, or would go: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long, value_name = "URL")]
    into: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(long, short = 'q')]
    quiet: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub async fn run(args: DatasetArgs) -> Result<(), Failure> {
    let Action::Diff(args) = args.action;
    let dataset = Dataset::from_file(&args.dataset).with_context(|| format!("{}", args.dataset.display()))?;
    let (into, stores) = (location(&args.into)?, args.store.stores());
    let bar = spinner(args.quiet);
    let options = LoadOptions {
        progress: Arc::new(Bar::new(bar.clone(), "reading")),
        ..LoadOptions::default()
    };
    let found = interruptible(async move {
        let found = diff(&dataset, &into, &stores, &options).await;
        Ok(found.context("cannot tell what a load would do")?)
    })
    .await;
    bar.finish_and_clear();
    match args.json {
        true => print_json(&found?),
        false => print(&found?),
    }
}

fn print(diff: &DatasetDiff) -> Result<(), Failure> {
    match diff.version {
        Some(version) => say(format!("{}, beside version {version}", diff.dataset)),
        None => say(format!("{}, nothing of which was loaded", diff.dataset)),
    }?;
    diff.tables.iter().try_for_each(table)
}

fn table(diff: &TableDiff) -> Result<(), Failure> {
    let needs = if diff.needs_replace {
        ", only with --replace"
    } else {
        ""
    };
    let (new, known) = (diff.new_sources.len(), diff.known_sources);
    say(format!(
        "{}: {new} new sources, {known} loaded before{needs}",
        diff.table
    ))?;
    let parts: [(&str, &[String]); 5] = [
        ("new", &diff.new_sources),
        ("changed", &diff.changed_sources),
        ("no longer there", &diff.missing_sources),
        ("read otherwise", &diff.reading),
        ("column", &diff.columns),
    ];
    for (what, names) in parts {
        names.iter().try_for_each(|name| say(format!("  {what}: {name}")))?;
    }
    Ok(())
}

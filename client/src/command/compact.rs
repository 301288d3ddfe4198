//! `parcours compact`: merges what loads left in many files, and gives files new data keys. A thin face of
//! `parcours_tables::compact`.

use std::sync::Arc;

use clap::Args;
use indicatif::HumanCount;
use parcours_cluster::bytesize::ByteSize;
use parcours_keys::KeyService;
use parcours_tables::compact::{CompactOptions, CompactReport, CompactedTable, compact};
use parcours_tables::load::LoadOptions;

use super::key_source::KeySource;
use super::load::{Bar, failure, spinner};
use super::store::{StoreArgs, location};
use super::tables::print_json;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Merge a dataset's files into one a shard, in order, under new data keys
///
/// After monthly loads a shard has many files, and queries sort what one file would have in order. Queries and older versions
/// go on as they are; a load meanwhile makes this stop, to be run again. To rotate data keys, write every file anew
/// (--all-files), and let versions that name the old files go later (parcours vacuum --keep-versions).
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    /// This table; may be given several times [default: all]
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Write files anew that are alone in their shard, too, so that all data keys are new
    #[arg(long)]
    all_files: bool,
    /// Memory for writing, at least 64 MiB
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: ByteSize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(long, short = 'q')]
    quiet: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub async fn run(args: CompactArgs) -> Result<(), Failure> {
    let into = location(&args.location)?;
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let bar = spinner(args.quiet);
    let options = CompactOptions {
        all_files: args.all_files,
        tables: args.tables,
        writing: LoadOptions {
            memory_bytes: args.memory.as_usize(),
            progress: Arc::new(Bar::new(bar.clone(), "compacting")),
            ..LoadOptions::default()
        },
    };
    let dataset = args.dataset;
    let done = interruptible(async move {
        let compacted = compact(&into, &dataset, &stores, &keys, &options).await;
        compacted.map_err(failure)
    })
    .await;
    bar.finish_and_clear();
    let report = done?;
    match args.json {
        true => print_json(&report),
        false => Ok(print(&report)?),
    }
}

fn print(report: &CompactReport) -> std::io::Result<()> {
    let (dataset, version) = (&report.dataset, report.version);
    match report.created {
        Some(_) => say(format!("compacted {dataset} into version {version}"))?,
        None => say(format!("nothing to compact, {dataset} stays at version {version}"))?,
    }
    for table in &report.tables {
        say(format!("  {:24} {}", table.name, line(table)))?;
    }
    Ok(())
}

fn line(table: &CompactedTable) -> String {
    match table.written {
        0 => format!("{} files, none written", table.after),
        written => format!(
            "{} files from {}, {written} written with {} rows",
            table.after,
            table.before,
            HumanCount(table.rows)
        ),
    }
}

//! `parcours reshard`: gives a dataset another number of shards. A thin face of `parcours_tables::reshard`.

use std::sync::Arc;

use clap::Args;
use indicatif::HumanCount;
use parcours_cluster::bytesize::ByteSize;
use parcours_keys::KeyService;
use parcours_tables::load::LoadOptions;
use parcours_tables::reshard::{ReshardOptions, ReshardReport, reshard};

use super::key_source::KeySource;
use super::load::{Bar, failure, spinner};
use super::store::{StoreArgs, location};
use super::tables::print_json;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Give a dataset another number of shards, at new split points
///
/// A new version gets every sharded table written anew under new data keys; rows are read as a stream, never sorted, and
/// nothing is spilled. Queries and older versions go on as they are; a load meanwhile makes this stop, to be run again. Later
/// loads need the new number of shards in the dataset's description. The old files go with the versions that name them
/// (parcours vacuum --keep-versions).
#[derive(Debug, Args)]
pub struct ReshardArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    /// Shards to have, 1 to 16384; two to four for each core of the cluster
    #[arg(long, value_name = "COUNT")]
    shards: usize,
    #[command(flatten)]
    keys: KeySource,
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
pub async fn run(args: ReshardArgs) -> Result<(), Failure> {
    let into = location(&args.location)?;
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let bar = spinner(args.quiet);
    let options = ReshardOptions {
        shards: args.shards,
        writing: LoadOptions {
            memory_bytes: args.memory.as_usize(),
            progress: Arc::new(Bar::new(bar.clone(), "resharding")),
            ..LoadOptions::default()
        },
    };
    let dataset = args.dataset;
    let done = interruptible(async move {
        let resharded = reshard(&into, &dataset, &stores, &keys, &options).await;
        resharded.map_err(failure)
    })
    .await;
    bar.finish_and_clear();
    let report = done?;
    match args.json {
        true => print_json(&report),
        false => Ok(print(&report)?),
    }
}

fn print(report: &ReshardReport) -> std::io::Result<()> {
    let ReshardReport {
        dataset,
        version,
        before,
        shards,
        split_version,
        ..
    } = report;
    match report.created {
        None => {
            return say(format!(
                "{dataset} has these {shards} shards already, at version {version}"
            ));
        }
        Some(_) => say(format!(
            "resharded {dataset} from {before} to {shards} shards (split set {split_version}) in version {version}"
        ))?,
    }
    for table in &report.tables {
        let rows = HumanCount(table.rows);
        say(format!(
            "  {:24} {rows} rows in {} files from {}",
            table.name, table.after, table.before
        ))?;
    }
    say(format!(
        "say shards = {shards} in the dataset's description before it is loaded again"
    ))
}

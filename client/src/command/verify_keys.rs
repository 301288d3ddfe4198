//! `parcours tables verify-keys`: whether every data key of a dataset opens with the master keys at hand, and otherwise
//! which files and classes stay closed. No data is opened.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::HumanCount;
use parcours_keys::KeyService;
use parcours_tables::rewrap::{VerifyReport, verify_keys};

use super::key_source::KeySource;
use super::rewrap::{WorkArgs, print_closed};
use super::store::{StoreArgs, location};
use super::tables::print_json;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Check that every key of a dataset's files opens, and list the files and classes that stay closed
///
/// The files are those that any version of the dataset names. Data keys are unwrapped and nothing is read with them. The
/// exit code is 1 when something stays closed.
#[derive(Debug, Args)]
pub struct VerifyKeysArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    #[command(flatten)]
    work: WorkArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub async fn run(args: VerifyKeysArgs) -> Result<(), Failure> {
    let url = location(&args.location)?;
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let (options, bar) = args.work.options("unwrapping keys");
    let dataset = args.dataset.clone();
    let done = interruptible(async move {
        let report = verify_keys(&url, &dataset, &stores, &keys, &options).await;
        Ok(report.context("cannot verify the keys")?)
    })
    .await;
    bar.finish_and_clear();
    let report = done?;
    match args.json {
        true => print_json(&report)?,
        false => print(&report)?,
    }
    match report.closed_files() {
        0 => Ok(()),
        files => Err(anyhow!("{files} files of {} do not open in full", report.dataset).into()),
    }
}

fn print(report: &VerifyReport) -> Result<(), Failure> {
    say(format!(
        "{}: {} keys of {} files open, {} stay closed",
        report.dataset,
        HumanCount(report.opened),
        HumanCount(report.files as u64),
        HumanCount(report.closed.len() as u64),
    ))?;
    print_closed(&report.closed)
}

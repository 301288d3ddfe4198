//! `parcours rewrap`: puts a dataset's files under the current versions of its master keys without touching their data,
//! and tells which versions are still in use. A thin face of `parcours_tables::rewrap`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use parcours_keys::KeyService;
use parcours_tables::Stores;
use parcours_tables::rewrap::{
    ClosedKey, FileProgress, KeyUsage, RewrapOptions, RewrapReport, VersionUse, key_usage, rewrap,
};
use url::Url;

use super::key_source::KeySource;
use super::store::{StoreArgs, location};
use super::tables::{numbers, print_json, show, text};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::{plain, say};

/// Put datasets under the current versions of their master keys, without touching their data
///
/// To rotate a master key: give it a new version (parcours keyring rotate), see to it that every executor holds that
/// version, run this, and look with --check whether an older version is still in use before it is retired (parcours
/// keyring retire). Queries and loads go on meanwhile. A run that was broken off is run again: it goes on where it was.
#[derive(Debug, Args)]
pub struct RewrapArgs {
    /// Datasets
    #[arg(required = true)]
    datasets: Vec<String>,
    /// Where they are: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    /// Change nothing; tell which versions of master keys are in use by how many files
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    work: WorkArgs,
    /// Print JSON, one report a dataset
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// How the work on a dataset's keys is done.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Files in work at once
    #[arg(long, value_name = "FILES", default_value = "8")]
    parallel: NonZeroUsize,
    /// No progress bar
    #[arg(long, short = 'q')]
    quiet: bool,
}

impl WorkArgs {
    /// The options, with a progress bar to be cleared at the end.
    pub fn options(&self, message: &'static str) -> (RewrapOptions, ProgressBar) {
        let bar = match self.quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(0),
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} files {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(message);
        let options = RewrapOptions {
            parallel: self.parallel.get(),
            progress: Arc::new(Bar(bar.clone())),
        };
        (options, bar)
    }
}

/// A progress bar that counts files.
#[derive(Debug)]
struct Bar(ProgressBar);

impl FileProgress for Bar {
    fn files(&self, total: usize) {
        self.0.set_length(total as u64);
    }

    fn file_done(&self) {
        self.0.inc(1);
    }
}

/// Runs the command.
pub async fn run(args: RewrapArgs) -> Result<(), Failure> {
    let url = location(&args.location)?;
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let mut incomplete = 0;
    for dataset in &args.datasets {
        if args.check {
            let usage = usage_of(&url, dataset, &stores, &keys, &args.work).await?;
            match args.json {
                true => print_json(&usage)?,
                false => print_usage(&usage)?,
            }
            continue;
        }
        let report = rewrap_one(&args, dataset, &url, &stores, &keys).await?;
        match args.json {
            true => print_json(&report)?,
            false => print(&report)?,
        }
        incomplete += usize::from(!report.is_complete());
    }
    match incomplete {
        0 => Ok(()),
        _ => Err(anyhow!("some files are still wrapped under other versions, see above").into()),
    }
}

async fn rewrap_one(
    args: &RewrapArgs,
    dataset: &str,
    url: &Url,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
) -> Result<RewrapReport, Failure> {
    let (options, bar) = args.work.options("rewrapping keys");
    let (url, dataset, stores, keys) = (url.clone(), dataset.to_owned(), Arc::clone(stores), Arc::clone(keys));
    let done = interruptible(async move {
        let stopped = || format!("rewrapping {dataset} was stopped; what was done stays done, run it again");
        let report = rewrap(&url, &dataset, &stores, &keys, &options).await;
        Ok(report.with_context(stopped)?)
    })
    .await;
    bar.finish_and_clear();
    done
}

/// Which versions of master keys a dataset needs.
pub async fn usage_of(
    url: &Url,
    dataset: &str,
    stores: &Arc<Stores>,
    keys: &Arc<dyn KeyService>,
    work: &WorkArgs,
) -> Result<KeyUsage, Failure> {
    let (options, bar) = work.options("looking at keys");
    let (url, dataset, stores, keys) = (url.clone(), dataset.to_owned(), Arc::clone(stores), Arc::clone(keys));
    let done = interruptible(async move {
        let refused = || format!("cannot tell which keys {dataset} needs");
        let usage = key_usage(&url, &dataset, &stores, &keys, &options).await;
        Ok(usage.with_context(refused)?)
    })
    .await;
    bar.finish_and_clear();
    done
}

fn print(report: &RewrapReport) -> Result<(), Failure> {
    let RewrapReport { dataset, files, .. } = report;
    say(format!(
        "{dataset}: {} files of versions {}: {} rewrapped ({} keys), {} were current",
        HumanCount(*files as u64),
        versions(&report.versions),
        HumanCount(report.rewrapped as u64),
        HumanCount(report.keys),
        HumanCount(report.current as u64),
    ))?;
    if !report.inside.is_empty() {
        say(format!(
            "{} files hold their key material inside and stay as they are; it moves outside when the dataset is loaded \
             into another folder:",
            report.inside.len()
        ))?;
        report
            .inside
            .iter()
            .try_for_each(|file| say(format!("  {}", plain(file))))?;
    }
    if !report.closed.is_empty() {
        say(format!(
            "{} keys do not open and stay as they are:",
            report.closed.len()
        ))?;
    }
    print_closed(&report.closed)
}

fn print_usage(usage: &KeyUsage) -> Result<(), Failure> {
    let KeyUsage {
        dataset, files, inside, ..
    } = usage;
    say(format!(
        "{dataset}: {} files of versions {}, {inside} of them with their key material inside",
        HumanCount(*files as u64),
        versions(&usage.versions),
    ))?;
    let state = |version: &VersionUse| match version.current {
        Some(true) => "current",
        Some(false) => "old",
        None => "not held",
    };
    let of_all =
        |count: fn(&VersionUse) -> usize| numbers(usage.in_use.iter().map(move |version| count(version) as u64));
    show(vec![
        (
            "master key",
            text(usage.in_use.iter().map(|version| version.master_key.as_str())),
        ),
        ("state", text(usage.in_use.iter().map(state))),
        ("files", of_all(|version| version.files)),
        ("not named by a version", of_all(|version| version.unnamed)),
    ])?;
    if usage.unknown.is_empty() {
        say("no other version is in use")?;
        return Ok(());
    }
    say(format!(
        "{} files do not tell what they need; no version is surely out of use:",
        usage.unknown.len()
    ))?;
    print_closed(&usage.unknown)
}

/// Prints keys that do not open, each with its reason.
pub fn print_closed(closed: &[ClosedKey]) -> Result<(), Failure> {
    for key in closed {
        let part = key.closes.as_deref().unwrap_or("everything");
        let under = key
            .master_key
            .as_ref()
            .map(|id| format!(" under {id}"))
            .unwrap_or_default();
        say(format!(
            "  {} ({part}{under}): {}",
            plain(&key.file),
            plain(&key.reason)
        ))?;
    }
    Ok(())
}

/// Version numbers in words: `1 to 3`.
fn versions(all: &[u64]) -> String {
    match (all.first(), all.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(only), _) => only.to_string(),
        _ => "none".to_owned(),
    }
}

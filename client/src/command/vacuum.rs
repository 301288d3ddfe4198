//! `parcours vacuum`: drops old versions of a dataset, finds what no version of a dataset names, such as the files of loads that died, and removes it when
//! told to.

use std::num::NonZeroUsize;

use anyhow::Context;
use clap::Args;
use indicatif::HumanBytes;
use parcours_tables::vacuum::{VacuumOptions, VacuumReport, vacuum};

use super::store::{StoreArgs, location};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::{plain, say};

/// Drop old versions of a dataset; find, and remove, files that no version names
#[derive(Debug, Args)]
pub struct VacuumArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    /// Remove what is found; without it nothing is touched
    #[arg(long)]
    delete: bool,
    /// Leave alone what is younger than this, as in 12h or 7d; it must be longer than any load takes
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    older_than: u32,
    /// Drop versions but for so many of the newest, once others have followed them for --older-than
    #[arg(long, value_name = "COUNT")]
    keep_versions: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub async fn run(args: VacuumArgs) -> Result<(), Failure> {
    let url = location(&args.location)?;
    let stores = args.store.stores();
    let older_than = chrono::TimeDelta::hours(args.older_than.into());
    let options = VacuumOptions {
        older_than,
        delete: args.delete,
        keep_versions: args.keep_versions,
    };
    let dataset = args.dataset.clone();
    let report = interruptible(async move {
        Ok(vacuum(&url, &dataset, &stores, &options)
            .await
            .context("cannot look for litter")?)
    })
    .await?;
    match args.json {
        true => Ok(say(serde_json::to_string_pretty(&report).context("cannot write json")?)?),
        false => Ok(print(&report)?),
    }
}

fn print(report: &VacuumReport) -> std::io::Result<()> {
    let verb = if report.deleted { "dropped" } else { "could be dropped" };
    for version in &report.versions {
        say(format!("version {version} {verb}"))?;
    }
    for litter in &report.litter {
        let modified = litter.modified.format("%Y-%m-%d %H:%M");
        say(format!(
            "{modified}  {:>10}  {}",
            HumanBytes(litter.size).to_string(),
            plain(&litter.path)
        ))?;
    }
    let (count, bytes) = (report.litter.len(), HumanBytes(report.bytes()));
    match (count, report.deleted) {
        (0, _) => say("nothing to remove")?,
        (_, true) => say(format!("removed {count} files, {bytes}"))?,
        (_, false) => say(format!("{count} files, {bytes}, could be removed with --delete"))?,
    }
    match report.too_young {
        0 => Ok(()),
        young => say(format!("{young} more are too young to judge, see --older-than")),
    }
}

/// An age in whole hours, written `12h` or `7d`.
fn age(text: &str) -> Result<u32, String> {
    let (number, hours) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 24),
        _ => (text, 0),
    };
    let hours = number
        .parse::<u32>()
        .ok()
        .filter(|_| hours > 0)
        .and_then(|number| number.checked_mul(hours));
    hours.ok_or_else(|| "an age is a number of hours or days, as in 12h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_hours_or_days() {
        assert_eq!((age("12h"), age("7d"), age("0h")), (Ok(12), Ok(168), Ok(0)));
        for text in ["", "7", "d", "-1d", "1.5h", "999999999d", "7w"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}

//! `parcours tables verify`: whether every row of a dataset is where its layout promises it, in order, readable, and counted
//! right. A thin face of `parcours_tables::verify`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use parcours_keys::KeyService;
use parcours_tables::verify::{Verified, VerifyOptions, verify};

use super::key_source::KeySource;
use super::load::{Bar, spinner};
use super::store::{StoreArgs, location};
use super::tables::print_json;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::{plain, say};

/// Check every row of a dataset: decryptable, in its shard, in order, counted right
///
/// Queries trust the layout that loading has proven, and check nothing of it. This reads every file of one version under its
/// keys and looks at each row: it has a patient id, of its file's shard, and is not smaller than the row before it; and at
/// what the log says of the file: its size, its rows, bounds of columns. What is wrong is named by file, row group and row,
/// both counted from 1, never by a value. The exit code is 1 when something is.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Dataset
    dataset: String,
    /// Where it is: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long = "in", value_name = "URL")]
    location: String,
    #[command(flatten)]
    keys: KeySource,
    /// Version [default: the newest]
    #[arg(long)]
    version: Option<u64>,
    /// This table; may be given several times [default: all]
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Files read at once [default: the processors, at most 4]
    #[arg(long, value_name = "FILES")]
    parallel: Option<NonZeroUsize>,
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
pub async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let url = location(&args.location)?;
    let stores = args.store.stores();
    let keys: Arc<dyn KeyService> = args.keys.open().await?;
    let bar = spinner(args.quiet);
    let default = VerifyOptions::default();
    let options = VerifyOptions {
        version: args.version,
        tables: args.tables,
        parallel: args.parallel.map_or(default.parallel, NonZeroUsize::get),
        progress: Arc::new(Bar::new(bar.clone(), "verifying")),
    };
    let dataset = args.dataset;
    let done = interruptible(async move {
        let verified = verify(&url, &dataset, &stores, &keys, &options).await;
        Ok(verified.context("cannot verify the rows")?)
    })
    .await;
    bar.finish_and_clear();
    let verified = done?;
    match args.json {
        true => print_json(&verified)?,
        false => print(&verified)?,
    }
    match verified.faulty_files() {
        0 => Ok(()),
        files => Err(anyhow!("{files} files of {} have faults", verified.dataset).into()),
    }
}

fn print(verified: &Verified) -> std::io::Result<()> {
    say(format!("verified {} version {}", verified.dataset, verified.version))?;
    for table in &verified.tables {
        let (rows, bytes) = (HumanCount(table.rows), HumanBytes(table.bytes));
        say(format!(
            "  {:24} {rows} rows in {} files ({bytes})",
            table.name, table.files
        ))?;
    }
    for fault in &verified.faults {
        say(plain(&fault.to_string()))?;
    }
    Ok(())
}

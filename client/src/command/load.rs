//! `parcours load`: reads a dataset's sources and makes one new version of its encrypted tables, or none. A thin face of
//! `parcours_tables::load`; what it adds is the command line, the keyring and the progress bars.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use parcours_cluster::bytesize::ByteSize;
use parcours_keys::KeyService;
use parcours_tables::Stores;
use parcours_tables::load::{LoadError, LoadOptions, LoadReport, Progress, Step};
use parcours_tables::source::RejectLimit;
use parcours_tables::spec::Dataset;
use url::Url;

use super::key_source::KeySource;
use super::load_report;
use super::store::{StoreArgs, location};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::say;

/// Load a dataset's sources into encrypted tables
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// File that describes the dataset (TOML)
    dataset: PathBuf,
    /// Where tables go: a URL (file:///…, s3://bucket/…) or a path
    #[arg(long, value_name = "URL")]
    into: String,
    #[command(flatten)]
    keys: KeySource,
    /// List bad rows in this file and load the others; without it the first bad row stops the load
    #[arg(long, value_name = "FILE")]
    reject_to: Option<PathBuf>,
    /// How many bad rows of a source may be set aside: rows (1000), a share of them (0.5%), or both (0.5%,1000)
    #[arg(long, value_name = "LIMIT", default_value = "1%", requires = "reject_to")]
    reject_limit: RejectLimit,
    /// Keep what bad rows hold with the version, encrypted; `parcours tables rejects` shows it
    #[arg(long, requires = "reject_to")]
    keep_rejects: bool,
    /// Build rows anew from their sources where these, or how the description reads them, have changed, instead of refusing
    #[arg(long)]
    replace: bool,
    /// Leave out the rows of sources that are no longer there, which otherwise stay
    #[arg(long, requires = "replace")]
    forget_missing: bool,
    /// Memory for sorting and writing, at least 64 MiB; what does not fit is spilled, encrypted
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: ByteSize,
    /// Folder for spilled rows [default: one of its own in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(long, short = 'q')]
    quiet: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// A load, ready to be run.
pub struct Load {
    /// What to load.
    pub dataset: Dataset,
    /// Where to.
    pub into: Url,
    /// How places are reached.
    pub stores: Arc<Stores>,
    /// What it is encrypted with.
    pub keys: Arc<dyn KeyService>,
    /// How.
    pub options: LoadOptions,
}

/// Runs the command.
pub async fn run(args: LoadArgs) -> Result<(), Failure> {
    let dataset = Dataset::from_file(&args.dataset).with_context(|| format!("{}", args.dataset.display()))?;
    let into = location(&args.into)?;
    let keys = args.keys.open().await?;
    let bar = spinner(args.quiet);
    let mut options = LoadOptions {
        progress: Arc::new(Bar::new(bar.clone(), "loading")),
        ..LoadOptions::default()
    };
    (options.memory_bytes, options.replace) = (args.memory.as_usize(), args.replace);
    options.forget_missing = args.forget_missing;
    (options.reject_to, options.reject_limit) = (args.reject_to.clone(), args.reject_limit);
    options.keep_rejects = args.keep_rejects;
    options.spill_dir = args.spill_dir.clone().unwrap_or(options.spill_dir);
    let load = Load {
        dataset,
        into,
        stores: args.store.stores(),
        keys,
        options,
    };
    let done = interruptible(load.run()).await;
    bar.finish_and_clear();
    // What a job prints goes into its log: values are for who opens the report that was kept.
    let report = done?.without_values();
    match args.json {
        true => Ok(say(
            serde_json::to_string_pretty(&report).context("cannot write the report")?
        )?),
        false => Ok(load_report::print(&report, args.reject_to.as_deref())?),
    }
}

impl Load {
    /// Runs it to its end.
    pub async fn run(self) -> Result<LoadReport, Failure> {
        let Self {
            dataset,
            into,
            stores,
            keys,
            options,
        } = self;
        let loaded = parcours_tables::load::load(&dataset, &into, &stores, &keys, &options).await;
        loaded.map_err(failure)
    }
}

/// The bar of a long command; none to be seen if it is to be quiet.
pub fn spinner(quiet: bool) -> ProgressBar {
    match quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new_spinner(),
    }
}

/// A wrong option is a mistake of usage; anything else failed.
pub fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::Option { .. } => Failure::Usage(error.to_string()),
        error => Failure::Failed(anyhow!(error)),
    }
}

/// A progress bar that a load, or another work on tables, moves.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    /// What is done to tables, as in `loading`.
    doing: &'static str,
}

impl Bar {
    /// Moves `bar`, which says what is being done to which table.
    pub fn new(bar: ProgressBar, doing: &'static str) -> Self {
        Self { bar, doing }
    }
}

impl Progress for Bar {
    fn step(&self, step: &Step) {
        let (message, bytes) = match step {
            Step::Digest { bytes } => ("looking at sources".to_owned(), *bytes),
            Step::Sample { bytes } => ("choosing split points".to_owned(), *bytes),
            Step::Table { name, bytes } => (format!("{} {name}", self.doing), *bytes),
            Step::Publish => ("publishing".to_owned(), 0),
        };
        let template = match bytes {
            0 => "{spinner} {msg} {elapsed}",
            _ => "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_length(bytes);
        self.bar.set_position(0);
        self.bar.set_message(message);
        self.bar.enable_steady_tick(std::time::Duration::from_millis(120));
    }

    fn read(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn written(&self, _rows: u64) {}
}

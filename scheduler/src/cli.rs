//! The arguments of `parcours scheduler`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use parcours_cluster::{config, config::Layers, logging, shutdown};

use crate::config::{Config, ENVIRONMENT_PREFIX};

/// Runs a scheduler until it is asked to stop.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// TOML file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides one key, for example `--set limits.query_seconds=600`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Prints the effective configuration, secrets blanked, and ends.
    #[arg(long)]
    pub dump_config: bool,
    /// Stops when standard input ends, so that a parent which dies leaves no process behind.
    #[arg(long)]
    pub exit_with_stdin: bool,
    /// Writes logs as JSON lines.
    #[arg(long)]
    pub log_json: bool,
}

/// Reads the configuration and runs the scheduler.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let layers = Layers::read(
        args.config.as_deref(),
        ENVIRONMENT_PREFIX,
        std::env::vars(),
        &args.overrides,
    )?;
    let options: Config = layers.parse()?;
    if args.dump_config {
        print!("{}", config::dump(&options)?);
        return Ok(());
    }
    logging::start(args.log_json);
    crate::run(options, shutdown::requested(args.exit_with_stdin)).await
}

//! `parcours scheduler`, `parcours executor` and `parcours keyd`: the processes of a cluster, run by their own crates, with the same
//! arguments and the same layers of configuration.

use std::path::PathBuf;

use anyhow::Context;
use parcours_cluster::{config, config::Layers, logging, shutdown};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Failure;

/// The arguments of a process of the cluster.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// TOML file with the configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides one key, for example `--set listen.health=127.0.0.1:9090`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Prints the effective configuration, secrets blanked, and ends.
    #[arg(long)]
    dump_config: bool,
    /// Stops when standard input ends, so that a parent which dies leaves no process behind.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Writes logs as JSON lines.
    #[arg(long)]
    log_json: bool,
}

impl NodeArgs {
    /// The configuration to run with; none if it was only to be printed.
    fn configuration<C: DeserializeOwned + Serialize>(&self, prefix: &str) -> anyhow::Result<Option<C>> {
        let layers = Layers::read(self.config.as_deref(), prefix, std::env::vars(), &self.overrides)?;
        let options: C = layers.parse()?;
        if self.dump_config {
            print!(
                "{}",
                config::dump(&options).context("the configuration cannot be printed")?
            );
            return Ok(None);
        }
        logging::start(self.log_json);
        Ok(Some(options))
    }
}

/// Runs a scheduler until it is asked to stop.
pub async fn scheduler(args: NodeArgs) -> Result<(), Failure> {
    if let Some(config) = args.configuration(parcours_scheduler::config::ENVIRONMENT_PREFIX)? {
        parcours_scheduler::run(config, shutdown::requested(args.exit_with_stdin)).await?;
    }
    Ok(())
}

/// Runs an executor until it is asked to stop.
pub async fn executor(args: NodeArgs) -> Result<(), Failure> {
    if let Some(config) = args.configuration(parcours_executor::config::ENVIRONMENT_PREFIX)? {
        parcours_executor::run(config, shutdown::requested(args.exit_with_stdin)).await?;
    }
    Ok(())
}

/// Runs a key daemon until it is asked to stop.
pub async fn keyd(args: NodeArgs) -> Result<(), Failure> {
    if let Some(config) = args.configuration(parcours_keyd::config::ENVIRONMENT_PREFIX)? {
        parcours_keyd::run(config, shutdown::requested(args.exit_with_stdin)).await?;
    }
    Ok(())
}

//! The commands, one module each, and the line that leads to them.

#[cfg(feature = "local")]
mod compact;
mod completions;
mod connect;
#[cfg(feature = "local")]
mod dataset;
#[cfg(feature = "local")]
mod demo;
#[cfg(feature = "local")]
mod doctor;
mod key_source;
mod keyring;
#[cfg(feature = "local")]
mod load;
#[cfg(feature = "local")]
mod load_rejects;
#[cfg(feature = "local")]
mod load_report;
#[cfg(feature = "local")]
mod node;
mod pki;
#[cfg(feature = "local")]
mod reshard;
#[cfg(feature = "local")]
mod retire;
#[cfg(feature = "local")]
mod rewrap;
pub mod sql;
#[cfg(feature = "local")]
mod store;
#[cfg(feature = "local")]
mod tables;
#[cfg(feature = "local")]
mod vacuum;
#[cfg(feature = "local")]
mod verify;
#[cfg(feature = "local")]
mod verify_keys;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// Query clusters of encrypted care pathways, and look after them
#[derive(Debug, Parser)]
#[command(name = "parcours", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sql(Box<sql::SqlArgs>),
    #[cfg(feature = "local")]
    Demo(demo::DemoArgs),
    #[cfg(feature = "local")]
    Load(Box<load::LoadArgs>),
    #[cfg(feature = "local")]
    Dataset(dataset::DatasetArgs),
    #[cfg(feature = "local")]
    Tables(Box<tables::TablesArgs>),
    #[cfg(feature = "local")]
    Vacuum(Box<vacuum::VacuumArgs>),
    #[cfg(feature = "local")]
    Compact(Box<compact::CompactArgs>),
    #[cfg(feature = "local")]
    Reshard(Box<reshard::ReshardArgs>),
    #[cfg(feature = "local")]
    Rewrap(Box<rewrap::RewrapArgs>),
    /// Runs a scheduler until it is asked to stop.
    #[cfg(feature = "local")]
    Scheduler(node::NodeArgs),
    /// Runs an executor until it is asked to stop.
    #[cfg(feature = "local")]
    Executor(node::NodeArgs),
    /// Runs a key daemon, which alone holds master keys, until it is asked to stop.
    #[cfg(feature = "local")]
    Keyd(node::NodeArgs),
    #[cfg(feature = "local")]
    Doctor(doctor::DoctorArgs),
    Pki(pki::PkiArgs),
    Keyring(Box<keyring::KeyringArgs>),
    Completions(completions::CompletionsArgs),
}

/// Runs the command.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Sql(args) => sql::run(*args).await,
        #[cfg(feature = "local")]
        Command::Demo(args) => demo::run(args).await,
        #[cfg(feature = "local")]
        Command::Load(args) => load::run(*args).await,
        #[cfg(feature = "local")]
        Command::Dataset(args) => dataset::run(args).await,
        #[cfg(feature = "local")]
        Command::Tables(args) => tables::run(*args).await,
        #[cfg(feature = "local")]
        Command::Vacuum(args) => vacuum::run(*args).await,
        #[cfg(feature = "local")]
        Command::Compact(args) => compact::run(*args).await,
        #[cfg(feature = "local")]
        Command::Reshard(args) => reshard::run(*args).await,
        #[cfg(feature = "local")]
        Command::Rewrap(args) => rewrap::run(*args).await,
        #[cfg(feature = "local")]
        Command::Scheduler(args) => node::scheduler(args).await,
        #[cfg(feature = "local")]
        Command::Executor(args) => node::executor(args).await,
        #[cfg(feature = "local")]
        Command::Keyd(args) => node::keyd(args).await,
        #[cfg(feature = "local")]
        Command::Doctor(args) => doctor::run(&args),
        Command::Pki(args) => pki::run(args),
        Command::Keyring(args) => keyring::run(*args).await,
        Command::Completions(args) => completions::run(&args),
    }
}

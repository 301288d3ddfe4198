//! `parcours scheduler` and `parcours executor`: the two processes of a cluster, run by their own crates.

use crate::exit::Failure;

/// Runs a scheduler until it is asked to stop.
pub async fn scheduler(args: parcours_scheduler::cli::Args) -> Result<(), Failure> {
    Ok(parcours_scheduler::cli::run(args).await?)
}

/// Runs an executor until it is asked to stop.
pub async fn executor(args: parcours_executor::cli::Args) -> Result<(), Failure> {
    Ok(parcours_executor::cli::run(args).await?)
}

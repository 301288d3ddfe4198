//! From the first instruction to the exit code: what has to be so before any command runs, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::{command, residue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the command that the arguments name.
pub fn start() -> ExitCode {
    if let Err(error) = residue::leave_none() {
        eprintln!("error: core dumps cannot be turned off: {error}");
        return ExitCode::FAILURE;
    }
    parcours_identity::install_crypto_provider();
    let cli = command::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(command::run(cli));
    // Long enough for cancelled calls to say so to the scheduler; a blocked thread does not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}

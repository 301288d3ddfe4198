//! From the first instruction to the exit code: what has to be so before any command runs, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::{command, residue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bytes of stack of a thread, of which only what is used takes memory. A plan of hundreds of joins is a tree as deep.
const STACK: usize = 32 << 20;

/// Runs the command that the arguments name.
pub fn start() -> ExitCode {
    if let Err(error) = residue::leave_none() {
        eprintln!("error: core dumps cannot be turned off: {error}");
        return ExitCode::FAILURE;
    }
    parcours_identity::install_crypto_provider();
    let cli = command::Cli::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_stack_size(STACK).build() {
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

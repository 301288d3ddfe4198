//! The command line `parcours`: parses, runs one command, and ends with its exit code. Each command is a module of
//! `command/`; what programs use instead of it is the library of the same package.

mod command;
mod exit;
mod interrupt;
mod output;
mod residue;
mod shell;
mod statements;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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

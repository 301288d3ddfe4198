//! `parcours-plain`: the same program, but files and partitions are written in clear, to measure what encryption costs.
//! Connections stay under mTLS. It knows the demo's generated patients only: no command of it loads anything else.

mod command;
mod exit;
mod interrupt;
mod output;
mod residue;
mod shell;
mod start;
mod statements;

use std::process::ExitCode;

/// The demo, and the processes that it starts.
const COMMANDS: [&str; 4] = ["demo", "scheduler", "executor", "keyd"];

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if !COMMANDS.contains(&command.as_str()) {
        eprintln!(
            "error: parcours-plain writes in clear, to be measured: it knows only `demo`, with generated patients"
        );
        return ExitCode::FAILURE;
    }
    eprintln!("parcours-plain writes files and partitions in clear, to be measured: never give it anyone's data");
    start::start()
}

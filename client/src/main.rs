//! The command line `parcours`: parses, runs one command, and ends with its exit code. Each command is a module of
//! `command/`; what programs use instead of it is the library of the same package.

#[cfg(feature = "measure-plain")]
compile_error!("what writes in clear is not called parcours: build with --bin parcours-plain, without --all-features");

mod command;
mod exit;
mod interrupt;
mod output;
mod residue;
mod shell;
mod start;
mod statements;

fn main() -> std::process::ExitCode {
    start::start()
}

//! How a command ends: what it prints last, and the exit code that scripts see. 0 is success, 1 a query or command that
//! failed, 2 wrong usage, 130 an interruption.

use std::process::ExitCode;

use parcours::{ClientError, ProfileError};

use crate::output::{OutputError, plain};

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a configuration file is wrong.
    Usage(String),
    /// Ctrl-C, or a request to terminate.
    Interrupted,
    /// The reader of our output has gone: nothing more to say, and nothing went wrong.
    ReaderGone,
    /// Everything else.
    Failed(anyhow::Error),
}

impl Failure {
    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// Prints what is to be said on standard error. Servers' sentences are shown without control characters.
    pub fn report(&self) {
        match self {
            Failure::Usage(message) => eprintln!("error: {}", lines(message)),
            Failure::Failed(error) => eprintln!("error: {}", lines(&format!("{error:#}"))),
            Failure::Interrupted => eprintln!("interrupted"),
            Failure::ReaderGone => {}
        }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Interrupted => 130,
            Failure::ReaderGone => 0,
        })
    }
}

/// Line breaks are kept: parsers point at columns of lines.
fn lines(message: &str) -> String {
    message.lines().map(plain).collect::<Vec<_>>().join("\n")
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Profile(error) => error.into(),
            error => Failure::Failed(error.into()),
        }
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        if error.is_broken_pipe() {
            Failure::ReaderGone
        } else {
            Failure::Failed(error.into())
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        OutputError::from(error).into()
    }
}

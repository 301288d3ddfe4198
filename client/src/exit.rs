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
            Failure::Failed(error) => eprintln!("error: {}", lines(&told(error))),
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

/// An error and its causes, without saying twice what one of them repeats of the next.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() || cause.starts_with(&told) {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chain(texts: &[&'static str]) -> anyhow::Error {
        let (first, rest) = texts.split_first().unwrap();
        let innermost = anyhow::Error::msg(*first);
        rest.iter().fold(innermost, |error, text| error.context(*text))
    }

    #[test]
    fn what_causes_repeat_is_said_once() {
        assert_eq!(
            told(&chain(&["no space", "cannot write a.csv"])),
            "cannot write a.csv: no space"
        );
        let repeated = chain(&[
            "no space",
            "cannot write a.csv: no space",
            "table t: cannot write a.csv: no space",
        ]);
        assert_eq!(told(&repeated), "table t: cannot write a.csv: no space");
        assert_eq!(
            told(&chain(&["d.toml: line 3: no class", "d.toml"])),
            "d.toml: line 3: no class"
        );
    }
}

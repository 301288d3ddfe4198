//! `parcours sql`: runs statements given on the command line, in a file or on standard input, or opens the shell.

mod execute;
mod parameters;
mod progress;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use parcours::{Connection, Parameter};

use crate::command::connect::ConnectArgs;
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::{Destination, Format, Layout};
use crate::{shell, statements};

pub use execute::{Request, execute};

/// Query a cluster: one statement, a file of them, or an interactive shell
#[derive(Debug, Args)]
pub struct SqlArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Statements to run, separated by semicolons
    #[arg(long, short = 'c', value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// File of statements to run; - is standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of results [default: by the extension of -o, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the result to a file, readable by you alone, which appears when it is whole
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Value of a placeholder, as in --param 1=2016-01-31 for $1; without = it is NULL. May be repeated
    #[arg(long = "param", value_name = "N=VALUE")]
    parameters: Vec<String>,
    /// Rows a table shows; the others are counted. 0 shows all
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    max_rows: usize,
    /// No spinner and no row counts on standard error or under tables
    #[arg(long, short = 'q')]
    quiet: bool,
}

/// Runs the command.
pub async fn run(args: SqlArgs) -> Result<(), Failure> {
    match args.script()? {
        Some(text) => args.run_script(&text).await,
        None => args.run_shell().await,
    }
}

impl SqlArgs {
    /// The statements to run; `None` when a person is to type them.
    fn script(&self) -> Result<Option<String>, Failure> {
        match (&self.command, &self.file) {
            (Some(text), _) => Ok(Some(text.clone())),
            (None, Some(path)) if path != Path::new("-") => {
                let unreadable = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
                std::fs::read_to_string(path).map(Some).map_err(unreadable)
            }
            (None, None) if std::io::stdin().is_terminal() => Ok(None),
            _ => {
                let mut text = String::new();
                let unreadable = |error| Failure::Usage(format!("cannot read standard input: {error}"));
                std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
                Ok(Some(text))
            }
        }
    }

    async fn run_script(&self, text: &str) -> Result<(), Failure> {
        let script = statements::split(text);
        if let Some(open) = script.open {
            return Err(Failure::Usage(format!("the statements end inside an open {open}")));
        }
        let mut all = script.complete;
        all.extend((!script.rest.is_empty()).then_some(script.rest));
        let parameters = parameters::parse(&self.parameters)?;
        self.check(all.len(), &parameters)?;
        let profile = self.connect.profile()?.profile;
        let connection = interruptible(async move { Ok(Connection::open(&profile).await?) }).await?;
        let mut to = self.destination()?;
        for statement in all {
            let request = self.request(statement, parameters.clone());
            to = interruptible(execute(connection.clone(), request, to)).await?;
        }
        Ok(to.keep()?)
    }

    fn destination(&self) -> Result<Destination, Failure> {
        let Some(path) = &self.output else {
            return Ok(Destination::standard());
        };
        Destination::file(path).map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
    }

    fn request(&self, statement: &str, parameters: Vec<Parameter>) -> Request {
        Request {
            sql: statement.to_owned(),
            parameters,
            format: self.format(),
            layout: self.layout(),
            progress: !self.quiet,
        }
    }

    /// What no run should find out only after a long query.
    fn check(&self, statements: usize, parameters: &[Parameter]) -> Result<(), Failure> {
        let format = self.format();
        if statements == 0 {
            return Err(Failure::usage("no statement to run"));
        }
        if statements > 1 && !parameters.is_empty() {
            return Err(Failure::usage("--param goes with one statement only"));
        }
        if statements > 1 && format.is_binary() {
            return Err(Failure::usage(
                "arrow and parquet hold the result of one statement only",
            ));
        }
        if format.is_binary() && self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage("arrow and parquet are not for a terminal, use -o FILE"));
        }
        Ok(())
    }

    fn format(&self) -> Format {
        let extension = self
            .output
            .as_deref()
            .and_then(Path::extension)
            .and_then(|extension| extension.to_str());
        self.format.unwrap_or(match extension {
            Some("csv") => Format::Csv,
            Some("jsonl" | "ndjson") => Format::Jsonl,
            Some("arrow" | "feather") => Format::Arrow,
            Some("parquet") => Format::Parquet,
            _ => Format::Table,
        })
    }

    fn layout(&self) -> Layout {
        Layout {
            max_rows: (self.max_rows > 0).then_some(self.max_rows),
            footer: !self.quiet,
        }
    }

    async fn run_shell(&self) -> Result<(), Failure> {
        if !self.parameters.is_empty() || self.output.is_some() {
            return Err(Failure::usage(
                "--param and -o go with -c or -f, not with the interactive shell",
            ));
        }
        let format = self.format();
        if format.is_binary() {
            return Err(Failure::usage(
                "arrow and parquet are not for a terminal, use -c and -o FILE",
            ));
        }
        let named = self.connect.profile()?;
        let profile = named.profile.clone();
        let connection = interruptible(async move { Ok(Connection::open(&profile).await?) }).await?;
        let settings = shell::Settings {
            format,
            layout: self.layout(),
            timing: false,
            progress: !self.quiet,
        };
        shell::run(connection, named, settings).await
    }
}

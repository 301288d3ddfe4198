//! The interactive shell of `parcours sql`: statements over several lines, completion, history, and commands that begin
//! with a backslash. Ctrl-C cancels the query that runs, or the line being typed, and never the shell.

mod completion;
mod history;
mod meta;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use parcours::{Catalog, Connection, NamedProfile, Table};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::command::sql::{Request, execute};
use crate::exit::Failure;
use crate::interrupt::interruptible;
use crate::output::{Destination, Format, Layout, render, say};
use crate::statements;

use completion::SqlHelper;
use history::History;
use meta::Meta;

/// How the shell shows results; its commands change it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Format of results.
    pub format: Format,
    /// How tables are laid out.
    pub layout: Layout,
    /// Whether each result is followed by the time it took.
    pub timing: bool,
    /// Whether running queries show a spinner.
    pub progress: bool,
}

struct Shell {
    connection: Connection,
    editor: Editor<SqlHelper, DefaultHistory>,
    history: History,
    settings: Settings,
}

/// Runs the shell until `\q` or the end of input.
pub async fn run(connection: Connection, profile: NamedProfile, settings: Settings) -> Result<(), Failure> {
    let mut shell = Shell::open(connection, &profile, settings)?;
    shell.refresh_catalog().await?;
    say(format!(
        "Parcours {}, connected to {}",
        env!("CARGO_PKG_VERSION"),
        profile.profile.uri
    ))?;
    say(format!(
        "{} tables. \\? for help, \\q to quit.",
        shell.catalog().tables.len()
    ))?;
    while let Some(input) = shell.read()? {
        if shell.take(&input).await == Next::Quit {
            break;
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Next {
    Read,
    Quit,
}

impl Shell {
    fn open(connection: Connection, profile: &NamedProfile, settings: Settings) -> Result<Self, Failure> {
        let config = Config::builder()
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config).context("cannot open the terminal")?;
        editor.set_helper(Some(SqlHelper::default()));
        let history = History::of(profile)?;
        history.load(&mut editor)?;
        Ok(Self {
            connection,
            editor,
            history,
            settings,
        })
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.editor.helper().map(SqlHelper::catalog).unwrap_or_default()
    }

    async fn refresh_catalog(&mut self) -> Result<(), Failure> {
        let connection = self.connection.clone();
        let catalog = interruptible(async move { Ok(connection.catalog().await?) }).await?;
        if let Some(helper) = self.editor.helper_mut() {
            helper.replace(catalog);
        }
        Ok(())
    }

    /// The next complete input; `None` at the end. Ctrl-C drops what was typed and asks again.
    fn read(&mut self) -> Result<Option<String>, Failure> {
        loop {
            match tokio::task::block_in_place(|| self.editor.readline("parcours> ")) {
                Ok(input) if input.trim().is_empty() => {}
                Ok(input) => {
                    self.history.add(&mut self.editor, &input)?;
                    return Ok(Some(input));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => {
                    return Err(anyhow::Error::new(error)
                        .context("cannot read from the terminal")
                        .into());
                }
            }
        }
    }

    /// Does what was asked; whatever fails is said, and the shell goes on.
    async fn take(&mut self, input: &str) -> Next {
        let done = match input.trim().strip_prefix('\\') {
            Some(command) => match Meta::parse(command) {
                Ok(Meta::Quit) => return Next::Quit,
                Ok(command) => self.obey(command).await,
                Err(message) => Err(Failure::Usage(message)),
            },
            None => self.run_statements(input).await,
        };
        if let Err(failure) = done {
            failure.report();
        }
        Next::Read
    }

    async fn run_statements(&mut self, input: &str) -> Result<(), Failure> {
        for statement in statements::split(input).complete {
            let request = Request {
                sql: statement.to_owned(),
                parameters: Vec::new(),
                format: self.settings.format,
                layout: self.settings.layout,
                progress: self.settings.progress,
            };
            let started = Instant::now();
            interruptible(execute(self.connection.clone(), request, Destination::standard())).await?;
            if self.settings.timing {
                say(format!("Time: {:.1} ms", started.elapsed().as_secs_f64() * 1000.0))?;
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: Meta) -> Result<(), Failure> {
        match command {
            Meta::Tables => {
                self.refresh_catalog().await?;
                show(&table_list(&self.catalog())?)
            }
            Meta::Describe(name) => {
                self.refresh_catalog().await?;
                let catalog = self.catalog();
                let mut found = catalog.find(&name).peekable();
                if found.peek().is_none() {
                    return Err(Failure::Usage(format!("no table {name}, \\d lists them")));
                }
                found.try_for_each(describe)
            }
            Meta::Timing(wanted) => {
                self.settings.timing = wanted.unwrap_or(!self.settings.timing);
                say(format!(
                    "Timing is {}.",
                    if self.settings.timing { "on" } else { "off" }
                ))?;
                Ok(())
            }
            Meta::Format(format) => {
                self.settings.format = format;
                Ok(())
            }
            Meta::Help => Ok(say(meta::HELP.trim_end())?),
            Meta::Quit => Ok(()),
        }
    }
}

fn describe(table: &Table) -> Result<(), Failure> {
    say(format!("{} ({})", table.qualified(), table.kind.to_lowercase()))?;
    let fields = table.columns.fields();
    let names = StringArray::from_iter_values(fields.iter().map(|field| field.name().as_str()));
    let types = StringArray::from_iter_values(fields.iter().map(|field| field.data_type().to_string()));
    let nullable = fields
        .iter()
        .map(|field| if field.is_nullable() { "yes" } else { "no" });
    let nullable = StringArray::from_iter_values(nullable);
    let rows = RecordBatch::try_from_iter(vec![
        ("column", Arc::new(names) as ArrayRef),
        ("type", Arc::new(types)),
        ("null", Arc::new(nullable)),
    ]);
    show(&rows.context("cannot list the columns")?)
}

fn table_list(catalog: &Catalog) -> Result<RecordBatch, Failure> {
    let names = StringArray::from_iter_values(catalog.tables.iter().map(Table::qualified));
    let kinds = StringArray::from_iter_values(catalog.tables.iter().map(|table| table.kind.to_lowercase()));
    let columns = catalog.tables.iter().map(|table| table.columns.fields().len() as u64);
    let columns = arrow::array::UInt64Array::from_iter_values(columns);
    let rows = RecordBatch::try_from_iter(vec![
        ("table", Arc::new(names) as ArrayRef),
        ("kind", Arc::new(kinds)),
        ("columns", Arc::new(columns)),
    ]);
    Ok(rows.context("cannot list the tables")?)
}

fn show(rows: &RecordBatch) -> Result<(), Failure> {
    let text = render(&rows.schema(), std::slice::from_ref(rows)).context("cannot show the table")?;
    Ok(say(text)?)
}

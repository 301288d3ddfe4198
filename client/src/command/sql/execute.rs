//! One statement from question to written answer. Dropping the future cancels the query and removes a file that is not
//! whole yet.

use futures::TryStreamExt;
use parcours::{Connection, Parameter, RecordBatchStream};

use super::progress::Progress;
use crate::exit::Failure;
use crate::output::{self, Destination, Format, Layout};

/// A statement and how its result is wanted.
pub struct Request {
    /// The statement, without its semicolon.
    pub sql: String,
    /// Values of its placeholders.
    pub parameters: Vec<Parameter>,
    /// Format of the result.
    pub format: Format,
    /// How a table is laid out.
    pub layout: Layout,
    /// Whether to show progress on a terminal.
    pub progress: bool,
}

/// Runs the statement and writes its result. The destination is handed back, for the next result or to be kept.
pub async fn execute(connection: Connection, request: Request, to: Destination) -> Result<Destination, Failure> {
    let progress = Progress::start(request.progress, "running");
    let batches = ask(&connection, &request).await?;
    let shares_terminal = to.is_terminal();
    let mut sink = output::sink(request.format, batches.schema(), to, request.layout)?;
    let mut batches = std::pin::pin!(batches);
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
        progress.rows(rows);
        if shares_terminal {
            progress.clear();
        }
        sink.write(&batch)?;
    }
    progress.clear();
    Ok(sink.finish()?)
}

async fn ask(connection: &Connection, request: &Request) -> Result<RecordBatchStream, Failure> {
    let sql = request.sql.as_str();
    Ok(match request.parameters.as_slice() {
        [] => connection.query(sql).await?,
        parameters => connection.query_with(sql, parameters).await?,
    })
}

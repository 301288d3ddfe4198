//! What tests of functions share: a session that has them, and its answers as text.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{aggregate_functions, scalar_functions};

/// Returns a session with the functions.
pub(super) fn session(partitions: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(7);
    let session = SessionContext::new_with_config(config);
    scalar_functions()
        .iter()
        .for_each(|function| session.register_udf(function.as_ref().clone()));
    aggregate_functions()
        .iter()
        .for_each(|function| session.register_udaf(function.as_ref().clone()));
    session
}

/// Registers a table whose rows are spread over partitions one by one.
pub(super) fn spread(session: &SessionContext, name: &str, rows: &RecordBatch, partitions: usize) -> Result<()> {
    let mut parts = vec![Vec::new(); partitions];
    for row in 0..rows.num_rows() {
        parts[row % partitions].push(rows.slice(row, 1));
    }
    session.deregister_table(name)?;
    session.register_table(name, Arc::new(MemTable::try_new(rows.schema(), parts)?))?;
    Ok(())
}

/// Returns the rows of an answer, each as its values with commas between them; or what the error says.
pub(super) async fn answer(session: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let plan = session.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = plan.collect().await.map_err(|error| error.to_string())?;
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join(","));
        }
    }
    Ok(rows)
}

/// Returns the rows of an answer, which there has to be.
pub(super) async fn found(session: &SessionContext, sql: &str) -> Vec<String> {
    let answer = answer(session, sql).await;
    assert!(answer.is_ok(), "{sql}: {answer:?}");
    answer.unwrap_or_default()
}

/// Asserts what a statement of one row answers, by itself.
pub(super) async fn answers(sql: &str, expected: &str) {
    assert_eq!(answer(&session(3), sql).await, Ok(vec![expected.to_owned()]), "{sql}");
}

/// Asserts that a statement is refused, with these words among others.
pub(super) async fn refused(sql: &str, words: &str) {
    let answer = answer(&session(3), sql).await;
    assert!(
        answer.as_ref().is_err_and(|error| error.contains(words)),
        "{sql}: {answer:?}"
    );
}

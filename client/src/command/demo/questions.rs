//! The demo's research questions, asked over the wire as any client asks them, each answered with a table.

use std::time::Instant;

use anyhow::Context;
use futures::TryStreamExt;
use parcours::Connection;
use parcours_synthetic::queries;
use serde::Serialize;

use super::steps::Steps;
use crate::exit::Failure;
use crate::output::render;

/// Rows of a result that are shown.
const SHOWN: usize = 20;

/// What a question came to.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// Short name of the question.
    pub name: &'static str,
    /// Title of its answer.
    pub title: &'static str,
    /// Rows of the answer.
    pub rows: usize,
    /// From asking to the last row.
    pub seconds: f64,
}

/// Asks all of them.
pub async fn ask(connection: &Connection, steps: &Steps) -> Result<Vec<Answer>, Failure> {
    let mut answers = Vec::new();
    for query in queries::demo() {
        let started = Instant::now();
        let step = steps.begin(query.title);
        let stream = connection.query(query.sql).await?;
        let schema = stream.schema();
        let batches: Vec<_> = stream.try_collect().await?;
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        let seconds = started.elapsed().as_secs_f64();
        step.end(&format!("{}: {}", query.title, query.question));
        let all = arrow::compute::concat_batches(&schema, &batches).context("cannot join the batches of an answer")?;
        let shown = all.slice(0, rows.min(SHOWN));
        steps.say(&render(&schema, &[shown]).context("cannot show an answer")?);
        if rows > SHOWN {
            steps.say(&format!("({SHOWN} of {rows} rows shown)"));
        }
        answers.push(Answer {
            name: query.name,
            title: query.title,
            rows,
            seconds,
        });
    }
    Ok(answers)
}

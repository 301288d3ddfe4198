//! Statements with subqueries against DuckDB's answers: `cases.txt` holds statements over `tables.sql`, and what DuckDB 2.0
//! answered to each of them.

mod plans;
mod single_row;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{subquery_functions, subquery_rules};

/// The tables of the statements.
async fn session() -> Result<SessionContext> {
    // As Ballista has it: uncorrelated subqueries are none of the executors' business.
    let mut config = SessionConfig::new().with_target_partitions(3);
    config
        .options_mut()
        .optimizer
        .enable_physical_uncorrelated_scalar_subquery = false;
    let mut builder = SessionStateBuilder::new().with_default_features().with_config(config);
    for rule in subquery_rules(single_row::single_row()) {
        builder = builder.with_analyzer_rule(rule);
    }
    let session = SessionContext::new_with_state(builder.build());
    for function in subquery_functions() {
        session.register_udf(function.as_ref().clone());
    }
    for statement in include_str!("tables.sql")
        .split(';')
        .filter(|part| !part.trim().is_empty())
    {
        session.sql(statement).await?.collect().await?;
    }
    Ok(session)
}

/// The rows of an answer, each as text, in a fixed order.
async fn answer(session: &SessionContext, statement: &str) -> Result<Vec<String>> {
    let batches = session.sql(statement).await?.collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(texts(batch)?);
    }
    rows.sort();
    Ok(rows)
}

fn texts(batch: &RecordBatch) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options));
    let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
    let row = |at: usize| {
        let values: Vec<String> = formatters.iter().map(|column| column.value(at).to_string()).collect();
        format!("({})", values.join(", "))
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

struct Case<'a> {
    line: usize,
    statement: &'a str,
    expected: &'a str,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    while let (Some((line, statement)), Some((_, expected))) = (lines.next(), lines.next()) {
        cases.push(Case {
            line: line + 1,
            statement,
            expected: expected.trim().trim_start_matches('=').trim(),
        });
    }
    cases
}

async fn failures(text: &str) -> Vec<String> {
    let session = session().await.unwrap();
    let mut failures = Vec::new();
    for Case {
        line,
        statement,
        expected,
    } in cases(text)
    {
        let got = match answer(&session, statement).await {
            Ok(rows) => rows.join(" "),
            Err(error) if expected == "error" => {
                let said = error.to_string();
                match said.contains("more than one row") {
                    true => "error".to_owned(),
                    false => said,
                }
            }
            Err(error) => error.to_string(),
        };
        if got != expected {
            failures.push(format!(
                "line {line}: {statement}\n  expected {expected}\n  got      {got}"
            ));
        }
    }
    failures
}

#[tokio::test]
async fn subqueries_answer_as_duckdb_does() {
    let failures = failures(include_str!("cases.txt")).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn adhoc() {
    let Ok(path) = std::env::var("SUBQUERY_CASES") else {
        return;
    };
    let failures = failures(&std::fs::read_to_string(path).unwrap()).await;
    println!("{} failures\n{}", failures.len(), failures.join("\n"));
}

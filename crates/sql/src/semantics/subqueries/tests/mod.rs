//! Statements with subqueries against DuckDB's answers: `cases.txt` holds statements over `tables.sql`, and what DuckDB 2.0
//! answered to each of them.

#![allow(clippy::unwrap_used)]

mod plans;
mod single_row;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{outer, statement, subquery_functions, subquery_rules};

/// The tables of the statements.
async fn session() -> Result<SessionContext> {
    // As Ballista has it: no subquery is left to the executors.
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
    let setup = include_str!("tables.sql").split(';');
    for statement in setup.filter(|part| !part.trim().is_empty()) {
        session.sql(statement).await?.collect().await?;
    }
    Ok(session)
}

/// The rows of an answer, each as text, in a fixed order.
async fn answer(session: &SessionContext, statement: &str) -> Result<Vec<String>> {
    let frame = session.sql(statement).await?;
    let (state, plan) = frame.clone().into_parts();
    let analyzed = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})?;
    assert!(
        !statement::holds_subqueries(&analyzed)?,
        "a subquery is left of {statement}"
    );
    assert!(outer::all_references(&analyzed)?.is_empty(), "{statement}");
    assert!(
        plan.schema().logically_equivalent_names_and_types(analyzed.schema()),
        "the columns of {statement} are {:?}, not {:?}",
        analyzed.schema(),
        plan.schema()
    );
    let mut rows = Vec::new();
    for batch in &frame.collect().await? {
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

#[tokio::test]
async fn subqueries_answer_as_duckdb_does() {
    let session = session().await.unwrap();
    let mut failures = Vec::new();
    let cases = cases(include_str!("cases.txt"));
    assert!(cases.len() > 300, "only {} statements", cases.len());
    for Case {
        line,
        statement,
        expected,
    } in cases
    {
        let got = match answer(&session, statement).await {
            Ok(rows) => rows.join(" "),
            Err(error) if error.to_string().contains("more than one row") => "error".to_owned(),
            Err(error) => error.to_string(),
        };
        if got != expected {
            failures.push(format!(
                "line {line}: {statement}\n  expected {expected}\n  got      {got}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn subqueries_without_a_plan_are_refused_with_a_remedy() {
    let session = session().await.unwrap();
    let refused = [
        (
            "SELECT sum(b), (SELECT count(*) FROM u WHERE u.p = t.p) FROM t",
            "add it to GROUP BY",
        ),
        (
            "SELECT id FROM t LEFT JOIN w ON t.p = w.p AND EXISTS (SELECT 1 FROM u WHERE u.a < t.a AND u.b < w.c)",
            "refers to both of its sides",
        ),
        (
            "SELECT id, (SELECT count(*) FROM (SELECT u.a FROM u WHERE u.p = t.p GROUP BY ROLLUP (u.a)) g) FROM t",
            "join them in FROM",
        ),
        (
            "SELECT s.id, (SELECT u.a FROM u WHERE u.b < s.b ORDER BY u.b LIMIT 1) FROM (SELECT * FROM t LIMIT 3) s",
            "put the LIMIT or the function above the subquery",
        ),
        ("SELECT id FROM t LIMIT (SELECT 2)", "compute it in FROM"),
    ];
    for (statement, remedy) in refused {
        let error = match session.sql(statement).await {
            Ok(frame) => frame.collect().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(remedy), "{statement}: {error}");
    }
}

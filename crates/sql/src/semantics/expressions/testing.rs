//! Sessions of a single process for the tests of these rules.
#![allow(clippy::unwrap_used)]

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::prelude::{DataFrame, SessionContext};

/// A session with all rules, or the engine's own.
pub(super) fn context(ours: bool) -> SessionContext {
    let builder = SessionStateBuilder::new().with_default_features();
    let context = SessionContext::new_with_state(if ours { with_rules(builder) } else { builder }.build());
    for function in super::internal_functions() {
        context.register_udf(function.as_ref().clone());
    }
    context
}

/// The rules at their places. Without the engine's that takes out double keys, as the cluster has it.
fn with_rules(builder: SessionStateBuilder) -> SessionStateBuilder {
    let coercion = Analyzer::new().rules;
    let analyzer = super::before_coercion()
        .into_iter()
        .chain(coercion)
        .chain(super::after_coercion());
    let mut optimizer = Optimizer::new().rules;
    optimizer.retain(|rule| rule.name() != "eliminate_duplicated_expr");
    super::add_optimizer_rules(&mut optimizer);
    let mut builder = builder.with_type_planner(super::type_planner());
    let planners = builder.expr_planners().take().unwrap_or_default();
    let planners = super::expression_planners().into_iter().chain(planners);
    builder
        .with_expr_planners(planners.collect())
        .with_analyzer_rules(analyzer.collect())
        .with_optimizer_rules(optimizer)
}

/// A session with a table of extremes and NULLs `n`, and one without rows `none`.
pub(super) async fn numbers(ours: bool) -> SessionContext {
    let context = context(ours);
    for statement in [
        "CREATE TABLE n AS SELECT arrow_cast(column1, 'Int64') AS id, arrow_cast(column2, 'Int64') AS big, \
         arrow_cast(column3, 'Int32') AS int, arrow_cast(column4, 'Int16') AS small, \
         arrow_cast(column5, 'Float64') AS x, CAST(column6 AS DATE) AS d FROM (VALUES \
         (1, 9223372036854775807, 2147483647, 32767, 0.5, '0001-01-01'), \
         (2, -9223372036854775808, -2147483648, -32768, -2.5, '9999-12-31'), \
         (3, NULL, NULL, NULL, NULL, NULL), \
         (4, 0, 7, 7, 1.5, '2020-02-29'))",
        "CREATE TABLE none AS SELECT * FROM n WHERE false",
    ] {
        context.sql(statement).await.unwrap().collect().await.unwrap();
    }
    context
}

/// The rows of an answer, values separated by spaces and rows by bars.
pub(super) async fn rows(context: &SessionContext, sql: &str) -> Result<String> {
    let batches = context.sql(sql).await?.collect().await?;
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| {
                datafusion::arrow::util::display::ArrayFormatter::try_new(
                    column,
                    &datafusion::arrow::util::display::FormatOptions::new().with_null("NULL"),
                )
            })
            .collect::<std::result::Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join(" "));
        }
    }
    Ok(rows.join(" | "))
}

/// Holds answers against what they should be.
pub(super) async fn answers(context: &SessionContext, expected: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (sql, answer) in expected {
        let found = rows(context, sql).await.unwrap_or_else(|error| error.to_string());
        if found != *answer {
            wrong.push(format!("{sql}\n    gives   {found}\n    and not {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds that statements are refused, or fail, with such a message.
pub(super) async fn failures(context: &SessionContext, expected: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (sql, message) in expected {
        match rows(context, sql).await.map_err(|error| error.to_string()) {
            Err(error) if error.contains(message) => {}
            found => wrong.push(format!("{sql}\n    gives {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds that statements are planned as by the engine alone.
pub(super) async fn same_plans(contexts: [&SessionContext; 2], statements: &[&str]) {
    let mut wrong = Vec::new();
    for sql in statements {
        let [ours, theirs] = [plan(contexts[0], sql).await, plan(contexts[1], sql).await];
        if ours != theirs {
            wrong.push(format!("{sql}\n{ours}\n  and not\n{theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The optimized plan.
pub(super) async fn plan(context: &SessionContext, sql: &str) -> String {
    let planned = context.sql(sql).await.and_then(DataFrame::into_optimized_plan);
    planned.map_or_else(|error| error.to_string(), |plan| plan.display_indent().to_string())
}

/// Keeps a table under its name.
pub(super) fn register(context: &SessionContext, name: &str, batch: datafusion::arrow::array::RecordBatch) {
    context.register_batch(name, batch).unwrap();
}

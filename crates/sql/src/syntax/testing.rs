//! What the tests of rewrites share: small tables in a single process, and the rows of a prepared statement as text.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{Tables, check_text, prepare, without_hints};
use crate::semantics::expressions::DeclaredNames;
use crate::semantics::set_all::SetOperationsAll;

/// The statement of a text.
pub(crate) fn parsed(sql: &str) -> Statement {
    try_parsed(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The statement of a text, or why it is none.
pub(crate) fn try_parsed(sql: &str) -> Result<Statement, String> {
    let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| error.to_string())?;
    statements.into_iter().next().ok_or_else(|| "nothing".to_owned())
}

/// The query of a statement.
pub(crate) fn query_of(statement: &Statement) -> &Query {
    match statement {
        Statement::Query(query) => query,
        other => panic!("{other} is no query"),
    }
}

/// The text of a prepared statement.
pub(crate) fn prepared(sql: &str) -> String {
    let mut statement = parsed(sql);
    match prepare(&mut statement, &()) {
        Ok(()) => statement.to_string(),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

/// A session with the tables that a script makes.
pub(crate) async fn session(script: &str) -> SessionContext {
    let state = SessionStateBuilder::new().with_default_features().build();
    let context = SessionContext::new_with_state(state);
    context.add_analyzer_rule(Arc::new(SetOperationsAll::default()));
    context.add_analyzer_rule(Arc::new(DeclaredNames));
    for statement in script.split(';').filter(|statement| !statement.trim().is_empty()) {
        context.sql(statement).await.unwrap().collect().await.unwrap();
    }
    context
}

/// The columns of a session's tables.
struct OfSession(HashMap<String, Vec<String>>);

impl OfSession {
    async fn of(state: &SessionState) -> Self {
        let catalog = state.catalog_list().catalog("datafusion").unwrap();
        let schema = catalog.schema("public").unwrap();
        let mut tables = HashMap::new();
        for name in schema.table_names() {
            let table = schema.table(&name).await.unwrap().unwrap();
            let columns = table
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            tables.insert(name, columns);
        }
        Self(tables)
    }
}

impl Tables for OfSession {
    fn columns(&self, name: &ObjectName) -> Option<Vec<String>> {
        self.0.get(&name.to_string()).cloned()
    }
}

/// The names and rows of a statement, as `a,b|1,2|3,NULL`; rows are sorted unless the statement orders them. A refusal
/// and an error are their messages.
pub(crate) async fn answer(context: &SessionContext, sql: &str) -> String {
    match rows(context, sql).await {
        Ok(answer) => answer,
        Err(error) => format!("error: {error}"),
    }
}

async fn rows(context: &SessionContext, sql: &str) -> Result<String, String> {
    check_text(sql).map_err(|refusal| refusal.to_string())?;
    let sql = &without_hints(sql);
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state
        .sql_to_statement(sql, &dialect)
        .map_err(|error| error.to_string())?;
    let Parsed::Statement(inner) = &mut statement else {
        return Err("no statement".to_owned());
    };
    prepare(inner, &OfSession::of(&state).await).map_err(|refusal| refusal.to_string())?;
    let ordered = query_of(inner).order_by.is_some();
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(|error| error.to_string())?;
    let frame = context
        .execute_logical_plan(plan)
        .await
        .map_err(|error| error.to_string())?;
    let optimized = frame.clone().into_optimized_plan().map_err(|error| error.to_string())?;
    let names: Vec<String> = optimized
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| match column.is_null(row) {
                true => "NULL".to_owned(),
                false => array_value_to_string(column, row).unwrap(),
            });
            lines.push(cells.collect::<Vec<_>>().join(","));
        }
    }
    if !ordered {
        lines.sort();
    }
    lines.insert(0, names.join(","));
    Ok(lines.join("|"))
}

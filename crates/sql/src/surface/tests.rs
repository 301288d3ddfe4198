//! The tables are whole; every function of the engine is listed or left out with a reason; what is not listed is refused.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::ColumnarValue;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Parsed;

use super::*;
use crate::functions;
use crate::semantics::{expressions, subquery_functions};
use crate::syntax::without_hints;

/// Names that the planner or a rewrite of the syntax knows, and no registry has.
const PLANNED: [&str; 3] = ["listagg", "make_map", "unnest"];

fn session() -> SessionState {
    let mut session = SessionStateBuilder::new().with_default_features().build();
    let scalars = functions::scalar_functions().into_iter();
    for function in scalars
        .chain(expressions::internal_functions())
        .chain(subquery_functions())
    {
        session.register_udf(function).unwrap();
    }
    for function in functions::aggregate_functions() {
        session.register_udaf(function).unwrap();
    }
    session
}

/// Every name of every function that a session knows.
fn registered(session: &SessionState) -> Vec<(Kind, String)> {
    let of = |kind: Kind, names: Vec<&String>| -> Vec<(Kind, String)> {
        names.into_iter().map(|name| (kind, name.clone())).collect()
    };
    [
        of(Kind::Scalar, session.scalar_functions().keys().collect()),
        of(Kind::Scalar, session.higher_order_functions().keys().collect()),
        of(Kind::Aggregate, session.aggregate_functions().keys().collect()),
        of(Kind::Window, session.window_functions().keys().collect()),
        of(Kind::Table, session.table_functions().keys().collect()),
    ]
    .concat()
}

#[test]
fn every_table_is_read() {
    for kind in Kind::ALL {
        let read = read(kind.table()).unwrap();
        assert!(read.len() > 2, "{kind:?}");
        assert_eq!(read.len(), entries(kind).len());
    }
    assert!(!read_left_out().unwrap().is_empty());
    assert!(!read_elsewhere().unwrap().is_empty());
}

#[test]
fn every_entry_says_what_it_has_to() {
    for (kind, entry) in Kind::ALL
        .into_iter()
        .flat_map(|kind| entries(kind).iter().map(move |entry| (kind, entry)))
    {
        let name = &entry.name;
        assert!(entry.about.ends_with('.'), "{name}: a sentence ends with a full stop");
        if entry.internal {
            continue;
        }
        assert!(
            !entry.group.is_empty() && !entry.syntax.is_empty(),
            "{name}: its group and syntax"
        );
        assert!(entry.example.contains("FROM"), "{name}: an example reads a table");
        let open = entry.refused.is_none();
        assert!(
            !open || kind == Kind::Clause || !entry.types.is_empty(),
            "{name}: its types"
        );
        assert_eq!(open, entry.instead.is_none(), "{name}: what is refused has a remedy");
        assert_eq!(entry.expected.is_some(), entry.source.is_some(), "{name}: a source");
        assert!(
            entry.oracle.as_deref().is_none_or(|oracle| oracle == "duckdb"),
            "{name}: an oracle"
        );
        let oracles = [
            entry.oracle.is_some(),
            entry.oracle_sql.is_some(),
            entry.expected.is_some(),
        ];
        let oracles = oracles.into_iter().filter(|has| *has).count();
        assert_eq!(oracles, usize::from(open), "{name}: one oracle");
        for null in entry.null.iter().chain(&entry.note) {
            assert!(null.ends_with('.'), "{name}: a sentence ends with a full stop");
        }
    }
}

#[test]
fn no_name_stands_twice() {
    for kind in Kind::ALL {
        let mut seen = BTreeSet::new();
        for name in entries(kind).iter().flat_map(Entry::names) {
            assert!(seen.insert(name), "{name}");
            assert!(left_out(kind, name).is_none(), "{name} is listed and left out");
        }
    }
}

#[test]
fn every_function_of_the_engine_is_listed_or_left_out() {
    let unseen: Vec<_> = registered(&session())
        .into_iter()
        .filter(|(kind, name)| listed(*kind, name).is_none() && left_out(*kind, name).is_none())
        .collect();
    assert!(
        unseen.is_empty(),
        "list these or leave them out with a reason: {unseen:?}"
    );
}

#[test]
fn every_listed_function_is_registered() {
    let known: HashSet<(Kind, String)> = registered(&session()).into_iter().collect();
    let unknown: BTreeSet<&str> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_function())
        .flat_map(|kind| {
            entries(kind)
                .iter()
                .flat_map(Entry::names)
                .map(move |name| (kind, name))
        })
        .filter(|(kind, name)| !known.contains(&(*kind, (*name).to_owned())))
        .map(|(_, name)| name)
        .collect();
    let ours: BTreeSet<&str> = PLANNED.into_iter().collect();
    assert_eq!(unknown, ours);
}

#[test]
fn what_is_left_out_exists() {
    let known = registered(&session());
    for name in SURFACE
        .left_out
        .iter()
        .filter(|entry| entry.kind != Some(Kind::Operator))
        .flat_map(|entry| &entry.names)
    {
        assert!(known.iter().any(|(_, own)| own == name), "{name}");
    }
}

#[test]
fn names_of_other_dialects_are_not_ours() {
    let known = registered(&session());
    for name in SURFACE.elsewhere.keys() {
        assert!(!known.iter().any(|(_, own)| own == name), "{name} is the engine's");
        assert!(
            Kind::ALL.into_iter().all(|kind| listed(kind, name).is_none()),
            "{name} is listed"
        );
    }
}

async fn context() -> SessionContext {
    let context = SessionContext::new_with_state(session());
    let table = "CREATE TABLE t (p BIGINT, x INT, s TEXT, f DOUBLE) AS VALUES (1, 2, 'a', 0.5)";
    context.sql(table).await.unwrap();
    context
}

/// What the two checks say of a statement, the one of its text first.
async fn said(sql: &str) -> (String, String) {
    let context = context().await;
    let state = context.state();
    let parsed = state
        .sql_to_statement(sql, &state.config().options().sql_parser.dialect)
        .unwrap();
    let text = match &parsed {
        Parsed::Statement(statement) => refuse_unlisted_calls(statement),
        _ => Ok(()),
    };
    let plan = state.statement_to_plan(parsed).await;
    let plan = plan.map(|plan| refuse_unlisted(&plan).map_or_else(|refused| refused.to_string(), |()| String::new()));
    let text = text.map_or_else(|refused| refused.to_string(), |()| String::new());
    (text, plan.unwrap_or_else(|_| "cannot be planned".to_owned()))
}

#[tokio::test]
async fn what_is_not_listed_is_refused_wherever_it_stands() {
    let message = "function digest is not available, use sha256";
    for sql in [
        "SELECT digest(s, 'md5') FROM t",
        "SELECT p FROM t WHERE encode(digest(s, 'md5'), 'hex') > 'a'",
        "SELECT p FROM t WHERE x IN (SELECT length(encode(digest(s, 'md5'), 'hex')) FROM t)",
        "SELECT (SELECT max(encode(digest(s, 'md5'), 'hex')) FROM t) FROM t",
        "SELECT p FROM t WHERE EXISTS (SELECT 1 FROM t AS o WHERE encode(digest(o.s, 'md5'), 'hex') = t.s)",
        "WITH w AS (SELECT digest(s, 'md5') AS h FROM t) SELECT h FROM w",
        "SELECT max(x) OVER (ORDER BY encode(digest(s, 'md5'), 'hex')) FROM t",
        "SELECT p FROM t ORDER BY digest(s, 'md5')",
        "SELECT a.p FROM t AS a JOIN t AS b ON digest(a.s, 'md5') = digest(b.s, 'md5')",
        "SELECT encode(digest(s, 'md5'), 'hex'), count(*) FROM t GROUP BY encode(digest(s, 'md5'), 'hex')",
        "SELECT count(*) FILTER (WHERE encode(digest(s, 'md5'), 'hex') > 'a') FROM t",
    ] {
        let (text, plan) = said(sql).await;
        assert_eq!((text.as_str(), plan.as_str()), (message, message), "{sql}");
    }
}

#[tokio::test]
async fn refusals_name_what_is_near() {
    for (sql, message) in [
        (
            "SELECT lenght(s) FROM t",
            "function lenght is not available, did you mean length?",
        ),
        (
            "SELECT UPPERCASE(s) FROM t",
            "function uppercase is not available, did you mean upper?",
        ),
        (
            "SELECT approx_median(x) FROM t",
            "use median or percentile_cont, which are exact",
        ),
        ("SELECT version() FROM t", "function version is not available"),
        (
            "SELECT group_concat(s, ',') FROM t",
            "function group_concat is not available, use string_agg",
        ),
        ("SELECT qqqq(x) FROM t", "function qqqq is not available"),
        (
            "SELECT \"ABS\"(x) FROM t",
            "function ABS is not available, did you mean abs?",
        ),
        ("SELECT other.abs(x) FROM t", "function other.abs is not available"),
        ("SELECT make_map('a', x) FROM t", "function make_map is not available"),
        (
            "SELECT checked_add(x, 1) FROM t",
            "function checked_add is not available",
        ),
        (
            "SELECT * FROM read_parquet('x') AS r",
            "function read_parquet is not available",
        ),
    ] {
        let (text, _) = said(sql).await;
        assert!(text.contains(message), "{sql}: {text}");
    }
}

#[tokio::test]
async fn a_series_outside_from_is_short_and_of_constants() {
    for sql in [
        "SELECT unnest(generate_series(1, 3)) FROM t",
        "SELECT range(10, 0, -2) FROM t",
        "SELECT generate_series(DATE '2020-01-01', DATE '2020-12-01', INTERVAL '1 month') FROM t",
    ] {
        assert_eq!(said(sql).await, Default::default(), "{sql}");
    }
    for sql in [
        "SELECT generate_series(1, x) FROM t",
        "SELECT generate_series(1, 1000000000000) FROM t",
        "SELECT generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2021-01-01', INTERVAL '1 second') FROM t",
    ] {
        let (_, plan) = said(sql).await;
        assert_eq!(
            plan,
            "outside FROM, generate_series takes constants for at most 100000 values, use generate_series in FROM and \
             join it",
            "{sql}"
        );
    }
}

#[tokio::test]
async fn operators_are_listed_too() {
    let (_, plan) = said("SELECT x ^ 2 FROM t").await;
    assert_eq!(plan, "operator ^ is not available, use power(x, y)");
    let (_, plan) = said("SELECT p FROM t WHERE x > 1 AND (x ^ 2) IS NOT NULL").await;
    assert_eq!(plan, "operator ^ is not available, use power(x, y)");
}

#[tokio::test]
async fn what_the_planner_writes_for_operators_passes() {
    for sql in [
        "SELECT EXTRACT(YEAR FROM DATE '2020-01-01'), SUBSTRING(s FROM 1 FOR 2), POSITION('a' IN s) FROM t",
        "SELECT OVERLAY(s PLACING 'b' FROM 1), TRIM(LEADING 'a' FROM s), CEIL(f), FLOOR(f) FROM t",
        "SELECT [x, 1][1], [x, 1][1:2], {'a': x}['a'], MAP {'a': x}['a'], [x] @> [1], [x] || [1] FROM t",
        "SELECT unnest([x, 1]), x FROM t",
        "SELECT array_agg(x)[1], sum(x) OVER (PARTITION BY p), count(*) FROM t GROUP BY x, p",
        "SELECT s LIKE 'a%', s ~ 'a', s || 'b', x % 2, x & 1, -x, NOT (x > 1), x IS DISTINCT FROM 1 FROM t",
        "SELECT current_date, now(), CASE x WHEN 1 THEN 2 END, CAST(x AS TEXT), p::INT FROM t",
        "SELECT t.x, n.value FROM t JOIN generate_series(1, 3) AS n ON n.value = t.x",
        "SELECT p, grouping(p), count(*) FROM t GROUP BY ROLLUP (p)",
        "SELECT (p, x) = (1, 2) FROM t",
    ] {
        let (text, plan) = said(sql).await;
        assert_eq!((text.as_str(), plan.as_str()), ("", ""), "{sql}");
    }
}

/// The tables of the examples, without rows.
const TABLES: [&str; 6] = [
    "CREATE TABLE t (p BIGINT, id BIGINT, k INT, g INT, x INT, y DOUBLE, c TEXT, f DOUBLE, m DECIMAL(12, 2),
        n DECIMAL(38, 10), big BIGINT, i8 TINYINT, i16 SMALLINT, s TEXT, z BOOLEAN, d DATE, dd DATE, ts TIMESTAMP,
        tt TIMESTAMP)",
    "CREATE TABLE u (p BIGINT, id BIGINT, k INT, g INT, x INT, y DOUBLE, c TEXT, d DATE)",
    "CREATE TABLE a (p BIGINT, k INT, v INT)",
    "CREATE TABLE b (p BIGINT, k INT, w INT)",
    "CREATE TABLE r (p BIGINT, k INT, q DOUBLE)",
    "CREATE TABLE ref (k INT, name TEXT, h INT)",
];

#[tokio::test]
async fn every_example_passes() {
    let context = SessionContext::new_with_state(session());
    for table in TABLES {
        context.sql(table).await.unwrap();
    }
    let state = context.state();
    let mut planned = 0;
    for entry in Kind::ALL
        .into_iter()
        .flat_map(entries)
        .filter(|entry| !entry.internal && entry.refused.is_none())
    {
        let parsed = state
            .sql_to_statement(
                &without_hints(&entry.example),
                &state.config().options().sql_parser.dialect,
            )
            .unwrap();
        let Parsed::Statement(statement) = &parsed else {
            panic!("{} is no query", entry.name);
        };
        assert_eq!(refuse_unlisted_calls(statement), Ok(()), "{}", entry.name);
        // What our own rules and functions are for cannot be planned without them.
        if let Ok(plan) = state.statement_to_plan(parsed).await {
            planned += 1;
            assert_eq!(refuse_unlisted(&plan), Ok(()), "{}", entry.name);
        }
    }
    assert!(planned > 200, "{planned} examples were planned");
}

/// Joins hand on batches without rows, and nobody's example has one.
#[tokio::test]
async fn functions_of_no_rows_give_no_rows() {
    let context = SessionContext::new_with_state(session());
    for table in TABLES {
        context.sql(table).await.unwrap();
    }
    let state = context.state();
    let mut evaluated = 0;
    for entry in [Kind::Scalar, Kind::Operator].into_iter().flat_map(entries) {
        let Ok(plan) = state.create_logical_plan(&without_hints(&entry.example)).await else {
            continue;
        };
        let Ok(plan) = state.optimize(&plan) else { continue };
        plan.apply(|node| {
            let Some(input) = node.inputs().first().map(|input| Arc::clone(input.schema())) else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let none = RecordBatch::new_empty(Arc::clone(input.inner()));
            for expr in node.expressions() {
                // Aggregates and windows are none of those that are evaluated by themselves.
                let Ok(expr) = state.create_physical_expr(expr, &input) else {
                    continue;
                };
                match expr.evaluate(&none) {
                    Ok(ColumnarValue::Array(rows)) => assert_eq!(rows.len(), 0, "{}: {expr}", entry.name),
                    // What our rules write otherwise may be refused as it stands.
                    Ok(ColumnarValue::Scalar(_)) | Err(DataFusionError::Execution(_)) => {}
                    Err(error) => panic!("{}: {expr}: {error}", entry.name),
                }
                evaluated += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
    }
    assert!(evaluated > 200, "{evaluated} expressions were evaluated");
}

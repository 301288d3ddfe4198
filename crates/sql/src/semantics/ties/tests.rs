//! Orders become total, and what depends on none stays as it is.

#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::logical_expr::TableScan;
use datafusion::prelude::SessionContext;

use super::{Tables, break_ties};

/// A table of which one column is not read.
struct Known;

impl Tables for Known {
    fn reads(&self, _: &TableScan, column: &str) -> bool {
        column != "secret"
    }

    fn order(&self, _: &TableScan, at_hand: &dyn Fn(&String) -> bool) -> Vec<String> {
        let order = vec!["p".to_owned(), "d".to_owned()];
        if order.iter().all(at_hand) { order } else { Vec::new() }
    }
}

fn context() -> SessionContext {
    let context = SessionContext::new();
    let texts = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as _;
    let numbers = |values: [i64; 3]| Arc::new(Int64Array::from(values.to_vec())) as _;
    let columns = [
        ("p", texts(["a", "a", "b"])),
        ("d", numbers([1, 1, 2])),
        ("x", numbers([5, 4, 3])),
        ("secret", numbers([0, 0, 0])),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    context.register_batch("t", batch).unwrap();
    context
}

async fn broken(sql: &str) -> datafusion::common::Result<String> {
    let context = context();
    let plan = context.sql(sql).await.unwrap().into_unoptimized_plan();
    let state = context.state();
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})?;
    let plan = break_ties(plan, &Known)?;
    // It can be planned and run.
    let frame = context.execute_logical_plan(plan.clone()).await?;
    frame.collect().await?;
    Ok(plan.display_indent().to_string())
}

#[tokio::test]
async fn orders_become_total() {
    let plan = broken("SELECT p, x FROM t ORDER BY d DESC LIMIT 2").await.unwrap();
    assert!(
        plan.contains("Sort: t.d DESC NULLS FIRST, t.p ASC NULLS LAST, t.x ASC NULLS LAST"),
        "{plan}"
    );
    assert!(!plan.contains("secret ASC"), "{plan}");
}

#[tokio::test]
async fn a_limit_without_an_order_has_the_tables() {
    let plan = broken("SELECT x FROM t LIMIT 2").await.unwrap();
    assert!(
        plan.contains("Sort: t.p ASC NULLS FIRST, t.d ASC NULLS FIRST, t.x ASC NULLS LAST"),
        "{plan}"
    );
    let plan = broken("SELECT d, count(*) AS n FROM t GROUP BY d LIMIT 1")
        .await
        .unwrap();
    assert!(plan.contains("Sort: t.d ASC NULLS LAST"), "{plan}");
}

#[tokio::test]
async fn the_tables_order_is_taken_where_its_columns_come_out() {
    let plan = broken("SELECT y FROM (SELECT x AS y FROM t) AS s WHERE y > 3 LIMIT 1")
        .await
        .unwrap();
    assert!(plan.contains("Sort: s.y ASC NULLS LAST"), "{plan}");
    broken("SELECT count(*) FROM (SELECT k FROM (SELECT d AS k FROM t) AS m WHERE k > 0 LIMIT 1) AS n")
        .await
        .unwrap();
}

#[tokio::test]
async fn numbers_of_rows_do_not_depend_on_ties() {
    let plan = broken("SELECT p, row_number() OVER (PARTITION BY p ORDER BY d) AS n FROM t")
        .await
        .unwrap();
    assert!(
        plan.contains("ORDER BY [t.d ASC NULLS LAST, t.x ASC NULLS LAST]"),
        "{plan}"
    );
    let plan = broken("SELECT p, rank() OVER (PARTITION BY p ORDER BY d) AS n FROM t")
        .await
        .unwrap();
    assert!(plan.contains("ORDER BY [t.d ASC NULLS LAST]"), "{plan}");
    let groups = "WITH g AS (SELECT d, count(*) AS n FROM t GROUP BY d), \
                  r AS (SELECT d, n, row_number() OVER (ORDER BY n) AS rn FROM g) \
                  SELECT count(*) FROM r AS a JOIN r AS b ON a.d = b.d WHERE a.rn <> b.rn";
    let plan = broken(groups).await.unwrap();
    assert_eq!(
        plan.matches("ORDER BY [g.n ASC NULLS LAST, g.d ASC NULLS LAST]")
            .count(),
        2,
        "{plan}"
    );
}

#[tokio::test]
async fn frames_keep_their_meaning() {
    let plan = broken("SELECT last_value(x) OVER (PARTITION BY p ORDER BY d) AS v FROM t")
        .await
        .unwrap();
    assert!(plan.contains("ORDER BY [t.d ASC NULLS LAST]"), "{plan}");
    let rows = "SELECT sum(x) OVER (PARTITION BY p ORDER BY d ROWS UNBOUNDED PRECEDING) AS v FROM t";
    let plan = broken(rows).await.unwrap();
    assert!(
        plan.contains("ORDER BY [t.d ASC NULLS LAST, t.x ASC NULLS LAST]"),
        "{plan}"
    );
}

#[tokio::test]
async fn collections_are_in_order() {
    let plan = broken("SELECT p, array_agg(x) AS all FROM t GROUP BY p").await;
    let plan = plan.unwrap();
    assert!(plan.contains("array_agg(t.x) ORDER BY [t.x ASC NULLS LAST]"), "{plan}");
    let plan = broken("SELECT p, string_agg(p, ',' ORDER BY d) AS all FROM t GROUP BY p")
        .await
        .unwrap();
    assert!(
        plan.contains("ORDER BY [t.d ASC NULLS LAST, t.p ASC NULLS LAST]"),
        "{plan}"
    );
}

#[tokio::test]
async fn chance_is_not_read_twice() {
    let twice = "WITH s AS (SELECT p, random() AS r FROM t) SELECT count(*) FROM s AS a JOIN s AS b ON a.r = b.r";
    let error = broken(twice).await.unwrap_err().to_string();
    assert!(error.contains("random()"), "{error}");
    broken("SELECT p, random() AS r, random() AS q FROM t").await.unwrap();
}

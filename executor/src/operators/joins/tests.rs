//! Joins within bounds beside the engine's.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::row::{RowConverter, SortField};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect, displayable};
use datafusion::prelude::SessionContext;

use crate::operators::fixtures::{answer, both_tables, plan};
use crate::operators::put_into;

/// Whether rows come in the order that their plan declares.
async fn in_declared_order(plan: &Arc<dyn ExecutionPlan>, context: &SessionContext) -> bool {
    let Some(order) = plan.output_ordering() else {
        return true;
    };
    let rows = collect(Arc::clone(plan), context.task_ctx()).await.unwrap();
    let rows = concat_batches(&plan.schema(), &rows).unwrap();
    let by = order.iter().map(|by| by.evaluate_to_sort_column(&rows).unwrap());
    let (fields, columns): (Vec<_>, Vec<_>) = by
        .map(|by| {
            let options = by.options.unwrap_or_default();
            (
                SortField::new_with_options(by.values.data_type().clone(), options),
                by.values,
            )
        })
        .unzip();
    let rows = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    rows.iter().is_sorted()
}

async fn joined(sql: &str, hash: bool, batch_rows: usize) {
    let context = both_tables(200, batch_rows, hash).await;
    let plan = plan(&context, sql).await;
    let ours = put_into(Arc::clone(&plan)).unwrap();
    let shown = displayable(ours.as_ref()).indent(false).to_string();
    assert!(shown.contains("PatientJoin"), "{sql}\n{shown}");
    assert_eq!(ours.schema(), plan.schema());
    assert!(in_declared_order(&ours, &context).await, "{sql}\n{shown}");
    assert_eq!(
        answer(ours, &context).await,
        answer(plan, &context).await,
        "{sql}\n{shown}"
    );
}

#[tokio::test]
async fn joins_with_bounds_are_the_engines() {
    let bounds = [
        "s.d BETWEEN t.d AND t.d + INTERVAL '30' DAY",
        "s.d > t.d AND s.d < t.d + INTERVAL '7' DAY AND s.c <> t.c",
        "s.n >= t.n",
        "s.n < t.n AND s.d >= t.d AND t.n * s.n > 50",
        "t.d - INTERVAL '3' DAY <= s.d AND t.n > 5 AND s.n + 10 > t.n * 2",
        "s.d <= CASE WHEN t.n > 20 THEN t.d END",
        "CASE WHEN s.n > 20 THEN s.d END BETWEEN t.d - INTERVAL '9' DAY AND t.d",
    ];
    let (on, outer) = ("s.p = t.p", ["LEFT", "RIGHT", "FULL"]);
    let mut queries = Vec::new();
    for bounds in bounds {
        queries.push(format!("SELECT t.p, t.d, t.n, s.* FROM t JOIN s ON {on} AND {bounds}"));
        queries.extend(outer.map(|kind| format!("SELECT s.d, t.*, s.n FROM t {kind} JOIN s ON {on} AND {bounds}")));
        for (a, b) in [("t", "s"), ("s", "t")] {
            for exists in ["EXISTS", "NOT EXISTS"] {
                queries.push(format!(
                    "SELECT * FROM {a} WHERE {exists} (SELECT 1 FROM {b} WHERE {on} AND {bounds})"
                ));
            }
        }
    }
    queries.push(format!(
        "SELECT s.d, t.n FROM t JOIN s ON {on} AND s.d > t.d ORDER BY t.p, t.d, s.d LIMIT 1000000"
    ));
    for sql in &queries {
        for (hash, batch_rows) in [(true, 8192), (false, 8192), (true, 7), (false, 64)] {
            joined(sql, hash, batch_rows).await;
        }
    }
}

#[tokio::test]
async fn other_joins_stay_the_engines() {
    let context = both_tables(10, 8192, true).await;
    for on in [
        "s.p = t.p",
        "s.p = t.p AND s.n <> t.n",
        "s.p = t.p AND s.n + t.n > 3",
        "s.p = t.p AND s.c < t.c",
        "s.d = t.d AND s.n < t.n",
        "(s.p IS NOT DISTINCT FROM t.p) AND s.n < t.n",
        "s.p = t.p AND CAST(s.n AS DOUBLE) < CAST(t.n AS DOUBLE)",
        "s.p = t.p AND s.n < t.n + CAST(random() AS BIGINT)",
        // Half of its numbers are none of BIGINT.
        "s.p = t.p AND arrow_cast(s.n, 'UInt64') < arrow_cast(t.n, 'UInt64')",
    ] {
        let sql = format!("SELECT t.n FROM t JOIN s ON {on}");
        let plan = plan(&context, &sql).await;
        let shown = displayable(put_into(plan).unwrap().as_ref()).indent(false).to_string();
        assert!(!shown.contains("PatientJoin"), "{sql}\n{shown}");
    }
}

#[tokio::test]
async fn what_fails_for_nobody_does_not_fail() {
    let context = both_tables(50, 64, true).await;
    // Divides by zero for a patient who is not on the other side.
    let sql = "SELECT t.p, s.n FROM (SELECT *, CASE WHEN p = 'p000010' THEN 0 ELSE 1 END AS z FROM t) AS t \
               LEFT JOIN (SELECT * FROM s WHERE p <> 'p000010') AS s ON s.p = t.p AND s.n >= 10 / t.z";
    let plan = plan(&context, sql).await;
    let ours = put_into(Arc::clone(&plan)).unwrap();
    let shown = displayable(ours.as_ref()).indent(false).to_string();
    assert!(shown.contains("PatientJoin"), "{shown}");
    assert_eq!(answer(ours, &context).await, answer(plan, &context).await);
}

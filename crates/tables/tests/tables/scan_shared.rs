//! Scans of the same files in one plan, and computations over codes that a scan takes over: the rows are those of plain
//! scans.

use std::sync::Arc;

use crate::sandbox::{Dispensing, Sandbox, all_granted, count_nodes, dispensings, lines, loaded, plan, query};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use parcours_tables::scan::{Wanted, compute_in_scan, open_for_reading};

const PAIRS: &str = "SELECT count(*), sum(b.day - a.day) FROM dispensing a JOIN dispensing b ON b.patient = a.patient \
                     AND b.day BETWEEN a.day AND a.day + 400 WHERE a.code LIKE 'HEALTHMARK00%' AND b.code LIKE '%7' AND b.quantity > 10";

fn pairs(rows: &[Dispensing]) -> String {
    let first = rows.iter().filter(|row| row.code.starts_with("HEALTHMARK00"));
    let second = |row: &&Dispensing| row.code.ends_with('7') && row.quantity.is_some_and(|n| n > 10);
    let pairs = first.flat_map(|a| {
        let same = move |b: &&Dispensing| b.patient == a.patient && (a.day..=a.day + 400).contains(&b.day);
        rows.iter()
            .filter(second)
            .filter(same)
            .map(move |b| i64::from(b.day - a.day))
    });
    let days: Vec<i64> = pairs.collect();
    format!("{}|{}", days.len(), days.iter().sum::<i64>())
}

/// A session that leaves conditions as they are while a query runs, as a cluster's do.
async fn with_fixed_filters(sandbox: &Sandbox) -> SessionContext {
    let session = sandbox.session().await;
    let set = "SET datafusion.optimizer.enable_dynamic_filter_pushdown = false";
    session.sql(set).await.unwrap().collect().await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scans_of_a_table_are_one() {
    let (sandbox, rows) = loaded(4).await;
    let session = with_fixed_filters(&sandbox).await;
    let keys = sandbox.reading().keys(all_granted());
    let planned = plan(&session, PAIRS).await;
    assert_eq!(count_nodes(&planned, "DataSourceExec"), 2);
    let opened = open_for_reading(planned, &keys).unwrap();
    assert_eq!(count_nodes(&opened, "SharedScan"), 2);
    for _ in 0..2 {
        // The second time, each reads for itself.
        let found = collect(Arc::clone(&opened), session.task_ctx()).await.unwrap();
        assert_eq!(lines(&found), [pairs(&rows)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_of_a_shard_stay_scans_of_their_own() {
    let (sandbox, mut rows) = loaded(3).await;
    let more = dispensings(300, 1_000, 2);
    sandbox.write_dispensings("2", &more);
    sandbox.load().await.unwrap();
    rows.extend(more);
    let session = with_fixed_filters(&sandbox).await;
    let keys = sandbox.reading().keys(all_granted());
    let opened = open_for_reading(plan(&session, PAIRS).await, &keys).unwrap();
    assert_eq!(count_nodes(&opened, "SharedScan"), 0);
    let found = collect(opened, session.task_ctx()).await.unwrap();
    assert_eq!(lines(&found), [pairs(&rows)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_without_a_condition_or_with_a_limit_stay_their_own() {
    let (sandbox, _) = loaded(2).await;
    let session = with_fixed_filters(&sandbox).await;
    let keys = sandbox.reading().keys(all_granted());
    for sql in [
        "SELECT count(*) FROM dispensing a JOIN dispensing b ON b.patient = a.patient WHERE b.code LIKE '%7'",
        "SELECT count(*) FROM dispensing a JOIN patient b ON b.patient = a.patient WHERE a.code LIKE '%7' AND b.sex LIKE '%1'",
    ] {
        let opened = open_for_reading(plan(&session, sql).await, &keys).unwrap();
        assert_eq!(count_nodes(&opened, "SharedScan"), 0, "{sql}");
    }
}

fn expression(session: &SessionContext, scan: &Arc<dyn ExecutionPlan>, sql: &str) -> Arc<dyn PhysicalExpr> {
    let schema = DFSchema::try_from(scan.schema().as_ref().clone()).unwrap();
    let expr = session.parse_sql_expr(sql, &schema).unwrap();
    session.create_physical_expr(expr, &schema).unwrap()
}

/// These expressions over the table of dispensings, computed by the scan, in lines; and the scan's columns.
async fn computed(sandbox: &Sandbox, parts: &[&str], as_codes: bool) -> (Vec<String>, Vec<String>) {
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let scan = plan(
        &session,
        "SELECT patient, patient AS person, code, quantity FROM dispensing",
    )
    .await;
    let mut exprs: Vec<_> = parts.iter().map(|part| expression(&session, &scan, part)).collect();
    let wanted = exprs.iter_mut().map(match as_codes {
        true => Wanted::Codes,
        false => Wanted::Values,
    });
    let moved = compute_in_scan(&scan, wanted.collect()).unwrap().unwrap();
    let columns = moved.schema();
    let columns = columns.fields().iter();
    let columns = columns.map(|field| format!("{} {}", field.name(), field.data_type()));
    let columns = columns.collect();
    let opened = open_for_reading(moved, &keys).unwrap();
    let mut found = Vec::new();
    for batch in &collect(opened, session.task_ctx()).await.unwrap() {
        let values = exprs
            .iter()
            .map(|expr| expr.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap());
        let names = ["a", "b", "c", "d"].into_iter().zip(values);
        found.extend(lines(&[arrow::array::RecordBatch::try_from_iter(names).unwrap()]));
    }
    found.sort();
    (found, columns)
}

/// The same, as the engine computes it.
async fn selected(sandbox: &Sandbox, parts: &[&str]) -> Vec<String> {
    let session = sandbox.session().await;
    let keys = sandbox.reading().keys(all_granted());
    let sql = format!(
        "SELECT {} FROM (SELECT *, patient AS person FROM dispensing)",
        parts.join(", ")
    );
    let mut lines = lines(&query(&session, &keys, &sql).await.unwrap());
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn computations_over_codes_move_into_the_scan() {
    let (sandbox, _) = loaded(2).await;
    let parts = [
        "substr(code, 11, 2)",
        "CASE WHEN code LIKE '%7' THEN quantity END",
        "code LIKE '%7'",
        "patient",
    ];
    let (found, columns) = computed(&sandbox, &parts, false).await;
    assert_eq!(found, selected(&sandbox, &parts).await);
    let expected = [
        "patient Utf8",
        "quantity Int32",
        "__by_value_0 Utf8",
        "__by_value_1 Boolean",
    ];
    assert_eq!(columns, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_grouped_by_stay_dictionaries() {
    let (sandbox, _) = loaded(2).await;
    let parts = [
        "substr(code, 11, 2)",
        "CASE WHEN code LIKE '%7' THEN 'seven' WHEN code IS NULL THEN 'none' END",
        "patient",
        "code LIKE '%7'",
    ];
    let texts = "Dictionary(Int32, Utf8)";
    let expected = [0, 1, 2].map(|n| format!("__by_value_{n} {texts}"));
    for several in [false, true] {
        let (found, columns) = computed(&sandbox, &parts, true).await;
        assert_eq!(found, selected(&sandbox, &parts).await);
        match several {
            false => assert_eq!(
                columns,
                [expected.as_slice(), &["__by_value_3 Boolean".to_owned()]].concat()
            ),
            // Files are merged by patient.
            true => assert_eq!(columns[0], "patient Utf8"),
        }
        let (found, columns) = computed(&sandbox, &["person", "substr(code, 11, 2)"], true).await;
        assert_eq!(found, selected(&sandbox, &["person", "substr(code, 11, 2)"]).await);
        assert_eq!(columns[0] == "person Utf8", several, "{columns:?}");
        sandbox.write_dispensings("2", &dispensings(300, 1_000, 2));
        sandbox.load().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_computed_by_value_stays() {
    let (sandbox, _) = loaded(1).await;
    let session = sandbox.session().await;
    let scan = plan(&session, "SELECT patient, code, quantity FROM dispensing").await;
    let mut plain = ["quantity + 1", "patient > code"].map(|part| expression(&session, &scan, part));
    let wanted = plain.iter_mut().map(Wanted::Codes).collect();
    assert!(compute_in_scan(&scan, wanted).unwrap().is_none());
}

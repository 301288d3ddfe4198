//! Exact sums through SQL: whatever the order of rows and however they are split, the same bits.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

use super::super::testing::{answers, found, refused, session, spread};

/// Values of very different sizes, whose sum in doubles depends on their order.
fn mixed(count: i64) -> Vec<f64> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let values = (0..count).map(|n| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
        unit * 10_f64.powi((n % 40) as i32 - 20)
    });
    values.collect()
}

fn batch(values: &[f64]) -> RecordBatch {
    let groups: ArrayRef = Arc::new(Int64Array::from_iter_values(
        values.iter().map(|value| (value.to_bits() % 5) as i64),
    ));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values.iter().copied()));
    RecordBatch::try_from_iter([("g", groups), ("x", values)]).unwrap()
}

#[tokio::test]
async fn the_order_of_rows_does_not_show() {
    let mut values = mixed(400);
    let sql = "SELECT sum(x), avg(x), var(x), stddev_pop(x), sum(DISTINCT x), corr(x, x * x), covar_pop(x, g) FROM t";
    let grouped = format!(
        "SELECT * FROM ({} GROUP BY g) ORDER BY g",
        sql.replace("SELECT", "SELECT g,")
    );
    let mut known: Option<[Vec<String>; 2]> = None;
    for partitions in [1, 2, 3, 5] {
        values.rotate_left(137);
        values.swap(3, 250);
        let session = session(partitions);
        spread(&session, "t", &batch(&values), partitions).unwrap();
        let answers = [found(&session, sql).await, found(&session, &grouped).await];
        assert_eq!(answers[1].len(), 5);
        let known = known.get_or_insert_with(|| answers.clone());
        assert_eq!(*known, answers);
    }
}

#[tokio::test]
async fn doubles_add_up_as_python_fsum_adds_them() {
    // From Python's own tests of math.fsum.
    answers(
        "SELECT sum(x) FROM (VALUES (1e100), (1e0), (-1e100), (1e-100), (1e50), (-1e0), (-1e50)) t(x)",
        "1e-100",
    )
    .await;
    answers(
        "SELECT sum(x) FROM (VALUES (9007199254740992e0), (-0.5e0), (-5.551115123125783e-17)) t(x)",
        "9007199254740991.0",
    )
    .await;
    answers(
        "SELECT sum(x) FROM (VALUES (9007199254740992e0), (1e0), (1.1102230246251565e-16)) t(x)",
        "9007199254740994.0",
    )
    .await;
    answers("SELECT sum(x) FROM (VALUES (1e308), (1e308), (-1e308)) t(x)", "1e308").await;
    answers("SELECT sum(x), avg(x) FROM (VALUES (1e308), (1e308)) t(x)", "inf,1e308").await;
    answers(
        "SELECT sum(x), avg(x) FROM (VALUES (1e308), (1e308), ('-Infinity')) t(x)",
        "-inf,-inf",
    )
    .await;
    answers(
        "SELECT sum(CAST(x AS double)) FROM (VALUES ('Infinity'), ('-Infinity')) t(x)",
        "NaN",
    )
    .await;
    answers(
        "SELECT sum(CAST(x AS real)), arrow_typeof(sum(CAST(x AS real))) FROM (VALUES (0.5), (0.25)) t(x)",
        "0.75,Float64",
    )
    .await;
    answers("SELECT sum(x) FROM (VALUES (-0e0), (-0e0)) t(x)", "0.0").await;
    answers(
        "SELECT sum(x) FILTER (WHERE x > 1) FROM (VALUES (1e0), (2e0), (3e0)) t(x)",
        "5.0",
    )
    .await;
}

#[tokio::test]
async fn averages_of_whole_numbers_are_divided_once() {
    answers(
        "SELECT avg(x), mean(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) t(x)",
        "9.223372036854775807e18,9.223372036854775807e18"
            .replace("9.223372036854775807e18", "9.223372036854776e18")
            .as_str(),
    )
    .await;
    answers(
        "SELECT avg(x) FROM (VALUES (9007199254740993), (9007199254740993), (-9007199254740993), (NULL)) t(x)",
        "3002399751580331.0",
    )
    .await;
    answers("SELECT avg(x) FROM (VALUES (1)) t(x) WHERE x > 1", "NULL").await;
    answers(
        "SELECT avg(CAST(x AS decimal(10, 2))) FROM (VALUES (1), (2)) t(x)",
        "1.500000",
    )
    .await;
    answers("SELECT avg(NULL)", "NULL").await;
    refused("SELECT avg(date '2020-01-01')", "avg takes a number").await;
}

//! Expected values are DuckDB's.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::{Float32Array, Float64Array, Int64Array, RecordBatch};
use datafusion::prelude::SessionContext;

use super::super::testing::{answers, context, numbers, plan, register, same_plans};

/// Zeros and not-a-numbers of either sign.
fn floats(not_a_number: f64) -> SessionContext {
    let context = context(true);
    let ids = Int64Array::from_iter_values(1..=7);
    let xs = [
        Some(-0.0),
        Some(0.0),
        Some(not_a_number),
        Some(f64::NAN),
        Some(f64::INFINITY),
        None,
        Some(-1.5),
    ];
    let ys = Float32Array::from_iter(xs.map(|x| x.map(|x| x as f32)));
    let xs = Float64Array::from_iter(xs);
    let columns = [
        ("id", Arc::new(ids) as _),
        ("x", Arc::new(xs) as _),
        ("y", Arc::new(ys) as _),
    ];
    register(&context, "f", RecordBatch::try_from_iter(columns).unwrap());
    context
}

#[tokio::test]
async fn equal_floats_are_one_key() {
    answers(
        &floats(-f64::NAN),
        &[
            ("SELECT x, count(*) FROM f GROUP BY x ORDER BY x", "-1.5 1 | 0.0 2 | inf 1 | NaN 2 | NULL 1"),
            ("SELECT y * 1 AS k, count(*) FROM f GROUP BY k ORDER BY k", "-1.5 1 | 0.0 2 | inf 1 | NaN 2 | NULL 1"),
            ("SELECT x, y, count(*) FROM f GROUP BY ROLLUP (x, y) HAVING count(*) = 2 ORDER BY x, y", "0.0 0.0 2 | 0.0 NULL 2 | NaN NaN 2 | NaN NULL 2"),
            ("SELECT count(DISTINCT x), count(DISTINCT y) FROM f", "4 4"),
            ("SELECT count(DISTINCT x), sum(DISTINCT id) FROM f", "4 28"),
            ("SELECT count(*) FROM (SELECT DISTINCT x FROM f)", "5"),
            ("SELECT count(*) FROM (SELECT DISTINCT ON (x) x, id FROM f ORDER BY x, id)", "5"),
            ("SELECT count(*) FROM (SELECT x FROM f UNION SELECT y FROM f)", "5"),
            ("SELECT count(*) FROM (SELECT x FROM f WHERE id = 1 INTERSECT SELECT x FROM f WHERE id = 2)", "1"),
            ("SELECT count(*) FROM (SELECT x FROM f WHERE id = 1 EXCEPT SELECT x FROM f WHERE id = 2)", "0"),
            ("SELECT a.id, b.id FROM f AS a JOIN f AS b ON a.x = b.x AND a.id < b.id", "1 2 | 3 4"),
            ("SELECT count(*) FROM f AS a JOIN f AS b USING (x)", "10"),
            ("SELECT count(*) FROM f AS a JOIN f AS b ON a.x <= b.x AND a.id = 1 AND b.id = 2 OR a.x < b.x AND a.id = 1 AND b.id = 2", "1"),
            ("SELECT count(*) FROM f WHERE x IN (SELECT y FROM f WHERE id IN (2, 4))", "4"),
            ("SELECT id, count(*) OVER (PARTITION BY x), rank() OVER (ORDER BY x) FROM f ORDER BY id", "1 2 2 | 2 2 2 | 3 2 5 | 4 2 5 | 5 1 4 | 6 1 7 | 7 1 1"),
            ("SELECT id FROM f ORDER BY x, id DESC", "7 | 2 | 1 | 5 | 4 | 3 | 6"),
        ],
    )
    .await;
}

#[tokio::test]
async fn equal_floats_compare_equal() {
    answers(
        &floats(f64::NAN),
        &[
            ("SELECT id FROM f WHERE x = 0", "1 | 2"),
            ("SELECT id FROM f WHERE y = 0.0 OR -0.0 = y * 2", "1 | 2"),
            ("SELECT id FROM f WHERE x <> 0", "3 | 4 | 5 | 7"),
            ("SELECT id FROM f WHERE x < 0", "7"),
            ("SELECT id FROM f WHERE x >= 0.0 AND x <= 0", "1 | 2"),
            ("SELECT id FROM f WHERE 0 < x AND x < 'NaN'::DOUBLE", "5"),
            ("SELECT id FROM f WHERE x > 0", "3 | 4 | 5"),
            (
                "SELECT id FROM f WHERE x BETWEEN 0 AND 1 OR x NOT BETWEEN -5 AND -0.0",
                "1 | 2 | 3 | 4 | 5",
            ),
            ("SELECT id FROM f WHERE x IN (0, 1)", "1 | 2"),
            ("SELECT id FROM f WHERE x NOT IN (0, 1, 'NaN')", "5 | 7"),
            ("SELECT id FROM f WHERE x = 'NaN'::DOUBLE", "3 | 4"),
            ("SELECT id FROM f WHERE x IS NOT DISTINCT FROM 0.0", "1 | 2"),
            ("SELECT id FROM f WHERE x IS DISTINCT FROM 0.0", "3 | 4 | 5 | 6 | 7"),
            ("SELECT id FROM f WHERE x = y", "1 | 2 | 3 | 4 | 5 | 7"),
            (
                "SELECT count(*) FROM f AS a, f AS b WHERE a.id = 1 AND b.id = 2 AND a.x = b.x",
                "1",
            ),
            (
                "SELECT CASE x WHEN 0 THEN 'zero' ELSE 'other' END FROM f WHERE id < 3",
                "zero | zero",
            ),
            ("SELECT nullif(x, 0) FROM f WHERE id IN (1, 2, 7)", "NULL | NULL | -1.5"),
            (
                "SELECT x = 0, x <> 0, x / x > 5 FROM f WHERE id IN (1, 6)",
                "true false true | NULL NULL NULL",
            ),
            (
                "SELECT -0.0 = 0.0, 0.0 / 0.0 = 'NaN'::DOUBLE, 'NaN'::DOUBLE > 1",
                "true true true",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn plans_of_other_conditions_are_the_engines() {
    let (ours, theirs) = (numbers(true).await, numbers(false).await);
    same_plans(
        [&ours, &theirs],
        &[
            "SELECT x FROM n WHERE x > 5 AND x <= 7.5 AND x IN (1, 2, 3, 4, 5) AND x BETWEEN 1 AND 3 AND x <> 2",
            "SELECT id, sum(x), min(x) FROM n WHERE id = 0 GROUP BY id ORDER BY sum(x)",
            "SELECT DISTINCT id, d FROM n ORDER BY x",
            "SELECT a.id FROM n AS a JOIN n AS b ON a.id = b.id",
        ],
    )
    .await;
    let zero = plan(&ours, "SELECT id FROM n WHERE x = 0").await;
    assert!(!zero.contains("positive_zero"), "{zero}");
}

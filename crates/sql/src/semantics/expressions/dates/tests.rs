//! Expected values are DuckDB's and PostgreSQL's.

use datafusion::common::{Result, ScalarValue};

use super::super::testing::{answers, failures, numbers, same_plans};

#[tokio::test]
async fn days_are_added_and_taken_away() {
    let context = numbers(true).await;
    answers(
        &context,
        &[
            (
                "SELECT DATE '0001-01-01' + 735000, 735000 + DATE '0001-01-01'",
                "2013-05-13 2013-05-13",
            ),
            (
                "SELECT DATE '2020-02-28' + 2, DATE '2020-03-01' - 1, DATE '2020-03-01' - DATE '2020-02-28'",
                "2020-03-01 2020-02-29 2",
            ),
            ("SELECT d + id, d - int FROM n WHERE id = 4", "2020-03-04 2020-02-22"),
            (
                "SELECT d + small, small + d FROM n WHERE id = 4",
                "2020-03-07 2020-03-07",
            ),
            (
                "SELECT d + NULL AS a, d + CAST(NULL AS INT) AS b FROM n WHERE id = 4",
                "NULL NULL",
            ),
            ("SELECT id FROM n WHERE d + id = DATE '2020-03-04'", "4"),
            (
                "SELECT a.id, b.id FROM n AS a JOIN n AS b ON b.d BETWEEN a.d - 365 AND a.d + 60 WHERE a.id = 4",
                "4 4",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn hours_make_a_timestamp() {
    let context = numbers(true).await;
    answers(
        &context,
        &[
            (
                "SELECT d + INTERVAL '5 hours', INTERVAL '5 hours' + d, d - INTERVAL '1 hour' FROM n WHERE id = 4",
                "2020-02-29T05:00:00 2020-02-29T05:00:00 2020-02-28T23:00:00",
            ),
            (
                "SELECT d + INTERVAL '1 day', d + INTERVAL '1 month' FROM n WHERE id = 4",
                "2020-03-01 2020-03-29",
            ),
            (
                "SELECT d + id * INTERVAL '12 hours' FROM n WHERE id = 4",
                "2020-03-02T00:00:00",
            ),
            ("SELECT DATE '9999-12-31' + INTERVAL '5 hours'", "9999-12-31T05:00:00"),
            ("SELECT DATE '2020-01-31' + 2 * INTERVAL '1 day'", "2020-02-02"),
        ],
    )
    .await;
}

#[tokio::test]
async fn intervals_are_multiplied() {
    let context = numbers(true).await;
    answers(
        &context,
        &[
            ("SELECT 3 * INTERVAL '1 day', INTERVAL '1 month 2 days' * 2", "3 days 2 mons 4 days"),
            ("SELECT INTERVAL '1 day' * 1.5, INTERVAL '1 month' / 2, INTERVAL '1 day' / 2", "1 days 12 hours 15 days 12 hours"),
            ("SELECT DATE '2020-01-31' + int * INTERVAL '1 day', TIMESTAMP '2020-01-31 10:00:00' + id * INTERVAL '1 hour' FROM n WHERE id = 4", "2020-02-07T00:00:00 2020-01-31T14:00:00"),
            ("SELECT int * INTERVAL '1 day' FROM n WHERE id = 3", "NULL"),
        ],
    )
    .await;
    failures(
        &context,
        &[
            ("SELECT big * INTERVAL '2 days' FROM n", "interval out of range"),
            ("SELECT INTERVAL '2 days' * 1e300", "interval out of range"),
            ("SELECT INTERVAL '2 days' / 0", "ivide by zero"),
        ],
    )
    .await;
}

#[tokio::test]
async fn numbers_are_no_dates() {
    let context = numbers(true).await;
    let message = "a date is compared with a number, write DATE '2020-01-31'";
    let beside = "a date is beside a number, write DATE '2020-01-31'";
    failures(
        &context,
        &[
            ("SELECT * FROM n WHERE d = 5", message),
            ("SELECT * FROM n WHERE d > 1.5", message),
            ("SELECT * FROM n WHERE 20200131 <= d", message),
            ("SELECT * FROM n WHERE d BETWEEN 1 AND 2", message),
            ("SELECT * FROM n WHERE d IN (1, 2)", message),
            ("SELECT * FROM n WHERE d IN (SELECT id FROM n)", message),
            ("SELECT CASE d WHEN 5 THEN 1 END FROM n", message),
            ("SELECT CASE WHEN id = 1 THEN d ELSE 0 END FROM n", beside),
            ("SELECT greatest(d, id) FROM n", ""),
            (
                "SELECT d FROM n UNION SELECT id FROM n",
                "a date is united with a number",
            ),
            ("SELECT * FROM n AS a JOIN n AS b ON a.d = b.id", message),
            (
                "SELECT * FROM n WHERE CAST(d AS TIMESTAMP) = 5",
                "a timestamp is compared with a number",
            ),
        ],
    )
    .await;
    answers(
        &context,
        &[("SELECT id FROM n WHERE d = '2020-02-29' OR d = NULL", "4")],
    )
    .await;
}

#[tokio::test]
async fn dates_reach_from_year_1_to_9999() {
    let context = numbers(true).await;
    answers(
        &context,
        &[
            ("SELECT id FROM n WHERE d > TIMESTAMP '2020-01-01 00:00:00'", "2 | 4"),
            ("SELECT id FROM n WHERE CAST(d AS TIMESTAMP) > d - 1", "1 | 2 | 4"),
            ("SELECT id FROM n WHERE d < now()", "1 | 4"),
            ("SELECT id FROM n WHERE CAST(d AS TIMESTAMP) BETWEEN '0001-01-01' AND '9999-12-31'", "1 | 2 | 4"),
            ("SELECT id FROM n WHERE CAST(d AS TIMESTAMP) = '9999-12-31'", "2"),
            ("SELECT id FROM n WHERE CAST(d AS TIMESTAMP) IN ('9999-12-31', DATE '0001-01-01')", "1 | 2"),
            ("SELECT date_trunc('month', d), date_part('year', d) FROM n WHERE id = 2", "9999-12-01T00:00:00 9999"),
            ("SELECT date_trunc('month', d), date_trunc('year', CAST(d AS TIMESTAMP)) FROM n WHERE id = 1", "0001-01-01T00:00:00 0001-01-01T00:00:00"),
            ("SELECT TIMESTAMP '9999-12-31 23:59:59', CAST('0001-01-01' AS TIMESTAMP), to_timestamp('9999-12-31T00:00:00')", "9999-12-31T23:59:59 0001-01-01T00:00:00 9999-12-31T00:00:00"),
            ("SELECT CASE WHEN id = 1 THEN d ELSE TIMESTAMP '2020-01-01 00:00:00' END FROM n WHERE id < 3", "0001-01-01T00:00:00 | 2020-01-01T00:00:00"),
            ("SELECT coalesce(CAST(NULL AS TIMESTAMP), d) FROM n WHERE id = 2", "9999-12-31T00:00:00"),
            ("SELECT count(*) FROM (SELECT CAST(d AS TIMESTAMP) AS d FROM n UNION SELECT d FROM n)", "4"),
            ("SELECT id FROM n WHERE CAST(d AS TIMESTAMP) IN (SELECT d FROM n WHERE id = 4)", "4"),
            ("SELECT CAST(5 AS TIMESTAMP), CAST(int AS TIMESTAMP) FROM n WHERE id = 4", "1970-01-01T00:00:05 1970-01-01T00:00:07"),
            ("SELECT TIMESTAMP '2020-01-02 00:00:00' - DATE '2020-01-01', d - TIMESTAMP '0001-01-01 00:00:00' FROM n WHERE id = 1", "PT86400S P0D"),
        ],
    )
    .await;
}

#[tokio::test]
async fn plans_of_other_dates_are_the_engines() {
    let (ours, theirs) = (numbers(true).await, numbers(false).await);
    same_plans([&ours, &theirs], &[
        "SELECT d FROM n WHERE d >= DATE '2020-01-01' AND d < '2021-01-01' AND d <> DATE '2020-05-05' + INTERVAL '1 day'",
        "SELECT date_part('month', d), d + INTERVAL '1 month' FROM n WHERE d IN (DATE '2020-01-01', NULL)",
    ]).await;
}

/// The answer of a statement with one parameter, as the engine shows it.
async fn bound(sql: &str, value: ScalarValue) -> Result<String> {
    let context = numbers(true).await;
    let frame = context.sql(sql).await?.with_param_values(vec![value])?;
    frame.to_string().await
}

#[tokio::test]
async fn parameters_beside_dates_are_days() {
    let sql = "SELECT d + $1 AS later FROM n WHERE id = 4 AND d > DATE '2020-03-01' - $1";
    let answer = bound(sql, ScalarValue::Int64(Some(2))).await;
    assert!(
        answer.as_ref().is_ok_and(|rows| rows.contains("2020-03-02")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn parameters_beside_intervals_are_numbers() {
    for sql in [
        "SELECT CAST(d + $1 * INTERVAL '1 day' AS DATE) AS later FROM n WHERE id = 4",
        "SELECT CAST(d + INTERVAL '1 day' * $1 AS DATE) AS later FROM n WHERE id = 4",
        "SELECT CAST(d + INTERVAL '9 days' / $1 AS DATE) AS later FROM n WHERE id = 4",
    ] {
        let answer = bound(sql, ScalarValue::Float64(Some(3.0))).await;
        assert!(
            answer.as_ref().is_ok_and(|rows| rows.contains("2020-03-03")),
            "{sql}: {answer:?}"
        );
    }
}

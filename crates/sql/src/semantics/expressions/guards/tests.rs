//! Conditions that other conditions guard, with the answers of DuckDB and PostgreSQL.

use super::super::testing::{answers, context, failures, numbers, plan, same_plans};

/// Rows of which half would fail, so that the engine does not pick out the few for which it looks further.
const ROWS: &str = "(VALUES (1, 0, 'x'), (2, 4, '4'), (3, 50, '50'), (4, NULL, NULL), (5, 2, '2')) AS t (id, g, s)";

#[tokio::test]
async fn guards_hold() {
    let context = context(true);
    for (statement, answer) in [
        ("SELECT id FROM t WHERE g <> 0 AND 100 / g > 20", "2 | 5"),
        ("SELECT id FROM t WHERE 100 / g > 20 AND g <> 0", "2 | 5"),
        ("SELECT id FROM t WHERE 100 / g > 20 AND id > 0 AND g <> 0", "2 | 5"),
        ("SELECT id FROM t WHERE g = 0 OR 100 / g > 20", "1 | 2 | 5"),
        ("SELECT id FROM t WHERE NOT (g = 0 OR 100 / g > 20)", "3"),
        (
            "SELECT id FROM t WHERE CASE WHEN g = 0 THEN false ELSE 100 / g > 20 END",
            "2 | 5",
        ),
        ("SELECT id FROM t WHERE id < 9 AND (g = 0 OR 100 / g > 20)", "1 | 2 | 5"),
        (
            "SELECT id, g <> 0 AND 100 / g > 20 FROM t",
            "1 false | 2 true | 3 false | 4 NULL | 5 true",
        ),
        (
            "SELECT id, 100 / g > 20 AND g <> 0 FROM t",
            "1 false | 2 true | 3 false | 4 NULL | 5 true",
        ),
        (
            "SELECT id, g = 0 OR 100 / g > 20 FROM t",
            "1 true | 2 true | 3 false | 4 NULL | 5 true",
        ),
        (
            "SELECT id, CASE WHEN g = 0 THEN -1 ELSE 100 / g END, CASE WHEN g <> 0 THEN 100 / g END FROM t",
            "1 -1 NULL | 2 25 25 | 3 2 2 | 4 NULL NULL | 5 50 50",
        ),
        ("SELECT id FROM t WHERE g <> 0 AND 7 % g = 1", "5"),
        ("SELECT id FROM t WHERE s <> 'x' AND CAST(s AS INT) > 3", "2 | 3"),
        (
            "SELECT id FROM t WHERE s ~ '^[0-9]+$' AND CAST(s AS INT) <> 0 AND 100 / CAST(s AS INT) > 20",
            "2 | 5",
        ),
        (
            "SELECT id FROM (SELECT * FROM t WHERE g <> 0) AS r WHERE 100 / g > 20",
            "2 | 5",
        ),
        ("SELECT count(*) FILTER (WHERE g <> 0 AND 100 / g > 20) FROM t", "2"),
        (
            "SELECT sum(CASE WHEN g <> 0 AND 100 / g > 20 THEN 1 ELSE 0 END) FROM t",
            "2",
        ),
        (
            "SELECT a.id FROM t AS a JOIN t AS b ON a.id = b.id AND a.g <> 0 AND 100 / a.g > 20",
            "2 | 5",
        ),
        (
            "SELECT a.id FROM t AS a JOIN t AS b ON a.g <> 0 AND 100 / a.g > b.id + 44 ORDER BY 1",
            "5 | 5 | 5 | 5 | 5",
        ),
        (
            "SELECT a.id, b.id FROM t AS a LEFT JOIN t AS b ON a.id = b.id AND b.g <> 0 AND 100 / b.g > 20 ORDER BY 1",
            "1 NULL | 2 2 | 3 NULL | 4 NULL | 5 5",
        ),
        ("SELECT id FROM t WHERE g = 50 AND random() < 2 AND 100 / g > 1", "3"),
    ] {
        let statement = statement
            .replace("FROM t", &format!("FROM {ROWS}"))
            .replace("JOIN t AS b", &format!("JOIN {}", ROWS.replace("AS t", "AS b")));
        let statement = statement.replace("AS t (id, g, s) AS a", "AS a (id, g, s)");
        answers(&context, &[(&statement, answer)]).await;
    }
}

#[tokio::test]
async fn what_is_not_guarded_fails() {
    let context = numbers(true).await;
    failures(
        &context,
        &[
            ("SELECT id FROM n WHERE 100 / (small - 7) > 1", "ivide by zero"),
            (
                "SELECT id FROM n WHERE id > 0 AND 100 / (small - 7) > 1",
                "ivide by zero",
            ),
            ("SELECT id FROM n WHERE big > 0 AND big + 1 > 0", "integer out of range"),
        ],
    )
    .await;
    answers(
        &context,
        &[("SELECT id FROM n WHERE big > 0 AND big - 1 > 5 OR id = 4", "1 | 4")],
    )
    .await;
}

#[tokio::test]
async fn plans_without_risk_are_the_engines() {
    let (ours, theirs) = (numbers(true).await, numbers(false).await);
    same_plans(
        [&ours, &theirs],
        &[
            "SELECT id FROM n WHERE id > 5 AND (int = 3 OR small < 4) AND x / 2 > 1 AND lower('A') = 'a'",
            "SELECT id FROM n WHERE d > DATE '2020-01-01' AND int > 3 AND CAST(id AS INT) > 7",
            "SELECT id FROM n WHERE id / 2 > 5 AND int > 3 AND d > '2020-01-01'",
            "SELECT id > 5 AND int < 3 OR small = 1, CASE WHEN id > 5 THEN int ELSE 2 END FROM n",
            "SELECT a.id FROM n AS a JOIN n AS b ON a.id = b.id AND a.int > b.int + 1 AND b.int > 0",
            "SELECT a.id FROM n AS a LEFT JOIN n AS b ON a.id = b.id WHERE a.int > 5 AND (b.int IS NULL OR b.int > 7)",
        ],
    )
    .await;
}

#[tokio::test]
async fn filters_stay_at_their_tables() {
    let guarded = plan(&numbers(true).await, "SELECT id FROM n WHERE int <> 0 AND 5 / int > 0").await;
    let filter = guarded.find("Filter: n.int != Int32(0) AND CAST(CASE WHEN n.int != Int32(0)");
    assert!(filter.is_some() && !guarded.contains("__common_expr"), "{guarded}");
}

#[tokio::test]
async fn guards_do_not_multiply() {
    let context = numbers(true).await;
    let conditions: Vec<String> = (1..20).map(|n| format!("{n}0 / int > {n}")).collect();
    let sql = format!("SELECT id FROM n WHERE {} AND int <> 0", conditions.join(" AND "));
    let guarded = plan(&context, &sql).await;
    let most = conditions.len() * (super::MOST_GUARDS + 1);
    let cases = guarded.matches("CASE").count();
    assert!(
        cases > conditions.len() && cases <= most,
        "{cases} of {most}: {guarded}"
    );
    answers(&context, &[(&sql, "")]).await;
}

#[tokio::test]
async fn what_turns_out_to_be_safe_loses_its_guards() {
    let plan = plan(
        &numbers(true).await,
        "SELECT y FROM (SELECT y + 1 AS y FROM (SELECT small + 1 AS y FROM n WHERE small + 1 > 2) AS a WHERE y + 1 > 3) AS b WHERE y > 4",
    )
    .await;
    assert!(!plan.contains("CASE"), "{plan}");
}

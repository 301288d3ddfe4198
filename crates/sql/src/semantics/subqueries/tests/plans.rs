//! Shapes of plans that what knows how tables lie relies on, and that nothing else makes fast.

use super::session;

/// The optimized plan of a statement, one node a line.
async fn plan(statement: &str) -> Vec<String> {
    let frame = session().await.unwrap().sql(statement).await.unwrap();
    let plan = frame.into_optimized_plan().unwrap().display_indent().to_string();
    plan.lines().map(|line| line.trim().to_owned()).collect()
}

fn count(plan: &[String], node: &str) -> usize {
    plan.iter().filter(|line| line.starts_with(node)).count()
}

#[tokio::test]
async fn subqueries_by_equality_are_semi_joins_of_two_scans() {
    let statements = [
        (
            "EXISTS (SELECT 1 FROM u WHERE u.p = t.p AND u.b > 5)",
            "LeftSemi Join: t.p = ",
        ),
        ("p IN (SELECT p FROM w WHERE c > 1)", "LeftSemi Join: t.p = "),
        ("p = ANY (SELECT p FROM w)", "LeftSemi Join: t.p = "),
        ("NOT EXISTS (SELECT 1 FROM u WHERE u.p = t.p)", "LeftAnti Join: t.p = "),
        ("a NOT IN (SELECT a FROM u WHERE u.p = t.p)", "LeftAnti Join: t.p = "),
        ("a IN (SELECT a FROM u WHERE u.p = t.p)", "LeftSemi Join: "),
        (
            "EXISTS (SELECT 1 FROM u WHERE u.p = t.p AND u.b < t.b)",
            "LeftSemi Join: t.p = ",
        ),
    ];
    for (condition, join) in statements {
        let plan = plan(&format!("SELECT id FROM t WHERE {condition} AND b > 3")).await;
        assert_eq!(count(&plan, join), 1, "{condition}: {plan:#?}");
        assert_eq!(count(&plan, "TableScan"), 2, "{condition}: {plan:#?}");
        assert_eq!(count(&plan, "Aggregate"), 0, "{condition}: {plan:#?}");
    }
}

#[tokio::test]
async fn subqueries_without_nulls_are_plain_anti_joins() {
    for statement in [
        "SELECT a FROM n WHERE a NOT IN (SELECT a FROM m)",
        "SELECT a FROM n WHERE a <> ALL (SELECT a FROM m WHERE m.p = n.p)",
    ] {
        let plan = plan(statement).await;
        assert_eq!(count(&plan, "LeftAnti Join: n."), 1, "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("Filter")), "{plan:#?}");
    }
}

#[tokio::test]
async fn subqueries_by_equality_are_grouped_once() {
    for (subquery, group) in [
        ("(SELECT count(*) FROM u WHERE u.p = t.p)", "Aggregate: groupBy=[[u.p]]"),
        (
            "(SELECT sum(b) + 1 FROM u WHERE u.p = t.p HAVING count(*) > t.a)",
            "Aggregate: groupBy=[[u.p]]",
        ),
        ("EXISTS (SELECT 1 FROM u WHERE u.p = t.p)", "Aggregate: groupBy=[[u.p]]"),
        ("(SELECT b FROM u WHERE u.p = t.p ORDER BY a LIMIT 1)", "WindowAggr"),
    ] {
        let plan = plan(&format!("SELECT id, {subquery} AS x FROM t")).await;
        assert_eq!(count(&plan, "Left Join: t.p = "), 1, "{subquery}: {plan:#?}");
        assert_eq!(count(&plan, group), 1, "{subquery}: {plan:#?}");
        assert_eq!(count(&plan, "TableScan"), 2, "{subquery}: {plan:#?}");
    }
}

#[tokio::test]
async fn subqueries_by_more_than_equality_keep_it_as_a_key() {
    let plan = plan("SELECT id, (SELECT count(*) FROM u WHERE u.p = t.p AND u.b < t.b) AS x FROM t").await;
    assert_eq!(count(&plan, "Left Join: t.p = "), 1, "{plan:#?}");
    assert_eq!(count(&plan, "Inner Join: u.p = "), 1, "{plan:#?}");
    assert_eq!(count(&plan, "TableScan"), 3, "{plan:#?}");
}

#[tokio::test]
async fn subqueries_over_subqueries_do_not_double_the_plan() {
    let mut statement = "WITH c0 AS (SELECT * FROM t)".to_owned();
    for level in 1..=10 {
        let below = level - 1;
        statement += &format!(
            ", c{level} AS (SELECT c.*, (SELECT count(*) FROM u WHERE u.b < c.b) AS n{level} FROM c{below} AS c \
             WHERE EXISTS (SELECT 1 FROM u WHERE u.p = c.p))"
        );
    }
    let plan = plan(&format!("{statement} SELECT * FROM c10")).await;
    assert!(plan.len() < 800, "{} nodes", plan.len());
}

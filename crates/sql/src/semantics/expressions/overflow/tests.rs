//! What whole numbers do at the ends of their types. Expected values are DuckDB's and PostgreSQL's.
#![allow(clippy::unwrap_used)]

use super::super::testing::{answers, failures, numbers, plan, rows, same_plans};

const ADDITION: &str = "integer out of range in an addition, cast an operand to DECIMAL or DOUBLE";

#[tokio::test]
async fn what_leaves_its_type_fails() {
    let context = numbers(true).await;
    failures(
        &context,
        &[
            ("SELECT 9223372036854775807 + 1", ADDITION),
            ("SELECT big + 1 FROM n", ADDITION),
            ("SELECT int + int FROM n", ADDITION),
            ("SELECT sum(big + id) FROM n", ADDITION),
            ("SELECT id FROM n WHERE big + 1 > 0", ADDITION),
            ("SELECT a.id FROM n AS a JOIN n AS b ON a.big + 1 = b.big", ADDITION),
            ("SELECT big - 1 FROM n", "in a subtraction"),
            ("SELECT CAST(int AS INT) * CAST(2 AS INT) FROM n", "in a multiplication"),
            ("SELECT small * small FROM n", "in a multiplication"),
            ("SELECT big * big FROM n", "in a multiplication"),
            ("SELECT -big FROM n", "in a negation"),
            ("SELECT -small FROM n", "in a negation"),
            ("SELECT count(*) FROM n GROUP BY big + 1", ADDITION),
            ("SELECT row_number() OVER (ORDER BY big + 1) FROM n", ADDITION),
            ("SELECT abs(big) FROM n", ""),
            ("SELECT big / -1 FROM n WHERE id = 2", ""),
            ("SELECT id / 0 FROM n", "ivide by zero"),
            ("SELECT id % 0 FROM n", "ivide by zero"),
            ("SELECT d + 2147483647 FROM n", "date out of range in an addition"),
            ("SELECT d - big FROM n", "date out of range in a subtraction"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_stays_within_is_computed() {
    let context = numbers(true).await;
    answers(
        &context,
        &[
            ("SELECT big + 1 FROM n WHERE id > 1", "-9223372036854775807 | NULL | 1"),
            (
                "SELECT int + 1, -int, CAST(int AS BIGINT) * int, CAST(small AS INT) + small FROM n WHERE id = 1",
                "2147483648 -2147483647 4611686014132420609 65534",
            ),
            ("SELECT big % -1 FROM n WHERE id = 2", "0"),
            ("SELECT big + 1, -big, d + id FROM none", ""),
            ("SELECT CAST(NULL AS BIGINT) + 1, NULL + NULL", "NULL NULL"),
            ("SELECT -(-9223372036854775807) + 0", "9223372036854775807"),
            (
                "SELECT CASE WHEN id = 1 THEN 0 ELSE big + 1 END FROM n",
                "0 | -9223372036854775807 | NULL | 1",
            ),
            (
                "SELECT CASE WHEN id > 100 THEN 9223372036854775807 + 1 ELSE id END FROM n",
                "1 | 2 | 3 | 4",
            ),
            ("SELECT id FROM n LIMIT 1 + 1 OFFSET 2 - 1", "2 | 3"),
        ],
    )
    .await;
}

#[tokio::test]
async fn columns_are_named_as_before() {
    let (ours, theirs) = (numbers(true).await, numbers(false).await);
    for sql in [
        "SELECT big + id, -big, big * 2 - id, d + 1, d - id, 1 + 1 FROM n",
        "SELECT big + id, count(*) FROM n GROUP BY big + id ORDER BY big + id",
        "SELECT sum(big + id), max(-big) OVER (PARTITION BY id + big) FROM n GROUP BY big, id",
    ] {
        let names = async |context: &datafusion::prelude::SessionContext| {
            let frame = context.sql(sql).await.unwrap();
            let plan = frame.into_optimized_plan().unwrap();
            plan.schema().field_names()
        };
        assert_eq!(names(&ours).await, names(&theirs).await, "{sql}");
    }
}

#[tokio::test]
async fn plans_without_risk_are_the_engines() {
    let (ours, theirs) = (numbers(true).await, numbers(false).await);
    same_plans(
        [&ours, &theirs],
        &[
            "SELECT int + 1, CAST(small AS BIGINT) * 1000, -CAST(int AS BIGINT), CAST(int AS BIGINT) * int FROM n",
            "SELECT x + 1, x * big, -x FROM n WHERE x / 2 > 1",
            "SELECT d + INTERVAL '1 month', d - DATE '2020-01-01', (d - DATE '2020-01-01') / 365 + 1 FROM n",
            "SELECT a.id FROM n AS a JOIN n AS b ON a.id = b.id AND a.d - b.d + 7 > 0",
            "SELECT big % 100 + 1, CASE WHEN x > 0 THEN int ELSE 5 END + 1, coalesce(int, 0) * 2 FROM n",
            "SELECT date_part('year', d) * 12 + date_part('month', d) FROM n",
            "SELECT count(*), sum(int) FROM n WHERE int BETWEEN 1 AND 5 + 5 GROUP BY small ORDER BY 1 LIMIT 3",
        ],
    )
    .await;
}

#[tokio::test]
async fn long_sums_are_planned_in_no_time() {
    let context = numbers(true).await;
    let sum = ["big"; 300].join(" + ");
    let started = std::time::Instant::now();
    plan(&context, &format!("SELECT {sum} FROM n WHERE {sum} > 0")).await;
    let ours = started.elapsed();
    let context = numbers(false).await;
    let started = std::time::Instant::now();
    plan(&context, &format!("SELECT {sum} FROM n WHERE {sum} > 0")).await;
    let theirs = started.elapsed();
    println!("{ours:?} where the engine takes {theirs:?}");
    assert!(
        ours < theirs * 3 + std::time::Duration::from_millis(500),
        "{ours:?} {theirs:?}"
    );
}

/// An expression of whole numbers, over columns as they are or as DECIMAL, which is the same one for the same seed.
fn random(seed: &mut u64, depth: u32, decimal: bool) -> String {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let choice = (*seed >> 33) % 9;
    let part = |seed: &mut u64| random(seed, depth.saturating_sub(1), decimal);
    let leaf = |name: &str| match decimal {
        true => format!("CAST({name} AS DECIMAL(20, 0))"),
        false => format!("CAST({name} AS BIGINT)"),
    };
    match choice {
        _ if depth == 0 => leaf(["big", "int", "small", "id", "7", "-1", "2000000000", "NULL", "int"][choice as usize]),
        0 | 1 => format!("({} + {})", part(seed), part(seed)),
        2 | 3 => format!("({} - {})", part(seed), part(seed)),
        4 | 5 => format!("({} * {})", part(seed), part(seed)),
        6 => format!("(- {})", part(seed)),
        7 => format!("CASE WHEN id = 1 THEN {} ELSE {} END", part(seed), part(seed)),
        _ => format!("coalesce({}, {})", part(seed), part(seed)),
    }
}

#[tokio::test]
async fn no_number_is_wrong() {
    let (ours, exact) = (numbers(true).await, numbers(false).await);
    let (mut computed, mut failed) = (0, 0);
    for at in 0..40 {
        let [plain, decimal] = [false, true].map(|decimal| random(&mut (at * 977 + 5), 3, decimal));
        for row in 1..=4 {
            let answer = async |context, expr: &str| {
                let sql = format!("SELECT CAST({expr} AS TEXT) FROM n WHERE id = {row}");
                rows(context, &sql).await.map_err(|error| error.to_string())
            };
            match (answer(&ours, &plain).await, answer(&exact, &decimal).await) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, expected, "{plain} in row {row}");
                    computed += 1;
                }
                (Err(error), _) => {
                    assert!(error.contains("integer out of range"), "{plain}: {error}");
                    failed += 1;
                }
                // More digits than DECIMAL has on the way to a number that is multiplied by zero.
                (Ok(_), Err(_)) => {}
            }
        }
    }
    assert!(computed > 40 && failed > 10, "{computed} {failed}");
}

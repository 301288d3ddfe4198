//! Every clause that is refused, by its message; and that what is honoured passes.

use super::check;
use crate::syntax::testing::{query_of, try_parsed};

fn refused(sql: &str) -> String {
    match try_parsed(sql).map(|statement| check(query_of(&statement))) {
        Ok(Ok(())) => "passes".to_owned(),
        Ok(Err(refusal)) => refusal.to_string(),
        Err(error) => format!("is not parsed: {error}"),
    }
}

/// Whether every statement is answered by a message that contains what stands beside it.
fn all(expected: &[(&str, &str)]) {
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(sql, says)| !refused(sql).contains(says))
        .map(|(sql, _)| format!("{sql}: {}", refused(sql)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clauses_that_nobody_honours_are_refused_by_name() {
    all(&[
        ("SELECT a FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        ("SELECT a FROM t FOR UPDATE", "FOR UPDATE"),
        ("SELECT a INTO u FROM t", "INTO"),
        ("SELECT a FROM t LATERAL VIEW explode(a) x", "LATERAL VIEW"),
        ("SELECT a FROM t PREWHERE a > 1", "PREWHERE"),
        ("SELECT a FROM t START WITH a = 1 CONNECT BY PRIOR a = b", "CONNECT BY"),
        ("SELECT a FROM t CLUSTER BY a", "CLUSTER BY"),
        ("SELECT a FROM t DISTRIBUTE BY a", "DISTRIBUTE BY"),
        ("SELECT a FROM t SORT BY a", "SORT BY"),
        ("SELECT TOP 5 a FROM t", "TOP"),
        ("SELECT a FROM t SETTINGS x = 1", "SETTINGS"),
        ("SELECT a FROM t FORMAT CSV", "FORMAT"),
        ("SELECT a FROM t |> WHERE a > 1", "pipe operators"),
        ("SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS WITH TIES", "WITH TIES"),
        ("SELECT a FROM t ORDER BY a FETCH FIRST 2 PERCENT ROWS ONLY", "PERCENT"),
        ("SELECT a FROM t ORDER BY a WITH FILL", "WITH FILL"),
        (
            "SELECT a FROM t LIMIT (SELECT 5)",
            "LIMIT, OFFSET and FETCH take a number",
        ),
        (
            "SELECT a FROM t LIMIT 5 OFFSET ((SELECT 5))",
            "LIMIT, OFFSET and FETCH take a number",
        ),
        ("SELECT a FROM t LIMIT 1 BY a", "LIMIT BY"),
        ("SELECT a, count(*) FROM t GROUP BY a WITH TOTALS", "WITH TOTALS"),
        ("SELECT a, count(*) FROM t GROUP BY 1 WITH ROLLUP", "column's number"),
        ("SELECT a, count(*) FROM t GROUP BY ROLLUP (1)", "column's number"),
        ("SELECT * ILIKE 'a%' FROM t", "* ILIKE"),
        ("SELECT * RENAME (a AS b) FROM t", "* RENAME"),
        ("FROM t", "FROM without SELECT"),
        ("SELECT FROM t", "SELECT without a column"),
    ]);
}

#[test]
fn relations_and_joins_of_other_dialects_are_refused_by_name() {
    all(&[
        (
            "SELECT * FROM t PIVOT (sum(a) FOR b IN (ANY)) AS p",
            "PIVOT needs the values",
        ),
        (
            "SELECT * FROM t PIVOT (sum(a) FOR (b, c) IN ((1, 2))) AS p",
            "PIVOT over several columns",
        ),
        (
            "SELECT * FROM t PIVOT (sum(a) FOR b IN (SELECT 1)) AS p",
            "PIVOT needs the values",
        ),
        ("SELECT * FROM t UNPIVOT (v FOR k IN (a, b)) AS p", "UNPIVOT"),
        (
            "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$.a')) AS j",
            "JSON_TABLE",
        ),
        ("SELECT * FROM t WITH (NOLOCK)", "hints"),
        ("SELECT * FROM t PARTITION (p0)", "PARTITION"),
        ("SELECT * FROM unnest(make_array(1)) WITH ORDINALITY", "WITH ORDINALITY"),
        ("SELECT * FROM TABLE(f(1))", "TABLE(…)"),
        ("SELECT * FROM t GLOBAL JOIN u ON t.a = u.a", "GLOBAL"),
        ("SELECT * FROM t CROSS APPLY (SELECT 1)", "CROSS APPLY"),
        ("SELECT * FROM t OUTER APPLY (SELECT 1)", "OUTER APPLY"),
        ("SELECT * FROM t ASOF JOIN u MATCH_CONDITION (t.a >= u.a)", "ASOF"),
    ]);
}

#[test]
fn expressions_are_refused_without_a_tree_or_a_literal() {
    let expected = [
        ("SELECT a COLLATE \"fr\" FROM t", "COLLATE"),
        ("SELECT ts AT TIME ZONE z FROM t", "AT TIME ZONE"),
        ("SELECT a SIMILAR TO 'secret' FROM t", "SIMILAR TO"),
        ("SELECT a RLIKE 'secret' FROM t", "RLIKE"),
        ("SELECT CAST(a AS DATE FORMAT 'secret') FROM t", "FORMAT"),
        ("SELECT CEIL(ts TO DAY) FROM t", "date_trunc"),
        ("SELECT N'secret'", "literal"),
        (
            "SELECT listagg(a, ',' ON OVERFLOW TRUNCATE 'secret' WITH COUNT) FROM t",
            "ON OVERFLOW",
        ),
        ("SELECT any_value(a HAVING MAX b) FROM t", "HAVING MIN and MAX"),
        ("SELECT array_agg(a LIMIT 3) FROM t", "LIMIT in a function"),
        ("SELECT abs(DISTINCT a) FROM t", "abs is no aggregate"),
        ("SELECT upper(a) OVER () FROM t", "upper is no aggregate"),
        ("SELECT abs(a) FILTER (WHERE a > 1) FROM t", "abs is no aggregate"),
        (
            "SELECT row_number() FILTER (WHERE a > 1) OVER () FROM t",
            "FILTER and DISTINCT",
        ),
        ("SELECT first_value(DISTINCT a) OVER () FROM t", "FILTER and DISTINCT"),
        ("SELECT INTERVAL '1' YEAR TO MONTH", "INTERVAL"),
        ("SELECT a && b FROM t", "array_has_any"),
        ("SELECT (a, b) OVERLAPS (c, d) FROM t", "OVERLAPS"),
        ("SELECT l[:2] FROM t", "both bounds"),
        ("SELECT a -> 'secret' FROM t", "operator ->"),
    ];
    all(&expected);
    for (sql, _) in expected {
        assert!(!refused(sql).contains("secret"), "{sql}");
    }
}

#[test]
fn what_is_honoured_passes() {
    all(&[
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a ORDER BY x DESC NULLS LAST LIMIT 3 OFFSET 1",
        "SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM t",
        "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b",
        "SELECT a FROM t WHERE b = (SELECT max(b) FROM t) GROUP BY a HAVING count(*) > 1",
        "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1",
        "SELECT sum(a) FILTER (WHERE b > 1) OVER (ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
        "SELECT first_value(a ORDER BY b) IGNORE NULLS, percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
        "SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (a), ())",
        "SELECT a, count(*) FROM t GROUP BY a WITH ROLLUP",
        "SELECT * FROM t PIVOT (sum(a) FOR b IN ('x', 'y' AS z)) AS p",
        "SELECT * FROM t LEFT SEMI JOIN u ON t.a = u.a",
        "SELECT * FROM t JOIN u USING (a), unnest(make_array(1, 2)) AS n(x), generate_series(1, 3) AS g(y)",
        "SELECT * FROM t CROSS JOIN LATERAL (SELECT max(u.b) FROM u WHERE u.a = t.a)",
        "SELECT {d '2024-01-01'}, {fn upper('a')}, ts AT TIME ZONE 'Europe/Paris' FROM t",
        "SELECT l[1], l[1:2], s['a'], a @> b, [1, 2], {'k': 1}, MAP {'k': 1} FROM t",
        "SELECT a LIKE 'x%' ESCAPE '!', a = ANY (SELECT b FROM u), EXTRACT(YEAR FROM d), SUBSTRING(a FROM 2 FOR 3) FROM t",
        "SELECT a FROM t UNION ALL BY NAME SELECT a FROM u",
    ]
    .map(|sql| (sql, "passes")));
}

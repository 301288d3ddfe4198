//! Common columns over small tables; the expected rows are those of PostgreSQL 16.

use crate::syntax::testing::{answer, prepared, session};

const TABLES: &str = "CREATE TABLE a (p INT, x INT) AS VALUES (1, 10), (2, 20);
    CREATE TABLE b (p INT, y INT) AS VALUES (2, 200), (3, 300);
    CREATE TABLE c (p INT, z INT) AS VALUES (3, 3000), (4, 4000);
    CREATE TABLE k (q INT, p INT) AS VALUES (7, 1), (8, 3);
    CREATE TABLE o (p INT) AS VALUES (2), (9)";

async fn check(expected: &[(&str, &str)]) {
    let context = session(TABLES).await;
    for (sql, expected) in expected {
        assert_eq!(answer(&context, sql).await, *expected, "{sql}\n{}", prepared(sql));
    }
}

#[tokio::test]
async fn the_common_column_is_that_of_the_side_that_is_kept() {
    check(&[
        ("SELECT p FROM a JOIN b USING (p)", "p|2"),
        (
            "SELECT p, x, y FROM a LEFT JOIN b USING (p)",
            "p,x,y|1,10,NULL|2,20,200",
        ),
        (
            "SELECT p, x, y FROM a RIGHT JOIN b USING (p)",
            "p,x,y|2,20,200|3,NULL,300",
        ),
        (
            "SELECT p, x, y FROM a FULL JOIN b USING (p)",
            "p,x,y|1,10,NULL|2,20,200|3,NULL,300",
        ),
        (
            "SELECT count(p) AS n, count(*) AS m FROM a RIGHT JOIN b USING (p)",
            "n,m|2,2",
        ),
        ("SELECT P + 1 FROM a FULL JOIN b USING (p)", "P + 1|2|3|4"),
        ("SELECT a.p, b.p FROM a FULL JOIN b USING (p)", "p,p|1,NULL|2,2|NULL,3"),
        ("SELECT p FROM a SEMI JOIN b USING (p)", "p|2"),
        ("SELECT p FROM a ANTI JOIN b USING (p)", "p|1"),
        ("SELECT * FROM a ANTI JOIN b USING (p)", "p,x|1,10"),
    ])
    .await;
}

#[tokio::test]
async fn a_star_shows_the_common_column_first_and_once() {
    check(&[
        ("SELECT * FROM a JOIN b USING (p)", "p,x,y|2,20,200"),
        ("SELECT * FROM b LEFT JOIN a USING (p)", "p,y,x|2,200,20|3,300,NULL"),
        (
            "SELECT * FROM a FULL JOIN b USING (p)",
            "p,x,y|1,10,NULL|2,20,200|3,NULL,300",
        ),
        ("SELECT * FROM a RIGHT JOIN k USING (p)", "p,x,q|1,10,7|3,NULL,8"),
        ("SELECT * FROM k RIGHT JOIN a USING (p)", "p,q,x|1,7,10|2,NULL,20"),
        ("SELECT * FROM o FULL JOIN a USING (p)", "p,x|1,10|2,20|9,NULL"),
        (
            "SELECT * FROM o JOIN a USING (p), c WHERE z = 3000",
            "p,x,p,z|2,20,3,3000",
        ),
        ("SELECT * EXCLUDE (p) FROM a JOIN b USING (p)", "x,y|20,200"),
        ("SELECT a.* FROM a RIGHT JOIN b USING (p)", "p,x|2,20|NULL,NULL"),
        (
            "SELECT * FROM (SELECT * FROM a FULL JOIN b USING (p)) s WHERE p > 2",
            "p,x,y|3,NULL,300",
        ),
        (
            "SELECT * FROM (SELECT p FROM a) RIGHT JOIN b USING (p)",
            "p,y|2,200|3,300",
        ),
    ])
    .await;
}

#[tokio::test]
async fn several_joins_share_one_common_column() {
    check(&[
        ("SELECT p FROM a JOIN b USING (p) LEFT JOIN c USING (p)", "p|2"),
        (
            "SELECT p, x, y, z FROM a FULL JOIN b USING (p) FULL JOIN c USING (p)",
            "p,x,y,z|1,10,NULL,NULL|2,20,200,NULL|3,NULL,300,3000|4,NULL,NULL,4000",
        ),
        (
            "SELECT * FROM a FULL JOIN b USING (p) FULL JOIN c USING (p)",
            "p,x,y,z|1,10,NULL,NULL|2,20,200,NULL|3,NULL,300,3000|4,NULL,NULL,4000",
        ),
        (
            "SELECT p, z FROM a FULL JOIN b USING (p) RIGHT JOIN c USING (p)",
            "p,z|3,3000|4,4000",
        ),
        ("SELECT p, q FROM a LEFT JOIN b USING (p) JOIN k USING (p)", "p,q|1,7"),
        (
            "SELECT p, z FROM a FULL JOIN b USING (p) LEFT JOIN c ON c.p = p + 1",
            "p,z|1,NULL|2,3000|3,4000",
        ),
        (
            "SELECT p FROM (a FULL JOIN b USING (p)) FULL JOIN c USING (p)",
            "p|1|2|3|4",
        ),
        (
            "SELECT p FROM a FULL JOIN (b FULL JOIN c USING (p)) USING (p)",
            "p|1|2|3|4",
        ),
        (
            "SELECT l.p, s.p FROM a l JOIN b r USING (p) CROSS JOIN c s WHERE s.z = 4000",
            "p,p|2,4",
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_clause_means_the_same_common_column() {
    check(&[
        ("SELECT x FROM a FULL JOIN b USING (p) WHERE p = 3", "x|NULL"),
        (
            "SELECT p, count(*) AS n FROM a FULL JOIN b USING (p) GROUP BY p ORDER BY p",
            "p,n|1,1|2,1|3,1",
        ),
        (
            "SELECT p, count(*) AS n FROM a RIGHT JOIN b USING (p) GROUP BY p HAVING p > 2",
            "p,n|3,1",
        ),
        ("SELECT x FROM a FULL JOIN b USING (p) ORDER BY p DESC", "x|NULL|20|10"),
        ("SELECT p FROM a RIGHT JOIN b USING (p) ORDER BY p DESC", "p|3|2"),
        ("SELECT p FROM a JOIN b USING (p) ORDER BY p", "p|2"),
        (
            "SELECT DISTINCT p FROM a FULL JOIN b USING (p) ORDER BY p DESC",
            "p|3|2|1",
        ),
        (
            "SELECT DISTINCT p FROM a RIGHT JOIN b USING (p) ORDER BY p DESC",
            "p|3|2",
        ),
        ("SELECT -p AS p FROM a FULL JOIN b USING (p) ORDER BY p", "p|-3|-2|-1"),
        (
            "SELECT p FROM a FULL JOIN b USING (p) QUALIFY row_number() OVER (ORDER BY p DESC) = 1",
            "p|3",
        ),
        (
            "SELECT DISTINCT ON (p) p, y FROM a FULL JOIN b USING (p) ORDER BY p",
            "p,y|1,NULL|2,200|3,300",
        ),
        (
            "SELECT p FROM a FULL JOIN b USING (p) WHERE EXISTS (SELECT 1 FROM c WHERE p = b.p)",
            "p|3",
        ),
        (
            "SELECT p, q, p FROM k RIGHT JOIN a USING (p) ORDER BY 1",
            "p,q,p|1,7,1|2,NULL,2",
        ),
        (
            "SELECT p FROM a FULL JOIN b USING (p) UNION SELECT p FROM c RIGHT JOIN k USING (p)",
            "p|1|2|3",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_column_of_one_among_several_tables_is_left_to_the_engine() {
    check(&[
        (
            "SELECT a.p, z FROM k JOIN a ON k.p = a.p JOIN (SELECT 7 AS q, 1 AS z) s USING (q)",
            "p,z|1,1",
        ),
        (
            "SELECT q, z FROM k JOIN a ON k.p = a.p JOIN (SELECT 7 AS q, 1 AS z) s USING (q)",
            "q,z|7,1",
        ),
        (
            "SELECT q, z FROM k JOIN a ON k.p = a.p RIGHT JOIN (SELECT 9 AS q, 1 AS z) s USING (q)",
            "q,z|9,1",
        ),
        (
            "SELECT q, z FROM k JOIN a ON k.p = a.p LEFT JOIN (SELECT 9 AS q, 1 AS z) s USING (q)",
            "q,z|7,NULL",
        ),
        (
            "SELECT z, w FROM k JOIN a ON k.p = a.p LEFT JOIN (SELECT 9 AS q, 1 AS z) s USING (q) \
          LEFT JOIN (SELECT 7 AS q, 2 AS w) t USING (q)",
            "z,w|NULL,2",
        ),
    ])
    .await;
}

#[test]
fn what_the_text_does_not_say_is_refused_by_name() {
    for (sql, says) in [
        ("SELECT q FROM k JOIN a ON k.p = a.p FULL JOIN s USING (q)", "say ON"),
        (
            "SELECT 1 AS n FROM a JOIN b USING (p) JOIN k USING (p, q)",
            "after several joins",
        ),
        (
            "SELECT * FROM k JOIN a ON k.p = a.p RIGHT JOIN s USING (q)",
            "name the columns",
        ),
        (
            "SELECT p FROM a JOIN b USING (p), c JOIN k USING (p)",
            "say which table's",
        ),
        ("SELECT * EXCLUDE (x) FROM a JOIN b USING (p)", "name the columns"),
        ("SELECT 1 AS n FROM (a JOIN b USING (p)) AS j", "alias of a join"),
        (
            "SELECT 1 AS n FROM a JOIN b USING (p) NATURAL JOIN c",
            "NATURAL and USING",
        ),
        (
            "SELECT 1 AS n FROM o WHERE EXISTS (SELECT 1 FROM a JOIN b USING (p) WHERE EXISTS (SELECT 1 FROM c WHERE z = p))",
            "several queries",
        ),
    ] {
        let said = prepared(sql);
        assert!(said.starts_with("refused") && said.contains(says), "{sql}: {said}");
    }
}

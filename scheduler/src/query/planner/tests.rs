//! Statements are admitted by the classes that they read, each time that they run.

#![allow(clippy::unwrap_used, clippy::panic)]

use datafusion::scalar::ScalarValue;
use parcours_keys::ColumnClass::{self, Health, Identity, Plain, Quasi};

use super::*;
use crate::query::testing::{Claims, all_but, granted, person};

/// Statements over the sharded table, and the classes that each of them reads.
const STATEMENTS: [(&str, &[ColumnClass]); 15] = [
    ("SELECT max(code) AS m FROM claims.dispensing", &[Health]),
    ("SELECT max(site) AS m FROM claims.dispensing", &[Plain]),
    (
        "SELECT count(DISTINCT patient) AS n FROM claims.dispensing",
        &[Identity],
    ),
    (
        "SELECT count(*) AS n FROM claims.dispensing WHERE day > DATE '2020-01-10'",
        &[Quasi],
    ),
    (
        "SELECT count(*) AS n FROM claims.dispensing WHERE code = 'c1'",
        &[Health],
    ),
    (
        "SELECT max(site) AS m FROM claims.dispensing WHERE quantity > 3",
        &[Health, Plain],
    ),
    (
        "SELECT count(site) AS n FROM claims.dispensing GROUP BY day",
        &[Plain, Quasi],
    ),
    (
        "SELECT max(site) AS m FROM claims.dispensing GROUP BY day HAVING max(code) > 'c1'",
        &[Health, Plain, Quasi],
    ),
    ("SELECT site FROM claims.dispensing ORDER BY quantity", &[Health, Plain]),
    (
        "SELECT rank() OVER (PARTITION BY site ORDER BY day) AS r FROM claims.dispensing",
        &[Plain, Quasi],
    ),
    (
        "SELECT max(site) AS m FROM claims.dispensing WHERE day IN (SELECT day FROM claims.dispensing WHERE code = 'c1')",
        &[Health, Plain, Quasi],
    ),
    (
        "SELECT max(site) AS m FROM claims.dispensing WHERE quantity > (SELECT 3 AS n)",
        &[Health, Plain],
    ),
    (
        "WITH w AS (SELECT code, day FROM claims.dispensing) SELECT max(day) AS m FROM w WHERE code <> 'c2'",
        &[Health, Quasi],
    ),
    (
        "SELECT count(*) AS n FROM claims.dispensing AS a JOIN claims.dispensing AS b ON a.patient = b.patient",
        &[Identity],
    ),
    (
        "SELECT max(l.label) AS m FROM claims.label AS l JOIN claims.dispensing AS d ON d.code = l.code",
        &[Health, Plain],
    ),
];

fn denied<T>(answer: Result<T, QueryError>) -> String {
    match answer {
        Err(QueryError::Denied { message }) => message,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("admitted"),
    }
}

/// With exactly the classes that a statement reads it is admitted; without any one of them it is refused, by its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_admitted_by_the_classes_that_it_reads() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    for (sql, reads) in STATEMENTS {
        let view = claims.view("alice", reads.iter().copied());
        let statement = planner
            .prepare(&view, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let touched = statement.admitted.clone().unwrap().touched;
        assert_eq!(touched.classes()["claims"], reads.iter().copied().collect(), "{sql}");
        let opened = view.opened(&touched);
        let reads: BTreeSet<ColumnClass> = opened.reads().into_iter().map(|(_, class)| class).collect();
        assert_eq!(touched.classes()["claims"], reads, "{sql}");
        assert_eq!(&opened.0["claims"].tables, &touched.tables()["claims"], "{sql}");
        for class in reads {
            let said = denied(planner.prepare(&claims.view("alice", all_but(class)), sql).await);
            let named =
                said.starts_with("you are not granted ") && said.contains(&format!("class {class} of dataset claims"));
            assert!(named, "{sql}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_admitted_as_what_it_explains() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let sql = "EXPLAIN SELECT max(code) AS m FROM claims.dispensing";
    planner.prepare(&claims.view("alice", [Health]), sql).await.unwrap();
    assert!(denied(planner.prepare(&claims.view("alice", all_but(Health)), sql).await).contains("class health"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_of_which_nothing_is_granted_does_not_exist() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let mut grant = granted([]);
    grant.allow("omop", [Plain]);
    let view = claims.sessions.view(&person("alice"), grant);
    let refusal = planner
        .prepare(&view, "SELECT count(*) AS n FROM claims.dispensing")
        .await;
    assert!(matches!(refusal, Err(QueryError::NotFound { kind: "table", .. })));
}

/// Whoever is granted nothing has no statement read, be it right or wrong.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_planned_for_whom_nothing_is_granted() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    for view in [
        claims.view("alice", []),
        claims.sessions.view(&person("bob"), Grant::default()),
    ] {
        for sql in ["SELECT 1 AS one", "SELEC 1", "", "SELECT * FROM claims.dispensing"] {
            assert_eq!(denied(planner.prepare(&view, sql).await), NOTHING_GRANTED, "{sql}");
        }
    }
}

/// A statement that was prepared is looked at again when it is run: with its parameters, and under what is granted then.
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_admitted_again_when_it_runs() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let (before, now) = (
        claims.view("alice", ColumnClass::ALL),
        claims.view("alice", all_but(Health)),
    );
    let plain = planner
        .prepare(&before, "SELECT max(code) AS m FROM claims.dispensing")
        .await
        .unwrap();
    planner.admit(&before, &plain, plain.plan.clone()).unwrap();
    assert!(denied(planner.admit(&now, &plain, plain.plan.clone())).contains("class health"));
    let sql = "SELECT max(site) AS m FROM claims.dispensing WHERE quantity > $1";
    let bound = planner.prepare(&before, sql).await.unwrap();
    assert!(bound.admitted.is_none(), "nothing was bound");
    let plan = bound
        .plan
        .clone()
        .with_param_values(vec![ScalarValue::Int32(Some(3))])
        .unwrap();
    planner.admit(&before, &bound, plan.clone()).unwrap();
    assert!(denied(planner.admit(&now, &bound, plan)).contains("class health"));
}

/// The schema of a statement whose parameters are not bound tells names and types of columns, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_parameters_is_told_of_to_whom_it_is_granted() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let reads: [(&str, &[ColumnClass]); 6] = [
        ("SELECT code FROM claims.dispensing WHERE site = $1", &[Health, Plain]),
        (
            "SELECT max(site) AS m FROM claims.dispensing WHERE day > $1",
            &[Plain, Quasi],
        ),
        ("SELECT $1 AS it, code FROM claims.dispensing", &[Health]),
        (
            "SELECT site FROM claims.dispensing AS d WHERE EXISTS \
             (SELECT 1 FROM claims.label AS l WHERE l.code = d.code AND l.label = $1)",
            &[Health, Plain],
        ),
        (
            "WITH all_of_it AS (SELECT * FROM claims.dispensing) SELECT max(day) AS m FROM all_of_it WHERE site = $1",
            &[Plain, Quasi],
        ),
        (
            "EXPLAIN SELECT code FROM claims.dispensing WHERE site = $1",
            &[Health, Plain],
        ),
    ];
    for (sql, classes) in reads {
        let view = claims.view("alice", classes.iter().copied());
        let statement = planner.prepare(&view, sql).await;
        assert!(statement.is_ok(), "{sql}: {:?}", statement.err());
        for class in classes {
            let said = denied(planner.prepare(&claims.view("alice", all_but(*class)), sql).await);
            assert!(
                said.contains(&format!("class {class} of dataset claims")),
                "{sql}: {said}"
            );
        }
    }
}

/// Parameters stand wherever they may, their types known or not.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_prepared_wherever_they_stand() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    for rest in [
        "quantity BETWEEN $1 AND $2",
        "quantity IN ($1, $2, 3)",
        "code LIKE $1",
        "substr(code, $1) = $2",
        "day + $1 * INTERVAL '1 day' > DATE '2020-01-10'",
        "CASE WHEN $1 > 3 THEN code = 'c1' ELSE site = $2 END",
        "coalesce($1, code) = code",
        "quantity > (SELECT max(quantity) - $1 AS m FROM claims.dispensing)",
        "code IN (SELECT code FROM claims.label WHERE label = $1)",
        "quantity > $1 ORDER BY day LIMIT $2",
        "quantity > $1 OR ($2 AND day IS NULL)",
    ] {
        let sql = format!("SELECT site FROM claims.dispensing WHERE {rest}");
        let statement = planner.prepare(&view, &sql).await;
        assert!(statement.is_ok(), "{sql}: {:?}", statement.err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_run_by_whoever_prepared_it() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let (alice, bob) = (
        claims.view("alice", ColumnClass::ALL),
        claims.view("bob", ColumnClass::ALL),
    );
    let statement = planner
        .prepare(&alice, "SELECT count(*) AS n FROM claims.dispensing")
        .await
        .unwrap();
    planner.admit(&alice, &statement, statement.plan.clone()).unwrap();
    let said = denied(planner.admit(&bob, &statement, statement.plan.clone()));
    assert_eq!(said, "the statement was prepared by somebody else");
}

/// Ties are broken by columns that are read anyway, or by the order of the table where its columns are granted.
#[tokio::test(flavor = "multi_thread")]
async fn no_column_is_read_for_an_order_that_is_not_granted() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let sql = "SELECT site FROM claims.dispensing LIMIT 3";
    for classes in [vec![Plain], vec![Plain, Identity], ColumnClass::ALL.to_vec()] {
        let view = claims.view("alice", classes.iter().copied());
        let statement = planner.prepare(&view, sql).await.unwrap();
        let read = statement.admitted.unwrap().touched.classes()["claims"].clone();
        assert!(
            read.iter().all(|class| classes.contains(class)),
            "{classes:?}: {read:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_query_is_named_and_refused() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    for (sql, named) in [
        ("DROP TABLE claims.dispensing", "DROP TABLE"),
        ("INSERT INTO claims.label VALUES ('c9', 'x')", "INSERT"),
        ("DELETE FROM claims.label", "DELETE"),
        ("UPDATE claims.label SET label = 'x'", "UPDATE"),
        ("COPY claims.label TO '/tmp/stolen.csv'", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("EXPLAIN DELETE FROM claims.label", "DELETE"),
    ] {
        match planner.prepare(&view, sql).await {
            Err(QueryError::ReadOnly { statement }) => assert_eq!(statement, named, "{sql}"),
            Err(other) => panic!("{sql}: {other}"),
            Ok(_) => panic!("{sql} was admitted"),
        }
    }
}

/// What is offered for a misspelt name is granted, or was named by the statement itself.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_offered_that_is_not_granted() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let misspelt = "SELECT quantit FROM claims.dispensing";
    let in_two = "SELECT cod FROM claims.dispensing";
    let derived = "SELECT amoun FROM (SELECT site AS amount FROM claims.dispensing) AS d";
    let no_table = "SELECT 1 AS n FROM claims.labels";
    for (classes, sql, name, is_offered) in [
        (ColumnClass::ALL.to_vec(), misspelt, "quantity", true),
        (all_but(Health).collect(), misspelt, "quantity", false),
        (all_but(Health).collect(), in_two, "code", true),
        (vec![Quasi], in_two, "code", false),
        (vec![Plain], derived, "amount", true),
        (ColumnClass::ALL.to_vec(), no_table, "claims.label", true),
        (vec![Health], no_table, "claims.label", false),
    ] {
        let refusal = planner.prepare(&claims.view("alice", classes.clone()), sql).await;
        let said = refusal.err().unwrap().to_string();
        assert!(said.contains("not found"), "{sql}: {said}");
        let (_, offers) = said.split_once("did you mean ").unwrap_or_default();
        let mut offers = offers.trim_end_matches('?').split(", ");
        assert_eq!(
            offers.any(|offer| offer == name),
            is_offered,
            "{sql} of {classes:?}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_runs_nothing() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    let sql = "EXPLAIN ANALYZE SELECT max(code) AS m FROM claims.dispensing";
    let refusal = planner.prepare(&view, sql).await.err().unwrap();
    assert_eq!(refusal.to_string(), "EXPLAIN ANALYZE is not available, use EXPLAIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_and_functions_are_found_as_tables() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    for sql in [
        "SELECT table_name FROM information_schema.tables",
        "SELECT value FROM generate_series(1, 3)",
    ] {
        planner
            .prepare(&view, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let refusal = planner.prepare(&view, "SELECT * FROM claims.dispensings").await;
    assert!(matches!(refusal, Err(QueryError::NotFound { kind: "table", .. })));
}

/// What is optimized, and looked at, is the statement with its ties broken.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_optimized_with_its_ties_broken() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    let state = claims.sessions.context(&view, "planning", 1, None).unwrap().state();
    let sql = "SELECT site, day FROM claims.dispensing ORDER BY site LIMIT 3";
    let statement = planner.prepare(&view, sql).await.unwrap();
    let admitted = statement.admitted.unwrap();
    assert_ne!(admitted.plan, statement.plan);
    assert_eq!(admitted.optimized, optimized(&state, &admitted.plan).unwrap());
}

/// The keys of a join are those of the patient, wherever these stand among others; without a patient they stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_goes_by_patient_alone_if_a_pair_of_its_keys_is_one() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    let state = claims.sessions.context(&view, "planning", 1, None).unwrap().state();
    for (on, keys) in [
        (
            "a.patient = b.patient AND a.code = b.code AND a.site = b.site",
            vec!["a.patient = b.patient"],
        ),
        (
            "a.code = b.code AND a.patient = b.patient AND a.site = b.site",
            vec!["a.patient = b.patient"],
        ),
        (
            "a.code = b.code AND a.site = b.site AND a.patient = b.patient",
            vec!["a.patient = b.patient"],
        ),
        (
            "a.code = b.code AND a.site = b.site",
            vec!["a.code = b.code", "a.site = b.site"],
        ),
        // Of one side only it is a patient.
        (
            "a.patient = b.code AND a.site = b.site",
            vec!["a.patient = b.code", "a.site = b.site"],
        ),
        (
            "a.code = b.patient AND a.site = b.site",
            vec!["a.code = b.patient", "a.site = b.site"],
        ),
    ] {
        let sql = format!("SELECT count(*) AS n FROM claims.dispensing AS a JOIN claims.dispensing AS b ON {on}");
        let statement = planner.prepare(&view, &sql).await.unwrap();
        let plan = optimized(&state, &statement.plan).unwrap();
        let mut found = Vec::new();
        plan.apply(|node| {
            if let LogicalPlan::Join(join) = node {
                found.extend(join.on.iter().map(|(left, right)| format!("{left} = {right}")));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        found.sort_unstable();
        assert_eq!(found, keys, "{on}");
    }
}

/// `INTERSECT` takes NULL for the same as NULL. By patient and more, it is a join by patient whose other keys still are.
#[tokio::test(flavor = "multi_thread")]
async fn other_keys_of_a_join_by_patient_are_compared_as_they_were() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", ColumnClass::ALL);
    let state = claims.sessions.context(&view, "planning", 1, None).unwrap().state();
    let of = "SELECT patient, code FROM claims.dispensing";
    for (sql, compared, not) in [
        (
            format!("{of} INTERSECT {of} WHERE quantity > 3"),
            " IS NOT DISTINCT FROM ",
            " = ",
        ),
        (
            format!("SELECT a.code FROM ({of}) AS a JOIN ({of}) AS b ON a.patient = b.patient AND a.code = b.code"),
            " = ",
            " IS NOT DISTINCT FROM ",
        ),
    ] {
        let statement = planner.prepare(&view, &sql).await.unwrap();
        let plan = optimized(&state, &statement.plan).unwrap();
        let mut conditions = Vec::new();
        plan.apply(|node| {
            if let LogicalPlan::Join(join) = node {
                assert_eq!(join.on.len(), 1, "{plan}");
                conditions.extend(join.filter.iter().map(ToString::to_string));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        let right = |condition: &String| condition.contains(compared) && !condition.contains(not);
        assert!(
            conditions.len() == 1 && conditions.iter().all(right),
            "{sql}: {conditions:?}"
        );
    }
}

/// Names of WITH, each of which computes its column from the one before, and what is asked of the last.
fn composed(names: usize, column: &str, asked: &str) -> String {
    let next = |n: usize| format!("c{n} AS (SELECT {column} AS x FROM c{})", n - 1);
    let with = (1..=names).map(next).collect::<Vec<_>>().join(", ");
    format!("WITH c0 AS (SELECT quantity AS x FROM claims.dispensing), {with} SELECT x FROM c{names} {asked}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_grow_beyond_its_limit_is_refused_before_it_grows() {
    let claims = Claims::load().await;
    let planner = Planner::new(claims.sessions.clone());
    let view = claims.view("alice", [Health]);
    let said = async |sql: String| {
        planner
            .prepare(&view, &sql)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let sums = format!("x{}", " + 1".repeat(100));
    for (sql, limit) in [
        (composed(150, &sums, ""), "1000 deep"),
        (composed(60, "x + x", "WHERE x > 0"), "500000 parts"),
        (composed(60, "coalesce(x, 1)", "WHERE x > 0"), "500000 parts"),
        (
            composed(
                60,
                "x + x",
                "WHERE EXISTS (SELECT 1 FROM claims.dispensing d WHERE d.quantity = x)",
            ),
            "500000 parts",
        ),
    ] {
        let refused = said(sql).await.unwrap_err();
        assert!(refused.contains(limit), "{refused}");
    }
    for sql in [composed(5, &sums, "WHERE x > 0"), composed(8, "x + x", "WHERE x > 0")] {
        said(sql).await.unwrap();
    }
}

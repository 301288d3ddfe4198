//! Which columns a plan reads, and which classes they are of.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use parcours_keys::ColumnClass::{Health, Identity, Plain, Quasi};

use super::*;
use crate::query::testing::{Claims, SHARDS, all_but, granted};

/// A scan of the sharded table that gives these columns out and looks at `quantity` in its filter.
async fn scan(projection: Option<Vec<usize>>) -> LogicalPlan {
    let claims = Claims::load().await;
    let view = claims.view("alice", ColumnClass::ALL);
    let table = Arc::clone(&view.datasets["claims"].tables["dispensing"]);
    let filters = vec![col("quantity").gt(lit(3))];
    LogicalPlanBuilder::scan_with_filters("dispensing", provider_as_source(table), projection, filters)
        .and_then(LogicalPlanBuilder::build)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_a_filter_alone_touches_is_read() {
    let touched = touched(&scan(Some(vec![4])).await).unwrap();
    assert_eq!(touched.classes()["claims"], [Health, Plain].into());
    touched.admit(&granted([Health, Plain])).unwrap();
    let refusal = touched.admit(&granted(all_but(Health))).unwrap_err();
    let said = "you are not granted class health of dataset claims (columns dispensing.quantity)";
    assert_eq!(refusal.to_string(), said);
    assert!(matches!(refusal, QueryError::Denied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_projection_every_column_is_read() {
    let touched = touched(&scan(None).await).unwrap();
    assert_eq!(touched.classes()["claims"], ColumnClass::ALL.into());
    for class in ColumnClass::ALL {
        assert!(touched.admit(&granted(all_but(class))).is_err(), "{class}");
    }
    let refusal = touched.admit(&granted([Quasi, Identity])).unwrap_err().to_string();
    for said in [
        "dispensing.code, dispensing.quantity",
        "; class plain of dataset claims (columns dispensing.site)",
    ] {
        assert!(refusal.contains(said), "{refusal}");
    }
    assert_eq!(touched.partitions(), SHARDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_of_another_dataset_are_no_classes_of_this_one() {
    let touched = touched(&scan(Some(vec![4])).await).unwrap();
    let mut other = Grant::default();
    other.allow("omop", ColumnClass::ALL);
    assert!(touched.admit(&other).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filters_columns_are_known_to_be_read() {
    let claims = Claims::load().await;
    let view = claims.view("alice", ColumnClass::ALL);
    let table = view.datasets["claims"].tables["dispensing"].table();
    let touched = touched(&scan(Some(vec![4])).await).unwrap();
    assert!(touched.reads(table, "quantity") && touched.reads(table, "site"));
    assert!(!touched.reads(table, "code"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_those_of_all_tables_together() {
    let one = scan(Some(vec![4])).await;
    let bytes = |plan: &LogicalPlan| touched(plan).unwrap().bytes;
    let both = LogicalPlanBuilder::from(one.clone()).union(one.clone()).unwrap();
    assert!(bytes(&one) > 0);
    assert_eq!(bytes(&both.build().unwrap()), 2 * bytes(&one));
}

#[test]
fn small_shards_are_handed_out_together() {
    let shards = |bytes, partitions| {
        let touched = Touched {
            bytes,
            partitions,
            ..Touched::default()
        };
        touched.shards_of_a_task()
    };
    assert_eq!(shards(64 << 20, 16), 4);
    assert_eq!(shards(3 << 20, 1), 5);
    assert_eq!(shards(1 << 40, 16), 1, "a shard is worth a task");
    assert_eq!(shards(0, 16), 16 << 20, "all of them");
}

/// A plan that cannot be optimized reads what it names, in whichever subquery.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_not_optimized_reads_the_columns_that_it_names() {
    let claims = Claims::load().await;
    let view = claims.view("alice", ColumnClass::ALL);
    let state = claims.sessions.context(&view, "planning", 1, None).unwrap().state();
    for (sql, classes) in [
        ("SELECT site FROM claims.dispensing WHERE day > $1", vec![Plain, Quasi]),
        (
            "SELECT site FROM claims.dispensing AS d WHERE EXISTS \
             (SELECT 1 FROM claims.label AS l WHERE l.label = d.patient AND l.label = $1)",
            vec![Identity, Plain],
        ),
        ("SELECT * FROM claims.dispensing", ColumnClass::ALL.to_vec()),
    ] {
        let plan = state.create_logical_plan(sql).await.unwrap();
        let touched = named_in(&plan).unwrap();
        assert_eq!(touched.classes()["claims"], classes.into_iter().collect(), "{sql}");
        assert_eq!(touched.partitions(), SHARDS, "{sql}");
    }
}

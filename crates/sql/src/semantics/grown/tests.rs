//! What would grow is refused before it grows, by the limit that it would pass; what fits is left alone.
#![allow(clippy::unwrap_used)]

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::logical_plan::table_scan;
use datafusion::logical_expr::{LogicalPlanBuilder, col, exists, lit, out_ref_col};

use super::*;

fn table() -> LogicalPlanBuilder {
    let schema = Schema::new(vec![Field::new("x", DataType::Int64, true)]);
    table_scan(Some("t"), &schema, None).unwrap()
}

/// A table below so many queries, each of which computes its column from the one of the query before.
fn nested(times: usize, column: impl Fn(Expr) -> Expr) -> LogicalPlanBuilder {
    (0..times).fold(table(), |below, _| {
        below.project([column(col("x")).alias("x")]).unwrap()
    })
}

fn sum_of(terms: usize) -> impl Fn(Expr) -> Expr {
    move |column| (0..terms).fold(column, |sum, _| sum + lit(1_i64))
}

fn said(plan: LogicalPlanBuilder) -> Option<String> {
    let refused = check(&plan.build().unwrap()).err();
    refused.map(|refusal| refusal.to_string())
}

#[test]
fn chains_of_chains_are_refused_on_a_small_stack() {
    let (fits, does_not) = (nested(9, sum_of(100)), nested(200, sum_of(100)));
    let small = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        assert_eq!(said(fits), None);
        let refused = said(does_not).unwrap();
        assert!(refused.contains("1000 deep"), "{refused}");
    });
    small.unwrap().join().unwrap();
}

#[test]
fn conditions_on_what_doubles_are_refused_and_columns_are_not() {
    let doubled = |times| nested(times, |column| column.clone() + column);
    assert_eq!(said(doubled(100)), None);
    let asked = |times| doubled(times).filter(col("x").gt(lit(0_i64))).unwrap();
    assert_eq!(said(asked(12)), None);
    let refused = said(asked(40)).unwrap();
    assert!(
        refused.starts_with("an expression has more than 500000 parts"),
        "{refused}"
    );
}

#[test]
fn values_that_have_their_columns_in_them_are_bounded() {
    let list: fn(Expr) -> Expr = |value| make_array(vec![value.clone(), value]);
    assert_eq!(said(nested(5, list)), None);
    assert!(said(nested(30, list)).unwrap().contains("500000 parts"));
}

#[test]
fn long_constants_are_not_written_into_each_row() {
    let of = |below: LogicalPlanBuilder, bytes: usize| {
        let plan = below
            .project([lit("x".repeat(bytes)).alias("c")])
            .unwrap()
            .build()
            .unwrap();
        check_optimized(&plan).err().map(|refusal| refusal.to_string())
    };
    assert_eq!(of(table(), 60_000), None);
    assert!(of(table(), 70_000).unwrap().contains("65536 bytes"));
    assert_eq!(of(LogicalPlanBuilder::empty(true), 70_000), None);
    let compared = table().filter(lit("x".repeat(70_000)).not_eq(lit("y"))).unwrap();
    assert!(check_optimized(&compared.build().unwrap()).is_ok());
}

#[test]
fn a_subquery_is_measured_with_the_columns_around_it() {
    let inner = |condition| table().filter(condition).unwrap().build().unwrap();
    let around = |times| {
        let condition = out_ref_col(DataType::Int64, "x").gt(lit(0_i64));
        let subquery = exists(inner(condition).into());
        nested(times, |column| column.clone() + column)
            .filter(subquery)
            .unwrap()
    };
    assert_eq!(said(around(10)), None);
    assert!(said(around(40)).unwrap().contains("parts"));
}

#[test]
fn what_the_engine_writes_twice_counts_twice() {
    let within = |times: usize, form: fn(Expr) -> Expr| {
        let value = (0..times).fold(col("x"), |value, _| form(value));
        said(table().project([value]).unwrap())
    };
    let either: fn(Expr) -> Expr = |value| coalesce(vec![value, lit(1_i64)]);
    assert_eq!(within(10, either), None);
    assert!(within(40, either).unwrap().contains("500000 parts"));
}

#[test]
fn conditions_that_come_together_are_counted() {
    let asked = |times: usize| {
        let condition = |n: usize| col("x").not_eq(lit(n as i64));
        let filters = 0..times / 100;
        filters.fold(table(), |below, n| {
            let hundred = (1..100).fold(condition(n), |both, m| both.and(condition(m)));
            below.filter(hundred).unwrap()
        })
    };
    assert_eq!(said(asked(5_000)), None);
    assert!(said(asked(5_200)).unwrap().contains("5000 conditions"));
}

#[test]
fn totals_are_not_written_in_the_place_of_their_columns() {
    let counted = nested(40, |column| column.clone() + column)
        .aggregate(
            [lit(1_i64).alias("one")],
            [datafusion::functions_aggregate::expr_fn::sum(col("x")).alias("x")],
        )
        .unwrap();
    assert_eq!(said(counted.filter(col("x").gt(lit(0_i64))).unwrap()), None);
}

#[test]
fn an_optimized_plan_may_have_a_long_chain_of_conditions() {
    let chain = (1..3_000_i64).fold(col("x").not_eq(lit(0_i64)), |both, n| both.and(col("x").not_eq(lit(n))));
    let plan = table().filter(chain).unwrap().build().unwrap();
    let large = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
        check_optimized(&plan).unwrap();
        check(&plan).unwrap();
    });
    large.unwrap().join().unwrap();
}

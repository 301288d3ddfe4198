//! The oracle itself: DuckDB reads the original files with the types that we expect, and the figures that the data's
//! publisher states come out.

use anyhow::Result;
use parcours_tests::oracle::Oracle;
use parcours_tests::query;
use parcours_tests::rows::{Order, Value};

#[test]
fn every_query_has_an_answer_and_some_have_none() -> Result<()> {
    for dataset in ["claims", "omop"] {
        let Some(oracle) = Oracle::of(dataset)? else {
            return Ok(());
        };
        let (mut empty, mut nulls) = (0, 0);
        for query in query::all(dataset)? {
            let answer = oracle.answer(&query)?;
            answer.compare(&answer, query.order)?;
            empty += usize::from(answer.rows.is_empty());
            nulls += answer
                .rows
                .iter()
                .flatten()
                .filter(|value| **value == Value::Null)
                .count();
        }
        assert_eq!(empty, 1, "{dataset}: one query finds nothing");
        assert!(nulls > 20, "{dataset}: the answers hold {nulls} NULLs");
    }
    Ok(())
}

#[test]
fn the_published_files_are_read_whole() -> Result<()> {
    let Some(oracle) = Oracle::of("claims")? else {
        return Ok(());
    };
    let queries = query::all("claims")?;
    let named = |name: &str| {
        queries
            .iter()
            .find(|query| query.name == name)
            .expect("a query of this name")
    };
    let stays = oracle.answer(named("20_whole_stays"))?;
    assert_eq!((stays.rows.len(), stays.columns.len()), (225, 30));
    let histogram = oracle.answer(named("02_dispensings_histogram"))?;
    let people: i128 = histogram
        .rows
        .iter()
        .map(|row| if let Value::Number(n) = row[1] { n } else { 0 })
        .sum();
    assert_eq!(people, 500, "the sample has 500 people");
    assert_eq!(named("02_dispensings_histogram").order, Order::Total);
    let gaps = oracle.answer(named("06_gaps_between_dispensings"))?;
    assert_eq!(gaps.rows.len(), 17_443, "one row a dispensing");
    Ok(())
}

//! Values are the engine's within the limits, and none beyond them is made.
#![allow(clippy::unwrap_used)]

use super::super::testing::{answer, found, session};

/// Calls whose value is one character longer than it may be, over a column and over constants.
const BEYOND: [(&str, &str); 10] = [
    ("repeat", "repeat(c, 1000000000)"),
    ("repeat", "repeat(c, 1048577)"),
    ("lpad", "lpad(c, 2000000000)"),
    ("lpad", "lpad(c, 300000, 'é')"),
    ("rpad", "rpad(c, 1048577, 'xy')"),
    ("replace", "replace(repeat(c, 2000), 'x', repeat('y', 1000))"),
    (
        "regexp_replace",
        "regexp_replace(repeat(c, 2000), 'x', repeat('y', 1000), 'g')",
    ),
    ("concat", "concat(repeat(c, 600000), repeat('y', 600000))"),
    ("concat_ws", "concat_ws(repeat(c, 600000), 'a', 'b', 'c')"),
    (
        "array_to_string",
        "array_to_string(make_array(c, c, c), repeat('y', 600000))",
    ),
];

#[tokio::test]
async fn no_value_is_longer_than_the_limit() {
    let session = session(1);
    for (function, call) in BEYOND {
        let over_rows = format!("SELECT octet_length({call}) AS n FROM (VALUES ('x'), ('x')) AS t (c)");
        let constant = call.replace("(c", "('x'").replace(" c", " 'x'");
        let over_a_constant = format!("SELECT octet_length({constant}) AS n");
        for sql in [over_rows, over_a_constant] {
            let said = answer(&session, &sql).await.unwrap_err();
            let named = said.contains(&format!("{function} would make a text of more than 1 MiB"));
            assert!(named, "{sql}: {said}");
        }
    }
}

#[tokio::test]
async fn rows_that_are_computed_together_have_a_limit_of_their_own() {
    let session = session(1);
    // The session computes seven rows at once: as many as have less than a mebibyte each are within the limit.
    let rows = "unnest(['x', 'x', 'x', 'x', 'x', 'x', 'x']) AS t (c)";
    let seven = &format!("SELECT sum(octet_length(repeat(c, 1000000))) AS n FROM {rows}");
    assert_eq!(found(&session, seven).await, ["7000000"]);
    let said = super::check_sum("repeat", super::MOST_AT_ONCE + 1)
        .unwrap_err()
        .to_string();
    assert!(said.contains("64 MiB"), "{said}");
}

#[tokio::test]
async fn values_within_the_limits_are_the_engines() {
    let session = session(1);
    for (call, expected) in [
        ("repeat('ab', 3)", "ababab"),
        ("repeat('ab', -1)", ""),
        ("lpad('é', 3, 'xy')", "xyé"),
        ("rpad('abc', 2)", "ab"),
        ("replace('abab', 'b', 'ccc')", "acccaccc"),
        ("regexp_replace('foobar', 'o(.)', 'X\\1', 'g')", "fXobar"),
        ("overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4)", "Thomas"),
        ("concat('a', NULL, 'b')", "ab"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("array_to_string(make_array('a', NULL, 'b'), ',', '?')", "a,?,b"),
        ("octet_length(repeat('x', 1048576))", "1048576"),
        (
            "octet_length(replace(repeat('x', 100000), 'y', repeat('z', 1000)))",
            "100000",
        ),
        (
            "octet_length(regexp_replace(repeat('x', 9000), 'y', repeat('z', 1000), 'g'))",
            "9000",
        ),
    ] {
        let values = found(&session, &format!("SELECT {call} AS v")).await;
        assert_eq!(values, [expected], "{call}");
    }
}

#[tokio::test]
async fn what_is_computed_in_pieces_is_put_together_in_order() {
    let session = session(1);
    let replaced = "regexp_replace(repeat(c, 9000), 'b', repeat('z', 1800), 'g')";
    let rows = "(VALUES ('ax'), ('x'), ('cy')) AS t (c)";
    let sql = format!("SELECT octet_length(v) AS n, left(v, 2) AS b FROM (SELECT {replaced} AS v FROM {rows})");
    assert_eq!(found(&session, &sql).await, ["18000,ax", "9000,xx", "18000,cy"]);
}

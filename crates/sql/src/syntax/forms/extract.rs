//! `EXTRACT` of decades, centuries and millennia, which the engine lacks: arithmetic on the year, as PostgreSQL counts.
//! The first century is of the years 1 to 100.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, DateTimeField, Expr, Value};

use super::{binary, bracketed};
use crate::syntax::built::{argument, call, cast};

/// Rewrites an extraction of many years at once.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Extract { field, .. } = expr else {
        return;
    };
    let (years, first) = match field {
        DateTimeField::Decade => ("10", 0),
        DateTimeField::Century => ("100", 1),
        DateTimeField::Millennium | DateTimeField::Millenium => ("1000", 1),
        _ => return,
    };
    *field = DateTimeField::Year;
    let year = super::taken(expr);
    *expr = match first {
        0 => floored(year, years),
        _ => bracketed(binary(
            floored(binary(year, BinaryOperator::Minus, number("1")), years),
            BinaryOperator::Plus,
            number("1"),
        )),
    };
}

/// Returns `CAST(floor((year) / years.0) AS INT)`: integers would be cut towards zero.
fn floored(year: Expr, years: &str) -> Expr {
    let share = binary(bracketed(year), BinaryOperator::Divide, number(&format!("{years}.0")));
    let floor = call("floor", vec![argument(share)]);
    cast(floor, DataType::Int(None))
}

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_owned(), false))
}

#[cfg(test)]
mod tests {
    use crate::syntax::testing::{answer, session};

    /// The expected numbers are those of PostgreSQL's documentation and of its regression test `date`.
    #[tokio::test]
    async fn decades_centuries_and_millennia_as_postgresql_counts() {
        let context = session("").await;
        for (field, day, expected) in [
            ("CENTURY", "2000-12-16", "20"),
            ("CENTURY", "2001-02-16", "21"),
            ("CENTURY", "1900-12-31", "19"),
            ("CENTURY", "1901-01-01", "20"),
            ("CENTURY", "0001-01-01", "1"),
            ("DECADE", "1994-12-25", "199"),
            ("DECADE", "2001-02-16", "200"),
            ("DECADE", "0010-01-01", "1"),
            ("DECADE", "0009-12-31", "0"),
            ("MILLENNIUM", "2000-12-31", "2"),
            ("MILLENNIUM", "2001-01-01", "3"),
            ("MILLENNIUM", "1000-12-31", "1"),
        ] {
            let sql = format!("SELECT EXTRACT({field} FROM DATE '{day}') AS x");
            assert_eq!(answer(&context, &sql).await, format!("x|{expected}"), "{sql}");
        }
        assert_eq!(
            answer(&context, "SELECT extract(century FROM CAST(NULL AS DATE)) + 1 AS x").await,
            "x|NULL"
        );
    }
}

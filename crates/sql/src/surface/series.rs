//! How long a series is that a statement writes as a list: `generate_series(1, 10)` outside FROM. It is one value, which the
//! scheduler already computes while it plans, so that only constants are taken, and not many. In FROM a series comes in rows.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

/// The functions that make a series.
const SERIES: [&str; 2] = ["range", "generate_series"];

/// The longest series.
pub(super) const LONGEST: u128 = 100_000;

const DAY: i128 = 86_400_000_000;

/// Whether a call makes a series that may be longer than allowed, or whose length the statement does not say.
pub(super) fn is_too_long(name: &str, arguments: &[Expr]) -> bool {
    SERIES.contains(&name) && length(arguments).is_none_or(|length| length > LONGEST)
}

/// How many values there are at most; none if that is not known.
fn length(arguments: &[Expr]) -> Option<u128> {
    let counted: Vec<Counted> = arguments.iter().map(counted).collect::<Option<_>>()?;
    // Of a series without values, the engine says so itself.
    if counted.contains(&Counted::Nothing) {
        return Some(0);
    }
    let amounts: Vec<i128> = counted.iter().filter_map(Counted::amount).collect();
    let (from, to, step) = match amounts.as_slice() {
        [to] => (0, *to, 1),
        [from, to] => (*from, *to, 1),
        [from, to, step] => (*from, *to, *step),
        _ => return None,
    };
    Some(to.abs_diff(from).checked_div(step.unsigned_abs())? + 1)
}

/// A constant as an amount: whole numbers as they are, moments and intervals in microseconds.
#[derive(PartialEq)]
enum Counted {
    Amount(i128),
    Nothing,
}

impl Counted {
    fn amount(&self) -> Option<i128> {
        match self {
            Self::Amount(amount) => Some(*amount),
            Self::Nothing => None,
        }
    }
}

fn counted(expr: &Expr) -> Option<Counted> {
    match expr {
        Expr::Literal(value, _) => amount(value),
        Expr::Negative(inner) => Some(match counted(inner)? {
            Counted::Amount(amount) => Counted::Amount(-amount),
            Counted::Nothing => Counted::Nothing,
        }),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => amount(&value.cast_to(cast.field.data_type()).ok()?),
            _ => None,
        },
        _ => None,
    }
}

fn amount(value: &ScalarValue) -> Option<Counted> {
    if value.is_null() {
        return Some(Counted::Nothing);
    }
    let amount = match value {
        ScalarValue::Int8(Some(n)) => i128::from(*n),
        ScalarValue::Int16(Some(n)) => i128::from(*n),
        ScalarValue::Int32(Some(n)) => i128::from(*n),
        ScalarValue::Int64(Some(n)) => i128::from(*n),
        ScalarValue::UInt8(Some(n)) => i128::from(*n),
        ScalarValue::UInt16(Some(n)) => i128::from(*n),
        ScalarValue::UInt32(Some(n)) => i128::from(*n),
        ScalarValue::UInt64(Some(n)) => i128::from(*n),
        ScalarValue::Date32(Some(days)) => i128::from(*days) * DAY,
        ScalarValue::TimestampSecond(Some(n), _) => i128::from(*n) * 1_000_000,
        ScalarValue::TimestampMillisecond(Some(n), _) => i128::from(*n) * 1_000,
        ScalarValue::TimestampMicrosecond(Some(n), _) => i128::from(*n),
        ScalarValue::TimestampNanosecond(Some(n), _) => i128::from(*n) / 1_000,
        ScalarValue::IntervalMonthDayNano(Some(step)) => {
            // No month is shorter.
            let days = i128::from(step.months) * 28 + i128::from(step.days);
            days * DAY + i128::from(step.nanoseconds) / 1_000
        }
        _ => return None,
    };
    Some(Counted::Amount(amount))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn the_length_of_a_series_is_known_from_constants_alone() {
        for (arguments, expected) in [
            (vec![lit(5)], Some(6)),
            (vec![lit(1), lit(10)], Some(10)),
            (vec![lit(10_i64), lit(1), lit(-3)], Some(4)),
            (vec![lit(1), Expr::Negative(Box::new(lit(3)))], Some(5)),
            (vec![lit(1), lit(ScalarValue::Int64(None))], Some(0)),
            (vec![lit(i64::MIN), lit(i64::MAX)], Some(1 << 64)),
            (vec![lit(1), lit(3), lit(0)], None),
            (vec![lit(1), col("g")], None),
            (vec![lit(1), lit(10) + lit(10)], None),
            (vec![], None),
        ] {
            assert_eq!(length(&arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn series_of_days_are_counted_in_days() {
        let day = |days| lit(ScalarValue::Date32(Some(days)));
        let step = |months, days| lit(ScalarValue::new_interval_mdn(months, days, 0));
        assert_eq!(length(&[day(0), day(364), step(0, 1)]), Some(365));
        assert!(length(&[day(0), day(364), step(1, 0)]).unwrap() >= 12);
        assert!(is_too_long("range", &[day(0), day(200_000), step(0, 1)]));
        assert!(!is_too_long("repeat", &[lit("x"), col("g")]));
    }
}

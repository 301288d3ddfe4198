//! Dates, timestamps and intervals as PostgreSQL has them:
//!
//! - [`arithmetic`] decides while a statement is planned, since types depend on it: `date ± n` are days, `date ± interval` is a
//!   timestamp where the interval may have hours, `n * interval` is an interval.
//! - [`timestamps`] plans TIMESTAMP as one of microseconds, as tables have them.

mod arithmetic;
mod intervals;
#[cfg(test)]
mod tests;
mod timestamps;
mod truncation;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::ScalarUDF;

pub(super) use arithmetic::DateArithmetic;
pub(super) use intervals::{INTERVAL, NANOSECONDS_A_DAY};
pub(super) use timestamps::Microseconds;
pub(super) use truncation::truncated;

/// The functions that plans get here.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    intervals::functions().chain([truncation::function()])
}

/// A timestamp of microseconds without a zone.
pub(super) const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Refuses a date or timestamp beside a number. `where_` says what they have to do with each other.
pub(super) fn refuse_numbers<'a>(types: impl Iterator<Item = &'a DataType> + Clone, where_: &str) -> Result<()> {
    let number = types.clone().any(|of| of.is_numeric());
    let date = types
        .clone()
        .any(|of| matches!(of, DataType::Date32 | DataType::Date64));
    let timestamp = types.clone().any(|of| matches!(of, DataType::Timestamp(..)));
    match (number, date, timestamp) {
        (true, true, _) => plan_err!("a date is {where_} a number, write DATE '2020-01-31'"),
        (true, _, true) => plan_err!("a timestamp is {where_} a number, write TIMESTAMP '2020-01-31 08:30:00'"),
        _ => Ok(()),
    }
}

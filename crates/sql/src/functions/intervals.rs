//! Intervals and dates out of numbers: `to_years(n)` to `to_microseconds(n)` as in DuckDB, `make_date(year, month,
//! day)`, and `age(a, b)`, which counts years, months and days as PostgreSQL does.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::calendar::{DAY, Date, Moment, Moments, Unit, whole};
use super::columnar::{arguments, over_arrays, plain};
use super::date_diff::dated;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Interval(Unit),
    Date,
    Age,
}

/// What is made, and the names of the functions that make it.
const FUNCTIONS: [(&str, Made); 15] = [
    ("to_millennia", Made::Interval(Unit::Millennium)),
    ("to_centuries", Made::Interval(Unit::Century)),
    ("to_decades", Made::Interval(Unit::Decade)),
    ("to_years", Made::Interval(Unit::Year)),
    ("to_quarters", Made::Interval(Unit::Quarter)),
    ("to_months", Made::Interval(Unit::Month)),
    ("to_weeks", Made::Interval(Unit::Week)),
    ("to_days", Made::Interval(Unit::Day)),
    ("to_hours", Made::Interval(Unit::Hour)),
    ("to_minutes", Made::Interval(Unit::Minute)),
    ("to_seconds", Made::Interval(Unit::Second)),
    ("to_milliseconds", Made::Interval(Unit::Millisecond)),
    ("to_microseconds", Made::Interval(Unit::Microsecond)),
    ("make_date", Made::Date),
    ("age", Made::Age),
];

/// The functions.
pub(super) fn made() -> impl Iterator<Item = ScalarUDF> {
    let signature = || Signature::user_defined(Volatility::Immutable);
    FUNCTIONS.into_iter().map(move |(name, made)| {
        ScalarUDF::from(Maker {
            name,
            made,
            signature: signature(),
        })
    })
}

#[derive(Debug)]
struct Maker {
    name: &'static str,
    made: Made,
    signature: Signature,
}

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Maker {}

impl std::hash::Hash for Maker {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Maker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_whole = |of: &DataType| plain(of).is_integer() || of.is_null();
        match (self.made, types) {
            (Made::Interval(_), [of]) if is_whole(of) => Ok(vec![DataType::Int64]),
            (Made::Interval(unit), [of]) if unit.micros().is_some() && plain(of).is_numeric() => {
                Ok(vec![DataType::Float64])
            }
            (Made::Date, [_, _, _]) if types.iter().all(is_whole) => Ok(vec![DataType::Int64; 3]),
            (Made::Age, [from, to]) => Ok(vec![dated("age", from)?, dated("age", to)?]),
            (Made::Interval(_), _) => plan_err!("{} takes a whole number", self.name),
            (Made::Date, _) => plan_err!("make_date takes a year, a month and a day, all whole numbers"),
            (Made::Age, _) => plan_err!("age takes two dates or timestamps, for example age(current_date, born)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.made {
            Made::Date => DataType::Date32,
            _ => DataType::Interval(IntervalUnit::MonthDayNano),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| match self.made {
            Made::Interval(unit) => self.intervals(unit, arrays),
            Made::Date => dates(arrays),
            Made::Age => ages(arrays),
        })
    }
}

impl Maker {
    fn out_of_range(&self) -> DataFusionError {
        exec_datafusion_err!("{} is out of range of INTERVAL", self.name)
    }

    fn intervals(&self, unit: Unit, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let [counts] = arguments(self.name, arrays)?;
        let intervals = (0..counts.len()).map(|row| {
            let interval = match counts.as_primitive_opt::<Float64Type>() {
                Some(counts) if counts.is_valid(row) => parts_of(unit, counts.value(row)),
                Some(_) => return Ok(None),
                None => match whole(counts, row)? {
                    Some(count) => interval(unit, count),
                    None => return Ok(None),
                },
            };
            interval.map(Some).ok_or_else(|| self.out_of_range())
        });
        Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
    }
}

/// Returns the interval of so many units, if there is one.
fn interval(unit: Unit, count: i64) -> Option<IntervalMonthDayNano> {
    let of = |months: i64, days: i64, nanos: i64| {
        let (months, days) = (i32::try_from(months).ok()?, i32::try_from(days).ok()?);
        Some(IntervalMonthDayNano::new(months, days, nanos))
    };
    match (unit.months(), unit.micros()) {
        (Some(months), _) => of(months.checked_mul(count)?, 0, 0),
        (_, Some(micros)) => of(0, 0, micros.checked_mul(1_000)?.checked_mul(count)?),
        _ if unit == Unit::Week => of(0, count.checked_mul(7)?, 0),
        _ => of(0, count, 0),
    }
}

/// Returns the interval of a fraction of a unit, to the microsecond.
fn parts_of(unit: Unit, count: f64) -> Option<IntervalMonthDayNano> {
    let micros = (count * unit.micros()? as f64).round();
    // Doubles beyond 2^53 are no exact microseconds, and 2^53 of them are 285 years.
    let known = micros.abs() <= (1_i64 << 53) as f64;
    let nanos = known.then_some(micros as i64)?.checked_mul(1_000)?;
    Some(IntervalMonthDayNano::new(0, 0, nanos))
}

fn dates(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let [years, months, days] = arguments("make_date", arrays)?;
    let dates = (0..years.len()).map(|row| {
        let (Some(year), Some(month), Some(day)) = (whole(years, row)?, whole(months, row)?, whole(days, row)?) else {
            return Ok(None);
        };
        let date = Date { year, month, day };
        let known = year.unsigned_abs() < 5_000_000 && (1..=12).contains(&month);
        if !known || day < 1 || day > date.month_length() {
            return Err(exec_datafusion_err!(
                "make_date is given a year, a month and a day that are no date"
            ));
        }
        let number = i32::try_from(date.number());
        number
            .map(Some)
            .map_err(|_| exec_datafusion_err!("make_date is out of range of DATE"))
    });
    Ok(Arc::new(dates.collect::<Result<Date32Array>>()?))
}

fn ages(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let [to, from] = arguments("age", arrays)?;
    let (to, from) = (Moments::of(to)?, Moments::of(from)?);
    let ages = to.iter().zip(from.iter()).map(|(to, from)| {
        let (Some(to), Some(from)) = (to?, from?) else {
            return Ok(None);
        };
        let age = age(to, from).ok_or_else(|| exec_datafusion_err!("age is out of range of INTERVAL"))?;
        Ok(Some(age))
    });
    Ok(Arc::new(ages.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Returns the years, months, days and the time from one moment to another, the days of a month being those of the
/// month in which the earlier one lies.
fn age(to: Moment, from: Moment) -> Option<IntervalMonthDayNano> {
    if to < from {
        let age = age(from, to)?;
        return Some(IntervalMonthDayNano::new(-age.months, -age.days, -age.nanoseconds));
    }
    let (late, early) = (Date::of(to.day), Date::of(from.day));
    let mut micros = to.micros - from.micros;
    let mut days = late.day - early.day;
    let mut months = (late.year - early.year) * 12 + late.month - early.month;
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    if days < 0 {
        days += early.month_length();
        months -= 1;
    }
    let months = i32::try_from(months).ok()?;
    Some(IntervalMonthDayNano::new(
        months,
        i32::try_from(days).ok()?,
        micros * 1_000,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answer, answers, refused, session};

    #[tokio::test]
    async fn numbers_become_intervals() {
        answers(
            "SELECT to_days(3), to_months(-14), to_years(2), to_weeks(1)",
            "3 days,-14 mons,24 mons,7 days",
        )
        .await;
        answers(
            "SELECT to_hours(25), to_minutes(1), to_seconds(1.5), to_milliseconds(1), to_days(NULL)",
            "25 hours,1 mins,1.500000000 secs,0.001000000 secs,NULL",
        )
        .await;
        answers(
            "SELECT date '2024-01-31' + to_days(1), date '2024-01-31' - to_months(2)",
            "2024-02-01,2023-11-30",
        )
        .await;
        let rows = answer(
            &session(2),
            "SELECT date '2024-01-30' + to_days(n) FROM (VALUES (1), (NULL), (-30)) t(n)",
        )
        .await;
        assert_eq!(rows.unwrap(), ["2024-01-31", "NULL", "2023-12-31"]);
        refused(
            "SELECT to_years(9223372036854775807)",
            "to_years is out of range of INTERVAL",
        )
        .await;
        refused(
            "SELECT to_hours(9223372036854775807)",
            "to_hours is out of range of INTERVAL",
        )
        .await;
        refused("SELECT to_days(1.5)", "to_days takes a whole number").await;
        refused("SELECT to_days('1')", "to_days takes a whole number").await;
    }

    #[tokio::test]
    async fn dates_are_made_of_three_numbers() {
        answers(
            "SELECT make_date(2024, 2, 29), make_date(1, 1, 1), make_date(9999, 12, 31), make_date(2024, NULL, 1)",
            "2024-02-29,0001-01-01,9999-12-31,NULL",
        )
        .await;
        refused("SELECT make_date(2023, 2, 29)", "are no date").await;
        refused("SELECT make_date(2023, 13, 1)", "are no date").await;
        refused("SELECT make_date(9223372036854775807, 1, 1)", "are no date").await;
    }

    #[tokio::test]
    async fn ages_are_as_in_postgresql() {
        let ages = "SELECT age(timestamp '2001-04-10 00:00:00', timestamp '1957-06-13 00:00:00'), \
                    age(date '2024-03-31', date '2024-02-29'), age(date '2024-02-29', date '2024-03-31'), \
                    age(timestamp '2024-03-01 01:00:00', timestamp '2024-01-31 02:00:00')";
        answers(ages, "525 mons 27 days,1 mons 2 days,-1 mons -2 days,1 mons 23 hours").await;
        answers(
            "SELECT age(date '9999-12-31', date '0001-01-01'), age(NULL, date '0001-01-01')",
            "119987 mons 30 days,NULL",
        )
        .await;
        refused("SELECT age(date '2024-03-31')", "age takes two dates").await;
    }
}

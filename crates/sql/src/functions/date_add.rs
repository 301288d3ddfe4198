//! `date_add('unit', n, d)`, or `dateadd`; `date_add(d, days)`; `date_add(d, interval)`; and `add_months(d, n)`. What
//! is added to a date in days or longer units is a date; all else are timestamps in microseconds.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::{Date, Moment, Moments, Unit, whole};
use super::columnar::{MICROSECONDS, is_text, over_arrays};
use super::date_diff::dated;
use super::text::Texts;

/// Both functions.
pub(super) fn additions() -> [ScalarUDF; 2] {
    let of = |name, aliases: &[&str]| {
        ScalarUDF::from(Addition {
            name,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        })
    };
    [of("date_add", &["dateadd"]), of(ADD_MONTHS, &[])]
}

const ADD_MONTHS: &str = "add_months";
const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Addition {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Addition {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let counts = |of: &DataType| of.is_integer() || of.is_null();
        match types {
            [unit, count, to] if is_text(unit) && counts(count) && self.name != ADD_MONTHS => {
                Ok(vec![unit.clone(), DataType::Int64, zoneless(dated(self.name, to)?)])
            }
            // As in Spark, a text is a date to which days or months are added.
            [to, count] if counts(count) => match is_text(to) {
                true => Ok(vec![DataType::Date32, DataType::Int64]),
                false => Ok(vec![zoneless(dated(self.name, to)?), DataType::Int64]),
            },
            [to, DataType::Interval(_)] if self.name != ADD_MONTHS => {
                Ok(vec![zoneless(dated(self.name, to)?), INTERVAL])
            }
            _ if self.name == ADD_MONTHS => plan_err!("add_months takes a date and a whole number of months"),
            _ => plan_err!(
                "{} takes a unit, a whole number and a date; or a date and a number of days",
                self.name
            ),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} depends on its unit", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<&DataType> = args.arg_fields.iter().map(|field| field.data_type()).collect();
        let dates = match types.as_slice() {
            [of, by] => **of == DataType::Date32 && **by != INTERVAL,
            [_, _, of] => {
                let unit = self.constant_unit(args.scalar_arguments)?;
                **of == DataType::Date32 && unit.is_none_or(|unit| unit.micros().is_none())
            }
            _ => return plan_err!("{} does not take {} arguments", self.name, types.len()),
        };
        let of = if dates { DataType::Date32 } else { MICROSECONDS };
        Ok(Arc::new(Field::new(self.name, of, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let dates = *args.return_type() == DataType::Date32;
        over_arrays(&args, |arrays| match arrays {
            [to, by] if *by.data_type() == INTERVAL => self.all(to, dates, |row, to| {
                let by = by.as_primitive::<IntervalMonthDayNanoType>();
                Ok(by.is_valid(row).then(|| by.value(row)).map(|by| {
                    let months = (i64::from(by.months), i64::from(by.days));
                    later(to, months.0, months.1, by.nanoseconds.div_euclid(1_000))
                }))
            }),
            [to, count] => self.all(to, dates, |row, to| {
                let count = whole(count, row)?;
                Ok(count.map(|count| match self.name == ADD_MONTHS {
                    true => later(to, count, 0, 0),
                    false => later(to, 0, count, 0),
                }))
            }),
            [unit, count, to] => {
                let (units, mut known) = (Texts::of(unit)?, None);
                self.all(to, dates, |row, to| {
                    let unit = units.parsed(row, &mut known, |name| Unit::named(self.name, name))?;
                    let (Some(unit), Some(count)) = (unit.copied(), whole(count, row)?) else {
                        return Ok(None);
                    };
                    Ok(Some(plus(to, unit, count)))
                })
            }
            _ => exec_err!("{} does not take {} arguments", self.name, arrays.len()),
        })
    }
}

impl Addition {
    /// Returns the unit, which has to be a constant, since the type depends on it; none if it is NULL.
    fn constant_unit(&self, args: &[Option<&ScalarValue>]) -> Result<Option<Unit>> {
        match args.first() {
            Some(Some(unit)) => match unit.try_as_str() {
                Some(Some(name)) => Unit::named(self.name, name).map(Some),
                _ => Ok(None),
            },
            _ => plan_err!("the unit of {} is a constant, such as 'day'", self.name),
        }
    }

    /// Computes the moment that `add` makes of each row's.
    fn all(
        &self,
        to: &ArrayRef,
        dates: bool,
        mut add: impl FnMut(usize, Moment) -> Result<Option<Option<Moment>>>,
    ) -> Result<ArrayRef> {
        let to = Moments::of(to)?;
        let mut row = 0;
        let sums = to.iter().map(|to| {
            let sum = to?.map(|to| add(row, to)).transpose()?.flatten();
            row += 1;
            // What no sum is known of is one that is out of range.
            sum.map(|sum| sum.ok_or_else(|| self.out_of_range())).transpose()
        });
        if !dates {
            let stamp = |sum: Moment| sum.timestamp().ok_or_else(|| self.out_of_range());
            let stamps = sums.map(|sum| sum?.map(stamp).transpose());
            return Ok(Arc::new(stamps.collect::<Result<TimestampMicrosecondArray>>()?));
        }
        let day = |sum: Moment| i32::try_from(sum.day).map_err(|_| self.out_of_range());
        let days = sums.map(|sum| sum?.map(day).transpose());
        Ok(Arc::new(days.collect::<Result<Date32Array>>()?))
    }

    fn out_of_range(&self) -> datafusion::common::DataFusionError {
        exec_datafusion_err!("{} is out of range of dates", self.name)
    }
}

/// Returns the type of a timestamp without its zone: sums have none.
fn zoneless(of: DataType) -> DataType {
    match of {
        DataType::Timestamp(unit, _) => DataType::Timestamp(unit, None),
        of => of,
    }
}

fn plus(to: Moment, unit: Unit, count: i64) -> Option<Moment> {
    match (unit.months(), unit.micros()) {
        (Some(months), _) => later(to, months.checked_mul(count)?, 0, 0),
        (_, Some(micros)) => later(to, 0, 0, micros.checked_mul(count)?),
        _ if unit == Unit::Week => later(to, 0, count.checked_mul(7)?, 0),
        _ => later(to, 0, count, 0),
    }
}

/// Returns the moment so many months, then days, then microseconds later; none if there is no such date.
pub(super) fn later(to: Moment, months: i64, days: i64, micros: i64) -> Option<Moment> {
    let day = match months {
        0 => to.day,
        months => Date::of(to.day).plus_months(months)?.number(),
    };
    let day = day.checked_add(days)?;
    let time = Moment::of(to.micros.checked_add(micros)?);
    let day = day.checked_add(time.day)?;
    // All dates that a type has are within these.
    (day.unsigned_abs() <= 1 << 31).then_some(Moment {
        day,
        micros: time.micros,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn units_are_added() {
        for (unit, count, expected) in [
            ("day", "3", "2024-02-03"),
            ("month", "1", "2024-02-29"),
            ("months", "-2", "2023-11-30"),
            ("year", "-1", "2023-01-31"),
            ("quarter", "1", "2024-04-30"),
            ("week", "-1", "2024-01-24"),
            ("decade", "1", "2034-01-31"),
            ("hour", "25", "2024-02-01T01:00:00"),
            ("us", "-1", "2024-01-30T23:59:59.999999"),
        ] {
            answers(
                &format!("SELECT dateadd('{unit}', {count}, date '2024-01-31')"),
                expected,
            )
            .await;
        }
        let late = "arrow_cast('9999-12-30T12:00:00', 'Timestamp(Microsecond, None)')";
        answers(
            &format!("SELECT date_add('day', 1, {late}), dateadd('minute', 90, '2024-02-28 23:00:00')"),
            "9999-12-31T12:00:00,2024-02-29T00:30:00",
        )
        .await;
        answers("SELECT dateadd('day', NULL, date '2024-01-31'), dateadd('day', 1, NULL), dateadd(NULL, 1, date '2024-01-31')", "NULL,NULL,NULL").await;
        refused(
            "SELECT dateadd('day', 9223372036854775807, date '2024-01-31')",
            "out of range",
        )
        .await;
        refused(
            "SELECT dateadd('year', 9223372036854775807, date '2024-01-31')",
            "out of range",
        )
        .await;
        refused(
            "SELECT dateadd('year', 400000, timestamp '2024-01-31 00:00:00')",
            "out of range",
        )
        .await;
        refused(
            "SELECT dateadd('moon', 1, date '2024-01-31')",
            "does not know such a unit",
        )
        .await;
        refused(
            "SELECT dateadd(u, 1, date '2024-01-31') FROM (VALUES ('day')) t(u)",
            "is a constant",
        )
        .await;
        refused("SELECT dateadd('day', 1.5, date '2024-01-31')", "a whole number").await;
    }

    #[tokio::test]
    async fn days_intervals_and_months_are_added() {
        answers(
            "SELECT date_add(date '2024-02-28', 2), date_add('2024-02-28', -1), date_add(date '9999-12-30', 1)",
            "2024-03-01,2024-02-27,9999-12-31",
        )
        .await;
        answers("SELECT date_add(date '2024-01-31', INTERVAL '1 month 1 hour'), arrow_typeof(date_add(date '2024-01-31', INTERVAL '1 day'))", "2024-02-29T01:00:00,Timestamp(µs)").await;
        answers("SELECT add_months(date '2024-01-31', 1), add_months('2024-03-31', -1), add_months(timestamp '2024-01-31 10:00:00', 1)", "2024-02-29,2024-02-29,2024-02-29T10:00:00").await;
        let sql = "SELECT add_months(d, n), date_add(d, n), dateadd('hour', n, d) FROM (VALUES (date '2023-01-31', 1), (NULL, 1), (date '2023-01-31', NULL)) t(d, n)";
        assert_eq!(
            found(&session(2), sql).await,
            [
                "2023-02-28,2023-02-01,2023-01-31T01:00:00",
                "NULL,NULL,NULL",
                "NULL,NULL,NULL"
            ]
        );
        refused("SELECT add_months(date '2024-01-31', 'x')", "add_months").await;
    }
}

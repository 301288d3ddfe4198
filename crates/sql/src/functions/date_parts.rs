//! `year`, `month`, `day` and the other parts of dates and timestamps that DuckDB has as functions, all BIGINT; the
//! names of days and months; and `last_day` of a month.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::functions::expr_fn::date_part;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};

use super::calendar::{Date, HOUR, Moment, Moments, SECOND, iso_week, weekday};
use super::columnar::{arguments, moment, over_arrays};
use super::patterns::{DAYS, MONTHS};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Year,
    Quarter,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Week,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    DayName,
    MonthName,
    LastDay,
}

/// Parts, and the names of the functions that give them.
const PARTS: [(Part, &[&str]); 15] = [
    (Part::Year, &["year"]),
    (Part::Quarter, &["quarter"]),
    (Part::Month, &["month"]),
    (Part::Day, &["day", "dayofmonth"]),
    (Part::Hour, &["hour"]),
    (Part::Minute, &["minute"]),
    (Part::Second, &["second"]),
    (Part::Week, &["week", "weekofyear"]),
    (Part::IsoYear, &["isoyear"]),
    (Part::DayOfWeek, &["dayofweek", "weekday"]),
    (Part::IsoDayOfWeek, &["isodow"]),
    (Part::DayOfYear, &["dayofyear"]),
    (Part::DayName, &["dayname"]),
    (Part::MonthName, &["monthname"]),
    (Part::LastDay, &["last_day"]),
];

/// The functions.
pub(super) fn parts() -> impl Iterator<Item = ScalarUDF> {
    PARTS.into_iter().filter_map(|(part, names)| {
        let (name, aliases) = names.split_first()?;
        Some(ScalarUDF::from(PartOf {
            part,
            name,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PartOf {
    part: Part,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for PartOf {
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
        let [of] = types else {
            return plan_err!("{} takes one argument", self.name);
        };
        let of_time = matches!(self.part, Part::Hour | Part::Minute | Part::Second);
        match moment(of) {
            Some(of) if of_time || !matches!(of, DataType::Time64(_)) => Ok(vec![of]),
            _ => plan_err!("{} takes a date or a timestamp, not a value of type {of}", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::LastDay => DataType::Date32,
            Part::DayName | Part::MonthName => DataType::Utf8,
            _ => DataType::Int64,
        })
    }

    /// Executors have a faster way for the commonest parts under the engine's name.
    fn simplify(&self, mut args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let plain = match args.first() {
            Some(of) => matches!(
                context.get_data_type(of)?,
                DataType::Date32 | DataType::Timestamp(_, None)
            ),
            None => false,
        };
        let part = match self.part {
            Part::Year if plain => "year",
            Part::Month if plain => "month",
            Part::Day if plain => "day",
            _ => return Ok(ExprSimplifyResult::Original(args)),
        };
        let part = date_part(lit(part), args.swap_remove(0));
        Ok(ExprSimplifyResult::Simplified(cast(part, DataType::Int64)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| {
            let [values] = arguments(self.name, arrays)?;
            let moments = Moments::of(values)?;
            Ok(match self.part {
                Part::LastDay => Arc::new(moments.iter().map(last_day).collect::<Result<Date32Array>>()?) as ArrayRef,
                Part::DayName | Part::MonthName => {
                    let names = moments
                        .iter()
                        .map(|moment| Ok(moment?.and_then(|moment| self.name_of(moment))));
                    Arc::new(names.collect::<Result<StringArray>>()?)
                }
                part => {
                    let numbers = moments
                        .iter()
                        .map(|moment| Ok(moment?.map(|moment| number(part, moment))));
                    Arc::new(numbers.collect::<Result<Int64Array>>()?)
                }
            })
        })
    }
}

impl PartOf {
    fn name_of(&self, moment: Moment) -> Option<&'static str> {
        let (names, at): (&[&'static str], i64) = match self.part {
            Part::DayName => (&DAYS, weekday(moment.day)),
            _ => (&MONTHS, Date::of(moment.day).month - 1),
        };
        names.get(usize::try_from(at).ok()?).copied()
    }
}

fn number(part: Part, of: Moment) -> i64 {
    let date = || Date::of(of.day);
    match part {
        Part::Year => date().year,
        Part::Quarter => (date().month - 1) / 3 + 1,
        Part::Month => date().month,
        Part::Hour => of.micros / HOUR,
        Part::Minute => of.micros / (60 * SECOND) % 60,
        Part::Second => of.micros / SECOND % 60,
        Part::Week => iso_week(of.day).1,
        Part::IsoYear => iso_week(of.day).0,
        Part::DayOfWeek => (weekday(of.day) + 1) % 7,
        Part::IsoDayOfWeek => weekday(of.day) + 1,
        Part::DayOfYear => day_of_year(of.day),
        _ => date().day,
    }
}

/// Returns the day of the year, from 1 on.
pub(super) fn day_of_year(day: i64) -> i64 {
    let first = Date {
        month: 1,
        day: 1,
        ..Date::of(day)
    };
    day - first.number() + 1
}

fn last_day(of: Result<Option<Moment>>) -> Result<Option<i32>> {
    let Some(of) = of? else { return Ok(None) };
    let date = Date::of(of.day);
    let last = Date {
        day: date.month_length(),
        ..date
    }
    .number();
    match i32::try_from(last) {
        Ok(last) => Ok(Some(last)),
        Err(_) => Err(exec_datafusion_err!("last_day is out of range of DATE")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn parts_are_as_in_duckdb() {
        let parts = |of: &str| {
            format!(
                "SELECT year({of}), month({of}), day({of}), hour({of}), minute({of}), second({of}), quarter({of}), week({of}), \
                 dayofweek({of}), dayofyear({of}), isodow({of}), isoyear({of})"
            )
        };
        answers(&parts("date '2024-12-31'"), "2024,12,31,0,0,0,4,1,2,366,2,2025").await;
        answers(&parts("date '0001-01-01'"), "1,1,1,0,0,0,1,1,1,1,1,1").await;
        let late = "arrow_cast('9999-12-31T23:59:59.999999', 'Timestamp(Microsecond, None)')";
        answers(&parts(late), "9999,12,31,23,59,59,4,52,5,365,5,9999").await;
        answers(
            &parts("'1969-12-31 23:59:59.5'"),
            "1969,12,31,23,59,59,4,1,3,365,3,1970",
        )
        .await;
        answers(&parts("NULL"), &["NULL"; 12].join(",")).await;
        let sunday = "SELECT dayofweek(d), isodow(d), weekday(d), dayname(d), monthname(d), last_day(d) FROM (VALUES (date '2024-02-04')) t(d)";
        answers(sunday, "0,7,0,Sunday,February,2024-02-29").await;
        answers(
            "SELECT hour(time '10:11:12'), minute(time '10:11:12'), second(time '10:11:12')",
            "10,11,12",
        )
        .await;
        answers(
            "SELECT arrow_typeof(year(date '2020-01-01')), arrow_typeof(last_day(date '2020-01-01'))",
            "Int64,Date32",
        )
        .await;
        refused("SELECT year(5)", "year takes a date or a timestamp").await;
        refused("SELECT year(time '10:11:12')", "year takes a date or a timestamp").await;
    }

    #[tokio::test]
    async fn columns_and_zones_work() {
        let sql = "SELECT year(d), month(d), day(d), last_day(d), dayofyear(d), week(d) FROM \
                   (VALUES (date '2021-01-03'), (NULL), (date '1900-02-10')) t(d)";
        let rows = [
            "2021,1,3,2021-01-31,3,53",
            "NULL,NULL,NULL,NULL,NULL,NULL",
            "1900,2,10,1900-02-28,41,6",
        ];
        assert_eq!(found(&session(2), sql).await, rows);
        let zone = "arrow_cast('2020-01-01T00:30:00Z', 'Timestamp(Second, Some(\"America/New_York\"))')";
        answers(&format!("SELECT year({zone}), hour({zone})"), "2019,19").await;
        let text = "arrow_cast('2020-02-03', 'Dictionary(Int32, Utf8)')";
        answers(&format!("SELECT month({text})"), "2").await;
    }
}

//! `date_diff('unit', a, b)`, or `datediff`: how many times a unit begins between two moments, as in DuckDB; and
//! `datediff(end, start)`: the days between them, as in Spark.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::calendar::{DAY, Date, Moment, Moments, Unit, iso_week};
use super::columnar::{is_text, moment, over_arrays};
use super::text::Texts;

/// The function.
pub(super) fn date_diff() -> ScalarUDF {
    ScalarUDF::from(DateDiff {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["datediff".to_owned()],
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateDiff {
    signature: Signature,
    aliases: Vec<String>,
}

/// Returns the type of a date or a timestamp.
pub(super) fn dated(function: &str, of: &DataType) -> Result<DataType> {
    match moment(of) {
        Some(of) if !matches!(of, DataType::Time64(_)) => Ok(of),
        _ => plan_err!("{function} takes a date or a timestamp, not a value of type {of}"),
    }
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        "date_diff"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [unit, from, to] if is_text(unit) => {
                Ok(vec![DataType::Utf8, dated("date_diff", from)?, dated("date_diff", to)?])
            }
            [to, from] => Ok(vec![dated("date_diff", to)?, dated("date_diff", from)?]),
            _ => plan_err!("date_diff takes a unit and two dates, or two dates, the later one first"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| match arrays {
            [unit, from, to] => differences(Some(&cast(unit, &DataType::Utf8)?), from, to),
            [to, from] => differences(None, from, to),
            _ => exec_err!("date_diff takes a unit and two dates, or two dates, the later one first"),
        })
    }
}

fn differences(units: Option<&ArrayRef>, from: &ArrayRef, to: &ArrayRef) -> Result<ArrayRef> {
    let (from, to) = (Moments::of(from)?, Moments::of(to)?);
    let units = units.map(Texts::of).transpose()?;
    let mut known = None;
    let differences = (0..from.len()).map(|row| {
        let unit = match &units {
            None => Some(Unit::Day),
            Some(units) => units
                .parsed(row, &mut known, |name| Unit::named("date_diff", name))?
                .copied(),
        };
        let (Some(unit), Some(from), Some(to)) = (unit, from.get(row)?, to.get(row)?) else {
            return Ok(None);
        };
        match i64::try_from(begun(unit, to) - begun(unit, from)) {
            Ok(difference) => Ok(Some(difference)),
            Err(_) => Err(exec_datafusion_err!("date_diff is out of range of BIGINT")),
        }
    });
    Ok(Arc::new(differences.collect::<Result<Int64Array>>()?))
}

/// Returns how often a unit has begun up to a moment, from wherever one counts.
fn begun(unit: Unit, at: Moment) -> i128 {
    if let Some(micros) = unit.micros() {
        return i128::from(at.day) * i128::from(DAY / micros) + i128::from(at.micros / micros);
    }
    let date = || Date::of(at.day);
    i128::from(match unit {
        Unit::Millennium => (date().year - 1).div_euclid(1_000),
        Unit::Century => (date().year - 1).div_euclid(100),
        Unit::Decade => date().year.div_euclid(10),
        Unit::IsoYear => iso_week(at.day).0,
        Unit::Quarter => date().year * 4 + (date().month - 1) / 3,
        Unit::Month => date().year * 12 + date().month,
        Unit::Week => (at.day + 3).div_euclid(7),
        Unit::Day => at.day,
        _ => date().year,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn beginnings_of_units_are_counted() {
        let of =
            |unit: &str| format!("date_diff('{unit}', timestamp '1999-12-31 23:59:59.999999', '2001-01-01 00:00:00')");
        for (unit, expected) in [
            ("year", "2"),
            ("quarter", "5"),
            ("month", "13"),
            ("week", "53"),
            ("DAY", "367"),
            ("hours", "8785"),
            ("minute", "527041"),
            ("s", "31622401"),
            ("ms", "31622400001"),
            ("us", "31622400000001"),
            ("decade", "1"),
            ("century", "1"),
            ("millennium", "1"),
            ("isoyear", "2"),
        ] {
            answers(&format!("SELECT {}", of(unit)), expected).await;
        }
        answers(
            "SELECT datediff('day', date '9999-12-31', date '0001-01-01')",
            "-3652058",
        )
        .await;
        answers("SELECT datediff(date '2024-03-01', date '2024-02-28'), datediff('2024-03-01', timestamp '2024-02-28 23:00:00')", "2,2").await;
        answers(
            "SELECT date_diff('day', NULL, date '2024-02-28'), date_diff(NULL, date '2024-02-28', date '2024-02-28')",
            "NULL,NULL",
        )
        .await;
        refused(
            "SELECT date_diff('fortnight', date '2024-02-28', date '2024-02-28')",
            "does not know such a unit",
        )
        .await;
        refused(
            "SELECT date_diff('day', 5, date '2024-02-28')",
            "takes a date or a timestamp",
        )
        .await;
        answers("SELECT arrow_typeof(date_diff('day', current_date, now()))", "Int64").await;
    }

    #[tokio::test]
    async fn columns_of_units_and_dates_work() {
        let sql = "SELECT date_diff(u, a, b), datediff('month', a, b), datediff(b, a) FROM (VALUES \
                   ('day', date '2020-01-31', date '2020-02-01'), ('year', date '2020-01-31', date '2019-02-01'), \
                   (NULL, date '2020-01-31', NULL)) t(u, a, b)";
        assert_eq!(
            found(&session(2), sql).await,
            ["1,1,1", "-1,-11,-364", "NULL,NULL,NULL"]
        );
    }
}

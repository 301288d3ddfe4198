//! Years, months and days of dates, as executors compute them: some ten times as fast as the engine's `date_part`, which
//! goes through a calendar's types. The codec puts it in the place of the engine's function, and what it does not know, it
//! leaves to that.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array};
use datafusion::arrow::compute::unary;
use datafusion::arrow::datatypes::{DataType, Date32Type, FieldRef, Int32Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::datetime::date_part;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The name of the function that it stands for.
pub(crate) const NAME: &str = "date_part";

/// Days from 1970 on up to which the engine knows dates, either way; beyond, it answers NULL.
const KNOWN_DAYS: u32 = 95_000_000;

/// `date_part`, with a faster way for whole days.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CalendarPart {
    engines: Arc<ScalarUDF>,
}

impl CalendarPart {
    /// The function.
    pub(crate) fn function() -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self { engines: date_part() }))
    }
}

/// A date of the Gregorian calendar.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the day that a leap year has more is their
/// last; 400 years have 146,097 days.
fn civil(days: i32) -> Civil {
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    Civil {
        year: year + 400 * era + i64::from(month <= 2),
        month,
        day: of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// The part of each day; none if it is one, or there are days, that the engine has to see to.
fn parts(part: &str, days: &ArrayRef) -> Option<ArrayRef> {
    let days = days.as_primitive_opt::<Date32Type>()?;
    let of: fn(Civil) -> i64 = match part.to_ascii_lowercase().as_str() {
        "year" => |date| date.year,
        "month" => |date| date.month,
        "day" => |date| date.day,
        _ => return None,
    };
    let known = days.values().iter().all(|days| days.unsigned_abs() < KNOWN_DAYS);
    let parts = || -> Int32Array { unary::<_, _, Int32Type>(days, |days| of(civil(days)) as i32) };
    known.then(|| Arc::new(parts()) as ArrayRef)
}

impl ScalarUDFImpl for CalendarPart {
    fn name(&self) -> &str {
        self.engines.name()
    }

    fn aliases(&self) -> &[String] {
        self.engines.aliases()
    }

    fn signature(&self) -> &Signature {
        self.engines.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.engines.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [ColumnarValue::Scalar(part), ColumnarValue::Array(days)] = args.args.as_slice()
            && let ScalarValue::Utf8(Some(part)) | ScalarValue::Utf8View(Some(part)) = part
            && let Some(parts) = parts(part, days)
        {
            return Ok(ColumnarValue::Array(parts));
        }
        self.engines.invoke_with_args(args)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::arrow::array::Date32Array;
    use datafusion::arrow::datatypes::Field;
    use datafusion::common::config::ConfigOptions;

    fn answer(function: &ScalarUDF, part: &str, days: &ArrayRef) -> ArrayRef {
        let field = |name: &str, of| Arc::new(Field::new(name, of, true));
        let args = ScalarFunctionArgs {
            args: vec![
                ColumnarValue::Scalar(ScalarValue::Utf8(Some(part.to_owned()))),
                ColumnarValue::Array(Arc::clone(days)),
            ],
            arg_fields: vec![field("part", DataType::Utf8), field("day", DataType::Date32)],
            number_rows: days.len(),
            return_field: field("n", DataType::Int32),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let found = function.invoke_with_args(args).unwrap();
        found.into_array(days.len()).unwrap()
    }

    #[test]
    fn parts_are_those_of_the_engine() {
        let near = (-200_000..200_000).step_by(7).chain(18_000..21_000);
        let far = [
            i32::MIN,
            i32::MAX,
            -95_000_000,
            95_000_000,
            94_999_999,
            -94_999_999,
            0,
            -1,
            11_016,
        ];
        let near: ArrayRef = Arc::new(near.map(Some).chain([None]).collect::<Date32Array>());
        let far = far.map(|days| Arc::new(Date32Array::from(vec![Some(days), None])) as ArrayRef);
        for days in far.iter().chain([&near]) {
            for part in ["YEAR", "month", "Day", "quarter", "week", "doy", "dow", "epoch"] {
                let (ours, engines) = (CalendarPart::function(), date_part());
                assert_eq!(&answer(&ours, part, days), &answer(&engines, part, days), "{part}");
            }
        }
    }
}

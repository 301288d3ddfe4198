//! Years, months and days of dates, as executors compute them: some ten times as fast as the engine's `date_part`, which
//! goes through a calendar's types. The codec puts it in the place of the engine's function, and what it does not know, it
//! leaves to that.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array};
use datafusion::arrow::compute::unary;
use datafusion::arrow::datatypes::{DataType, Date32Type, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::datetime::date_part;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The name of the function that it stands for.
pub(crate) const NAME: &str = "date_part";

/// Days from 1970 on up to which dates are computed here, either way: some 30,000 years.
const KNOWN_DAYS: u32 = 11_000_000;

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

/// Years that are added so that none is negative, 82 times 400, and their days with those from 1 March of year 0 to 1970.
const YEARS: u32 = 82 * 400;
const DAYS: u32 = 82 * 146_097 + 719_468;

/// Year, month and day of the date so many days after 1970-01-01, less than [`KNOWN_DAYS`] from it. Multiplications take the
/// place of divisions, as Neri and Schneider found them ("Euclidean affine functions and their application to calendar
/// algorithms", 2022), so that a processor computes several at once. Years begin in March, so that the day that a leap
/// year has more is their last.
#[inline(always)]
fn civil(days: i32) -> (i32, i32, i32) {
    let of_all = 4 * DAYS.wrapping_add_signed(days) + 3;
    let (century, of_century) = (of_all / 146_097, of_all % 146_097 / 4);
    let years = 2_939_745 * u64::from(4 * of_century + 3);
    let of_year = (years as u32) / 2_939_745 / 4;
    let months = 2_141 * of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2_141 + 1);
    let next = of_year >= 306;
    let year = (100 * century + (years >> 32) as u32 + u32::from(next)).wrapping_sub(YEARS);
    (year as i32, (if next { month - 12 } else { month }) as i32, day as i32)
}

/// The part of each day; none if it is one, or there are days, that the engine has to see to.
fn parts(part: &str, days: &ArrayRef) -> Option<ArrayRef> {
    let days = days.as_primitive_opt::<Date32Type>()?;
    let farthest = days.values().iter().fold(0, |most, days| most.max(days.unsigned_abs()));
    (farthest < KNOWN_DAYS).then_some(())?;
    let parts: Int32Array = match part.to_ascii_lowercase().as_str() {
        "year" => unary(days, |days| civil(days).0),
        "month" => unary(days, |days| civil(days).1),
        "day" => unary(days, |days| civil(days).2),
        _ => return None,
    };
    Some(Arc::new(parts))
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
            11_000_000,
            10_999_999,
            -10_999_999,
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

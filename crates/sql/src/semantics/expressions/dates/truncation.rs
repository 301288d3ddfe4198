//! `truncate_timestamp`, in the place of `date_trunc` over timestamps of microseconds: the engine's computes in nanoseconds,
//! in which the years before 1678 and behind 2261 are not.

use std::sync::{Arc, LazyLock};

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::array::{AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, TimestampMicrosecondType};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::MICROSECONDS;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Truncation::new())));

/// The function.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// The function over a unit and a timestamp, if it knows the unit.
pub(in super::super) fn truncated(unit: &mut Expr, timestamp: &mut Expr) -> Option<Expr> {
    let known = match unit {
        Expr::Literal(value, _) => value.try_as_str().flatten().and_then(Unit::of).is_some(),
        _ => false,
    };
    known.then(|| {
        let args = vec![std::mem::take(unit), std::mem::take(timestamp)];
        Expr::ScalarFunction(ScalarFunction::new_udf(function(), args))
    })
}

/// What is left of a timestamp.
#[derive(Clone, Copy)]
enum Unit {
    /// So many microseconds.
    Of(i64),
    Week,
    /// So many months of a year.
    Months(u32),
    /// So many years, the first of which is the year 0, or 1.
    Years(i32, i32),
}

impl Unit {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "microsecond" | "microseconds" => Self::Of(1),
            "millisecond" | "milliseconds" => Self::Of(1_000),
            "second" => Self::Of(SECOND),
            "minute" => Self::Of(60 * SECOND),
            "hour" => Self::Of(3600 * SECOND),
            "day" => Self::Of(DAY),
            "week" => Self::Week,
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Years(1, 0),
            "decade" => Self::Years(10, 0),
            "century" => Self::Years(100, 1),
            "millennium" => Self::Years(1000, 1),
            _ => return None,
        })
    }

    fn truncate(self, timestamp: i64) -> Option<i64> {
        let day = timestamp.div_euclid(DAY);
        let date = || Date32Type::to_naive_date_opt(i32::try_from(day).ok()?);
        let first = match self {
            Self::Of(unit) => return timestamp.checked_sub(timestamp.rem_euclid(unit)),
            // The first day of 1970 was a Thursday.
            Self::Week => return day.checked_sub((day + 3).rem_euclid(7))?.checked_mul(DAY),
            Self::Months(months) => {
                let date = date()?;
                NaiveDate::from_ymd_opt(date.year(), date.month0() / months * months + 1, 1)
            }
            Self::Years(years, first) => {
                let year = (date()?.year() - first).div_euclid(years) * years + first;
                NaiveDate::from_ymd_opt(year, 1, 1)
            }
        };
        i64::from(Date32Type::from_naive_date(first?)).checked_mul(DAY)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Truncation {
    signature: Signature,
}

impl Truncation {
    fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for Truncation {
    fn name(&self) -> &str {
        "truncate_timestamp"
    }

    /// As `date_trunc` is named.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<_> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("date_trunc({})", args.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [unit, timestamp] if unit.is_string() && *timestamp == MICROSECONDS => Ok(types.to_vec()),
            _ => plan_err!("{} is over a unit and a timestamp of microseconds", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(MICROSECONDS)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), MICROSECONDS, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit, timestamps] = take_function_args(self.name(), args.args)?;
        let unit = match &unit {
            ColumnarValue::Scalar(unit) => unit.try_as_str().flatten().and_then(Unit::of),
            ColumnarValue::Array(_) => None,
        };
        let Some(unit) = unit else {
            return internal_err!("{} does not know its unit", self.name());
        };
        let scalar = matches!(timestamps, ColumnarValue::Scalar(_));
        let timestamps = timestamps.to_array(if scalar { 1 } else { args.number_rows })?;
        let truncated: PrimitiveArray<TimestampMicrosecondType> = timestamps
            .as_primitive::<TimestampMicrosecondType>()
            .try_unary(|timestamp| {
                let truncated = unit.truncate(timestamp);
                truncated.ok_or_else(|| exec_datafusion_err!("timestamp out of range in date_trunc"))
            })?;
        match scalar {
            true => ScalarValue::try_from_array(&truncated, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(Arc::new(truncated))),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match inputs {
            [unit, timestamp] if unit.sort_properties == SortProperties::Singleton => timestamp.sort_properties,
            _ => SortProperties::Unordered,
        })
    }
}

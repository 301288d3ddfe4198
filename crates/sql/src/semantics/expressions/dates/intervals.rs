//! `multiply_interval` and `divide_interval`: an interval by a number. What a part of a month or of a day comes to goes into
//! days and hours, as in PostgreSQL: months have 30 days and days 24 hours then.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray, PrimitiveArray};
use datafusion::arrow::compute::kernels::numeric::mul;
use datafusion::arrow::compute::try_binary;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

pub(in super::super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
pub(in super::super) const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 2]> =
    LazyLock::new(|| [false, true].map(|divides| Arc::new(ScalarUDF::from(Scaled::new(divides)))));

/// The functions over intervals and numbers.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().cloned()
}

/// The one for `*`, or for `/`.
pub(super) fn function(divides: bool) -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTIONS[usize::from(divides)])
}

/// An interval times or divided by a number.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Scaled {
    divides: bool,
    signature: Signature,
}

impl Scaled {
    fn new(divides: bool) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { divides, signature }
    }
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &str {
        match self.divides {
            true => "divide_interval",
            false => "multiply_interval",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let operator = if self.divides { '/' } else { '*' };
        match args {
            [left, right] => Ok(format!("{} {operator} {}", left.schema_name(), right.schema_name())),
            _ => internal_err!("{} has two arguments", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |of: &DataType| matches!(of, DataType::Int64 | DataType::Float64);
        let fits = match types {
            [left, right] if *left == INTERVAL => is_number(right),
            [left, right] => !self.divides && *right == INTERVAL && is_number(left),
            _ => false,
        };
        match fits {
            true => Ok(types.to_vec()),
            false => plan_err!("{} is over an interval and a number", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), INTERVAL, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = take_function_args(self.name(), args.args)?;
        let (interval, number) = match left.data_type() == INTERVAL {
            true => (left, right),
            false => (right, left),
        };
        let whole = number.data_type() == DataType::Int64 && !self.divides;
        if whole {
            return apply(&interval, &number, mul).map_err(|_| exec_datafusion_err!("interval out of range"));
        }
        let rows = args.number_rows;
        let number = number.cast_to(&DataType::Float64, None)?.to_array(rows)?;
        let scaled = self.scaled(&interval.to_array(rows)?, &number);
        let scaled = scaled.map_err(|error| match error {
            ArrowError::DivideByZero => error.into(),
            _ => exec_datafusion_err!("interval out of range"),
        })?;
        Ok(ColumnarValue::Array(Arc::new(scaled)))
    }
}

impl Scaled {
    fn scaled(&self, intervals: &ArrayRef, numbers: &ArrayRef) -> Result<IntervalMonthDayNanoArray, ArrowError> {
        let intervals: &PrimitiveArray<IntervalMonthDayNanoType> = intervals.as_primitive();
        try_binary(
            intervals,
            numbers.as_primitive::<Float64Type>(),
            |interval, by| match self.divides {
                true if by == 0.0 => Err(ArrowError::DivideByZero),
                true => parts(interval, |part| part / by),
                false => parts(interval, |part| part * by),
            },
        )
    }
}

/// Each part of the interval scaled, and what is left of months and days in what is below them.
fn parts(interval: IntervalMonthDayNano, scale: impl Fn(f64) -> f64) -> Result<IntervalMonthDayNano, ArrowError> {
    let months = scale(f64::from(interval.months));
    let left_of_months = months.fract() * 30.0;
    // A part of a month in days is as exact as a microsecond, or thirds of months would be a day short.
    let left_of_months = (left_of_months * MICROSECONDS_A_DAY).round() / MICROSECONDS_A_DAY;
    let days = scale(f64::from(interval.days));
    let whole_days = days.trunc() + left_of_months.trunc();
    let left_of_days = (days.fract() + left_of_months.fract()) * MICROSECONDS_A_DAY;
    let microseconds = scale(interval.nanoseconds as f64 / 1000.0) + left_of_days;
    Ok(IntervalMonthDayNano {
        months: whole(months.trunc(), i32::MAX.into())? as i32,
        days: whole(whole_days, i32::MAX.into())? as i32,
        nanoseconds: whole(microseconds.round_ties_even(), i64::MAX / 1000)? * 1000,
    })
}

const MICROSECONDS_A_DAY: f64 = 86_400_000_000.0;

fn whole(number: f64, most: i64) -> Result<i64, ArrowError> {
    match number.abs() <= most as f64 && number.abs() < i64::MAX as f64 {
        true => Ok(number as i64),
        false => Err(ArrowError::ArithmeticOverflow(String::new())),
    }
}

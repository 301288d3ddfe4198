//! `round`, `ceil` (or `ceiling`) and `floor`. Of decimals they have a type that depends on the argument's type alone, not on
//! how many places are asked for: with a number of places the scale stays, and without one there is none. Halves go away from
//! zero. Of other numbers `ceil` and `floor` are the engine's.

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int64Type,
    UInt64Type,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::columnar::{over_arrays, plain, shared};

/// The functions.
pub(super) fn rounding() -> [ScalarUDF; 3] {
    let of = |how, aliases: &[&str]| {
        ScalarUDF::from(Rounding {
            how,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        })
    };
    [of(How::HalfAway, &[]), of(How::Up, &["ceiling"]), of(How::Down, &[])]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    HalfAway,
    Up,
    Down,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    how: How,
    aliases: Vec<String>,
    signature: Signature,
}

impl How {
    fn called(self) -> &'static str {
        match self {
            Self::HalfAway => "round",
            Self::Up => "ceil",
            Self::Down => "floor",
        }
    }
}

impl Rounding {
    fn number(&self, of: &DataType) -> Result<DataType> {
        Ok(match plain(of) {
            DataType::Null => DataType::Float64,
            DataType::Float16 => DataType::Float32,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            // As the engine has it, there is no whole number to be found of a whole number.
            of if of.is_integer() && self.how != How::HalfAway => DataType::Float64,
            of if of.is_numeric() => of.clone(),
            of => return plan_err!("{} takes a number, not a value of type {of}", self.how.called()),
        })
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.how.called()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value] => Ok(vec![self.number(value)?]),
            [value, places] if self.how == How::HalfAway && (places.is_integer() || places.is_null()) => {
                Ok(vec![self.number(value)?, DataType::Int64])
            }
            [_, places] if self.how == How::HalfAway => {
                plan_err!("round takes a whole number of places, not a value of type {places}")
            }
            _ => plan_err!("{} does not take {} arguments", self.how.called(), types.len()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Decimal128(precision, scale), places @ ..] => {
                let (precision, scale) = carried(*precision, *scale, places.is_empty(), Decimal128Type::MAX_PRECISION);
                Ok(DataType::Decimal128(precision, scale))
            }
            [DataType::Decimal256(precision, scale), places @ ..] => {
                let (precision, scale) = carried(*precision, *scale, places.is_empty(), Decimal256Type::MAX_PRECISION);
                Ok(DataType::Decimal256(precision, scale))
            }
            [of, ..] => Ok(of.clone()),
            [] => exec_err!("{} takes an argument", self.how.called()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of = args.args.first().map_or(DataType::Null, ColumnarValue::data_type);
        match self.how {
            How::Up if !of.is_decimal() => return math::ceil().invoke_with_args(args),
            How::Down if !of.is_decimal() => return math::floor().invoke_with_args(args),
            _ => {}
        }
        let returned = args.return_type().clone();
        over_arrays(&args, |arrays| match arrays {
            [values] => rounded(self.how, values, None, &returned),
            [values, places] => rounded(self.how, values, places.as_primitive_opt(), &returned),
            _ => exec_err!("{} does not take {} arguments", self.how.called(), arrays.len()),
        })
    }
}

/// Returns the precision and the scale of rounded decimals: 99.5 becomes 100, which has a digit more.
fn carried(precision: u8, scale: i8, whole: bool, most: u8) -> (u8, i8) {
    let kept = if whole { scale.min(0) } else { scale };
    let digits = i16::from(precision) - i16::from(scale) + i16::from(kept) + 1;
    (digits.clamp(1, most.into()) as u8, kept)
}

type Places<'a> = Option<&'a PrimitiveArray<Int64Type>>;

fn rounded(how: How, values: &ArrayRef, places: Places, returned: &DataType) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Decimal128(..) => decimals::<Decimal128Type>(how, values, places, returned),
        DataType::Decimal256(..) => decimals::<Decimal256Type>(how, values, places, returned),
        DataType::Float32 => floats::<Float32Type>(values, places),
        DataType::Float64 => floats::<Float64Type>(values, places),
        DataType::UInt64 => {
            let narrow = |value: i128| u64::try_from(value).ok();
            wholes::<UInt64Type>(values, places, i128::from, narrow)
        }
        // The wider type holds all values; whether the narrower one holds what they are rounded to, is seen when it is cast.
        of if of.is_integer() => {
            let narrow = |value: i128| i64::try_from(value).ok();
            let wide = wholes::<Int64Type>(&cast(values, &DataType::Int64)?, places, i128::from, narrow)?;
            let narrow = cast(&wide, returned)?;
            match narrow.null_count() == wide.null_count() {
                true => Ok(narrow),
                false => exec_err!("round is out of range of its type, cast the argument to BIGINT"),
            }
        }
        of => exec_err!("round does not know values of type {of}"),
    }
}

/// Calls `round` with each value and how many places it is to have; it is NULL where either is.
fn each<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    places: Places,
    mut round: impl FnMut(T::Native, Option<i64>) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let values = values.as_primitive::<T>();
    let Some(places) = places else {
        return values
            .iter()
            .map(|value| value.map(|value| round(value, None)).transpose())
            .collect();
    };
    let pairs = values.iter().zip(places);
    let rounded = pairs.map(|(value, places)| match (value, places) {
        (Some(value), Some(places)) => round(value, Some(places)).map(Some),
        _ => Ok(None),
    });
    rounded.collect()
}

fn decimals<T: DecimalType>(how: How, values: &ArrayRef, places: Places, returned: &DataType) -> Result<ArrayRef> {
    let (Some((_, scale)), Some((precision, kept))) = (parts(values.data_type()), parts(returned)) else {
        return exec_err!("{} of a decimal is a decimal", how.called());
    };
    let scale = i64::from(scale);
    let mut known: Option<(i64, Option<T::Native>)> = None;
    let round = |value: T::Native, places: Option<i64>| {
        // How many digits are cut off, and how many of them come back as zeros.
        let cut = scale.saturating_sub(places.unwrap_or(0)).max(0);
        let back = cut.min(places.map_or(0, |_| cut));
        let factor = match known {
            Some((known, factor)) if known == cut => factor,
            _ => known.insert((cut, power_of_ten::<T>(cut))).1,
        };
        let digits = match factor {
            Some(factor) => cut_off::<T>(how, value, factor)?,
            // Halves and more are out of reach, but for what every value but zero is cut off to by ceil and floor.
            None => match how {
                How::Up if value.is_gt(T::Native::ZERO) => T::Native::ONE,
                How::Down if value.is_lt(T::Native::ZERO) => T::Native::ZERO.sub_checked(T::Native::ONE)?,
                _ => T::Native::ZERO,
            },
        };
        let whole = match (back, factor) {
            (0, _) | (_, None) => Ok(digits),
            (_, Some(factor)) => digits.mul_checked(factor),
        };
        let whole = whole
            .ok()
            .filter(|whole| T::validate_decimal_precision(*whole, precision, kept).is_ok());
        whole.ok_or_else(|| exec_datafusion_err!("{} is out of range of DECIMAL({precision}, {kept})", how.called()))
    };
    shared(each::<T>(values, places, round)?.with_data_type(returned.clone()))
}

fn parts(of: &DataType) -> Option<(u8, i8)> {
    match of {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

fn power_of_ten<T: DecimalType>(exponent: i64) -> Option<T::Native> {
    let exponent = u32::try_from(exponent).ok()?;
    T::Native::usize_as(10).pow_checked(exponent).ok()
}

/// Returns the quotient, rounded.
fn cut_off<T: DecimalType>(how: How, value: T::Native, factor: T::Native) -> Result<T::Native> {
    let (quotient, rest) = (value.div_checked(factor)?, value.mod_checked(factor)?);
    let (below, above) = (rest.is_lt(T::Native::ZERO), rest.is_gt(T::Native::ZERO));
    let size = if below {
        T::Native::ZERO.sub_checked(rest)?
    } else {
        rest
    };
    let away = match how {
        How::HalfAway => (below || above) && size.is_ge(factor.sub_checked(size)?),
        How::Up => above,
        How::Down => below,
    };
    Ok(match (away, below) {
        (false, _) => quotient,
        (true, false) => quotient.add_checked(T::Native::ONE)?,
        (true, true) => quotient.sub_checked(T::Native::ONE)?,
    })
}

/// Rounds as DuckDB does.
fn floats<T: ArrowPrimitiveType>(values: &ArrayRef, places: Places) -> Result<ArrayRef>
where
    T::Native: num_like::Float,
{
    use num_like::Float;
    let round = |value: T::Native, places: Option<i64>| {
        let wide = value.wide();
        let places = places.unwrap_or(0);
        if !wide.is_finite() || places == 0 {
            return Ok(T::Native::narrow(wide.round()));
        }
        let factor = 10_f64.powi(places.unsigned_abs().min(400) as i32);
        let rounded = match places > 0 {
            true => Some((wide * factor).round() / factor)
                .filter(|rounded| rounded.is_finite())
                .unwrap_or(wide),
            false => Some((wide / factor).round() * factor)
                .filter(|rounded| rounded.is_finite())
                .unwrap_or(0.0),
        };
        Ok(T::Native::narrow(rounded))
    };
    shared(each::<T>(values, places, round)?)
}

/// Doubles and floats, both as doubles.
mod num_like {
    /// A number that a double can stand for.
    pub(super) trait Float: Copy {
        fn wide(self) -> f64;
        fn narrow(wide: f64) -> Self;
    }

    impl Float for f64 {
        fn wide(self) -> f64 {
            self
        }

        fn narrow(wide: f64) -> Self {
            wide
        }
    }

    impl Float for f32 {
        fn wide(self) -> f64 {
            self.into()
        }

        fn narrow(wide: f64) -> Self {
            wide as f32
        }
    }
}

fn wholes<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    places: Places,
    wide: impl Fn(T::Native) -> i128,
    narrow: impl Fn(i128) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let round = |value: T::Native, places: Option<i64>| {
        let cut = places.unwrap_or(0).min(0).unsigned_abs();
        let factor = u32::try_from(cut).ok().and_then(|cut| 10_i128.checked_pow(cut));
        let rounded = match factor {
            Some(factor) => cut_off::<Decimal128Type>(How::HalfAway, wide(value), factor)?.checked_mul(factor),
            None => Some(0),
        };
        let rounded = rounded.and_then(&narrow);
        rounded.ok_or_else(|| exec_datafusion_err!("round is out of range of its type, cast the argument to DECIMAL"))
    };
    shared(each::<T>(values, places, round)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answer, answers, refused, session};

    #[tokio::test]
    async fn decimals_round_away_from_zero_and_keep_their_type() {
        let x = "CAST('1.25' AS decimal(10,2))";
        answers(
            &format!("SELECT round({x}, 1), round(-{x}, 1), round({x}), round({x}, 5), round({x}, -1)"),
            "1.30,-1.30,1,1.25,0.00",
        )
        .await;
        answers(
            &format!("SELECT arrow_typeof(round({x}, 1)), arrow_typeof(round({x}))"),
            "Decimal128(11, 2),Decimal128(9, 0)",
        )
        .await;
        let columns = "SELECT round(x, n), round(x, 1), round(x, 1 + 0), round(x), round(1.005e0, n) FROM \
                       (SELECT CAST(x AS decimal(4, 2)) x, n FROM (VALUES ('99.95', 1), ('-99.95', 0), ('50', -2), (NULL, 1), ('1', NULL)) t(x, n))";
        let rows = [
            "100.00,100.00,100.00,100,1.0",
            "-100.00,-100.00,-100.00,-100,1.0",
            "100.00,50.00,50.00,50,0.0",
        ];
        let rows = rows
            .into_iter()
            .chain(["NULL,NULL,NULL,NULL,1.0", "NULL,1.00,1.00,1,NULL"]);
        assert_eq!(answer(&session(1), columns).await.unwrap(), rows.collect::<Vec<_>>());
        let most = "CAST('99999999999999999999999999999999999.999' AS decimal(38, 3))";
        refused(
            &format!("SELECT round({most}, 2)"),
            "round is out of range of DECIMAL(38, 3)",
        )
        .await;
        answers(
            &format!("SELECT round({most}), ceil({most})"),
            "100000000000000000000000000000000000,100000000000000000000000000000000000",
        )
        .await;
        answers(
            &format!("SELECT round({most}, -36), round({most}, -9223372036854775808)"),
            "0.000,0.000",
        )
        .await;
    }

    #[tokio::test]
    async fn ceil_and_floor_of_decimals_are_whole() {
        let sql = "SELECT ceil(x), ceiling(x), floor(x), arrow_typeof(ceil(x)) FROM \
                   (SELECT CAST(x AS decimal(4, 2)) x FROM (VALUES ('99.01'), ('-99.01'), ('7'), (NULL)) t(x))";
        let rows = [
            "100,100,99,Decimal128(3, 0)",
            "-99,-99,-100,Decimal128(3, 0)",
            "7,7,7,Decimal128(3, 0)",
            "NULL,NULL,NULL,Decimal128(3, 0)",
        ];
        assert_eq!(answer(&session(1), sql).await.unwrap(), rows);
        answers(
            "SELECT ceil(1.2e0), floor(-1.2e0), ceiling(3), ceil(NULL)",
            "2.0,-2.0,3.0,NULL",
        )
        .await;
        answers(
            "SELECT ceil(CAST('0.001' AS decimal(38, 38))), floor(CAST('-0.001' AS decimal(38, 38)))",
            "1,-1",
        )
        .await;
    }

    #[tokio::test]
    async fn other_numbers_round_as_in_duckdb() {
        answers(
            "SELECT round(2.5e0), round(-2.5e0), round(0.285e0, 2), round(15e0, -1), round(1e308, 2)",
            "3.0,-3.0,0.28,20.0,1e308",
        )
        .await;
        answers(
            "SELECT round(CAST('NaN' AS double), 1), round(CAST('-Infinity' AS double), -1), round(5e0, -400)",
            "NaN,-inf,0.0",
        )
        .await;
        answers(
            "SELECT round(15, -1), round(-15, -1), round(7, 3), round(7), round(5, -30), round(NULL, 1)",
            "20,-20,7,7,0,NULL",
        )
        .await;
        answers(
            "SELECT arrow_typeof(round(CAST(15 AS smallint), -1)), round(CAST(1.25 AS real), 1)",
            "Int16,1.3",
        )
        .await;
        refused("SELECT round(9223372036854775807, -1)", "round is out of range").await;
        refused("SELECT round(CAST(32767 AS smallint), -1)", "round is out of range").await;
        refused("SELECT round('a')", "round takes a number").await;
        refused("SELECT round(1.5, 1.5)", "whole number of places").await;
    }
}

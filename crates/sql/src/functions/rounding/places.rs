//! Rounding of each kind of number.

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int64Type,
    UInt64Type,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::super::columnar::shared;
use super::How;

/// How many places are asked for, if any number is.
type Places<'a> = Option<&'a PrimitiveArray<Int64Type>>;

/// Returns values rounded, to as many places as are asked for.
pub(super) fn rounded(how: How, values: &ArrayRef, places: Places, returned: &DataType) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Decimal128(..) => decimals::<Decimal128Type>(how, values, places, returned),
        DataType::Decimal256(..) => decimals::<Decimal256Type>(how, values, places, returned),
        DataType::Float32 => floats::<Float32Type>(values, places),
        DataType::Float64 => floats::<Float64Type>(values, places),
        DataType::UInt64 => {
            let narrow = |value: i128| u64::try_from(value).ok();
            wholes::<UInt64Type>(values, places, i128::from, narrow)
        }
        // The wider type holds all values; whether the narrower one holds what they are rounded to, is seen when it
        // is cast.
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
    T::Native: wide::Float,
{
    use wide::Float;
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
mod wide {
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

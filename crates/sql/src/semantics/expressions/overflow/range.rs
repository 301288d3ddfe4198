//! Between which whole numbers the values of an expression are.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::operation::Operation;

/// The days from 1970-01-01 of the years 1 to 9999, in which dates of a table lie.
const DATES: (i128, i128) = (-719_162, 2_932_896);

/// Values of a type, all within these bounds. NULL is within any.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) of: DataType,
    pub(super) low: i128,
    pub(super) high: i128,
}

impl Range {
    /// All values of a type, if it is one of whole numbers or of days.
    pub(super) fn of_type(of: &DataType) -> Option<Self> {
        let (low, high) = match of {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
            DataType::UInt8 => (0, u8::MAX.into()),
            DataType::UInt16 => (0, u16::MAX.into()),
            DataType::UInt32 => (0, u32::MAX.into()),
            DataType::UInt64 => (0, u64::MAX.into()),
            DataType::Date32 => DATES,
            _ => return None,
        };
        let of = of.clone();
        Some(Self { of, low, high })
    }

    /// The one value of a constant.
    pub(super) fn of_constant(value: &ScalarValue) -> Option<Self> {
        let of_type = Self::of_type(&value.data_type())?;
        let number: i128 = match value {
            _ if value.is_null() => 0,
            ScalarValue::Int8(Some(number)) => (*number).into(),
            ScalarValue::Int16(Some(number)) => (*number).into(),
            ScalarValue::Int32(Some(number)) | ScalarValue::Date32(Some(number)) => (*number).into(),
            ScalarValue::Int64(Some(number)) => (*number).into(),
            ScalarValue::UInt8(Some(number)) => (*number).into(),
            ScalarValue::UInt16(Some(number)) => (*number).into(),
            ScalarValue::UInt32(Some(number)) => (*number).into(),
            ScalarValue::UInt64(Some(number)) => (*number).into(),
            _ => return None,
        };
        let (low, high) = (number, number);
        Some(Self { low, high, ..of_type })
    }

    /// The same numbers in another type: those that it has not fail to be cast.
    pub(super) fn cast(from: Option<&Self>, to: &DataType) -> Option<Self> {
        let of_type = Self::of_type(to)?;
        Some(match from {
            // A date may have been computed from a number, or be one.
            Some(from) if *to == DataType::Date32 => Self {
                of: to.clone(),
                ..from.clone()
            },
            Some(from) => Self {
                of: to.clone(),
                ..from.clone()
            }
            .within(&of_type),
            None => of_type,
        })
    }

    /// What the operation gives in exact numbers.
    pub(super) fn exact(operation: Operation, left: &Self, right: &Self) -> (i128, i128) {
        match operation {
            Operation::Add => (left.low + right.low, left.high + right.high),
            Operation::Subtract => (left.low - right.high, left.high - right.low),
            Operation::Negate => (-left.high, -left.low),
            Operation::Multiply => {
                let bounds = [(left.low, right.low), (left.low, right.high)];
                let bounds = bounds
                    .into_iter()
                    .chain([(left.high, right.low), (left.high, right.high)]);
                let products = bounds.map(|(left, right)| left.saturating_mul(right));
                products.fold((i128::MAX, i128::MIN), |(low, high), product| {
                    (low.min(product), high.max(product))
                })
            }
        }
    }

    /// A quotient, rounded towards zero.
    pub(super) fn quotient(self) -> Option<Self> {
        let of_type = Self::of_type(&self.of)?;
        let most = self.low.abs().max(self.high.abs());
        let low = if self.low < 0 || of_type.low < 0 { -most } else { 0 };
        Some(
            Self {
                low,
                high: most,
                ..self
            }
            .within(&of_type),
        )
    }

    /// A remainder, which has the sign of what is divided and is less than the divisor.
    pub(super) fn remainder(self, divisor: &Self) -> Self {
        let most = divisor.low.abs().max(divisor.high.abs()).max(1) - 1;
        let low = if self.low < 0 { self.low.max(-most) } else { 0 };
        let high = if self.high > 0 { self.high.min(most) } else { 0 };
        Self { low, high, ..self }
    }

    /// Both.
    pub(super) fn or(self, other: &Self) -> Option<Self> {
        let low = self.low.min(other.low);
        let high = self.high.max(other.high);
        (self.of == other.of).then_some(Self { low, high, ..self })
    }

    /// Whether these numbers are values of the type.
    pub(super) fn holds(&self, (low, high): (i128, i128)) -> bool {
        self.low <= low && high <= self.high
    }

    /// Those of both. All values of the type if there are none: such an expression fails.
    pub(super) fn within(self, other: &Self) -> Self {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        match low <= high {
            true => Self { low, high, ..self },
            false => other.clone(),
        }
    }
}

//! The types a column may have, as the TOML file writes them and as Arrow holds them. Nested types, time zones and
//! dictionaries are refused: a table's columns are plain values that statistics packages know.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};

use super::error::SpecFault;

/// The type of a column: `bool`, `int8`..`int64`, `uint8`..`uint64`, `float32`, `float64`, `utf8`, `date32`,
/// `timestamp(us)` (microseconds, without a time zone) or `decimal(precision,scale)` (at most 38 digits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ColumnType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Utf8,
    Date32,
    /// Microseconds since 1970-01-01, wall clock, no time zone.
    Timestamp,
    /// A decimal number of `precision` digits, `scale` of them after the point.
    Decimal {
        precision: u8,
        scale: i8,
    },
}

impl ColumnType {
    /// The Arrow type that holds this column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Utf8 => DataType::Utf8,
            Self::Date32 => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        }
    }

    /// The column type that a file's own Arrow type stands for, or `None` for a type that tables do not hold.
    /// Encodings of the same values (views, large offsets, dictionaries, other time units) map to the plain type, and so do
    /// instants, whose clock the description says ([`super::Zone`]).
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 => Self::Int8,
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::UInt8 => Self::UInt8,
            DataType::UInt16 => Self::UInt16,
            DataType::UInt32 => Self::UInt32,
            DataType::UInt64 => Self::UInt64,
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Utf8,
            DataType::Dictionary(_, values) => Self::of(values)?,
            DataType::Date32 | DataType::Date64 => Self::Date32,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => Self::decimal(*precision, *scale)?,
            _ => return None,
        })
    }

    /// Whether a patient id may have this type: text or a whole number, so that split points have one clear order.
    pub fn is_patient_id(self) -> bool {
        self == Self::Utf8 || self.is_integer()
    }

    /// Whether this is one of the eight integer types.
    pub fn is_integer(self) -> bool {
        self.data_type().is_integer()
    }

    /// Whether values of this type carry a calendar date, which bounds and formats apply to.
    pub fn has_date(self) -> bool {
        matches!(self, Self::Date32 | Self::Timestamp)
    }

    fn decimal(precision: u8, scale: i8) -> Option<Self> {
        let fits = (1..=DECIMAL128_MAX_PRECISION).contains(&precision) && scale >= 0 && scale as u8 <= precision;
        fits.then_some(Self::Decimal { precision, scale })
    }
}

impl FromStr for ColumnType {
    type Err = SpecFault;

    fn from_str(text: &str) -> Result<Self, SpecFault> {
        Ok(match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint8" => Self::UInt8,
            "uint16" => Self::UInt16,
            "uint32" => Self::UInt32,
            "uint64" => Self::UInt64,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            "utf8" => Self::Utf8,
            "date32" => Self::Date32,
            "timestamp" | "timestamp(us)" => Self::Timestamp,
            other => parse_decimal(other).ok_or_else(|| SpecFault::UnknownType {
                written: text.to_owned(),
            })?,
        })
    }
}

/// Reads `decimal(p,s)`.
fn parse_decimal(text: &str) -> Option<ColumnType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    ColumnType::decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Utf8 => "utf8",
            Self::Date32 => "date32",
            Self::Timestamp => "timestamp(us)",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
        })
    }
}

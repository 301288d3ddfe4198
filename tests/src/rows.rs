//! Rows of a result, brought to one form whatever program wrote them, and their comparison. Values are exact: integers,
//! decimals, strings, dates, times and NULLs must be equal and of the same kind; only floats may differ, by one part in
//! a billion. Widths and encodings of one kind (int32 and int64, dictionary and plain strings) are the same here.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::ipc::reader::{FileReader, StreamReader};

/// Floats may differ by this share of the larger one.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// What kind of values a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any signed or unsigned integer of at most 64 bits.
    Integer,
    /// A decimal of any precision, with this scale.
    Decimal(i8),
    /// Any floating-point number.
    Float,
    /// Any string.
    Text,
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
    /// A time without a time zone.
    Timestamp,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer, or a decimal without its point, or days or microseconds since 1970.
    Number(i128),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Text(String),
}

/// Whether the order of rows is part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Rows must come in the same order.
    Total,
    /// The same rows the same number of times, in any order.
    Any,
}

/// A whole result.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Names and kinds of the columns.
    pub columns: Vec<(String, Kind)>,
    /// The values, row by row.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Reads an Arrow IPC file or stream.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut magic = [0; 6];
        let is_file = file.read(&mut magic)? == magic.len() && &magic == b"ARROW1";
        file.rewind()?;
        let rows = if is_file {
            let reader = FileReader::try_new_buffered(file, None)?;
            Self::collect(&reader.schema(), reader)
        } else {
            let reader = StreamReader::try_new_buffered(file, None)?;
            Self::collect(&reader.schema(), reader)
        };
        rows.with_context(|| format!("cannot read {}", path.display()))
    }

    /// Takes the rows of record batches of one schema.
    pub fn from_batches(schema: &Schema, batches: &[RecordBatch]) -> Result<Self> {
        Self::collect(schema, batches.iter().cloned().map(Ok))
    }

    fn collect(
        schema: &Schema,
        batches: impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>,
    ) -> Result<Self> {
        let columns: Vec<(String, Kind)> = schema
            .fields()
            .iter()
            .map(|field| Ok((field.name().clone(), kind_of(field.data_type())?)))
            .collect::<Result<_>>()?;
        let mut rows = Vec::new();
        for batch in batches {
            append(&mut rows, &columns, &batch?)?;
        }
        Ok(Self { columns, rows })
    }

    /// Nothing when `actual` answers as `self` does, otherwise the first difference.
    pub fn compare(&self, actual: &Self, order: Order) -> Result<()> {
        ensure!(
            self.columns == actual.columns,
            "columns are {:?}, not {:?}",
            actual.columns,
            self.columns
        );
        ensure!(
            self.rows.len() == actual.rows.len(),
            "{} rows instead of {}",
            actual.rows.len(),
            self.rows.len()
        );
        let (expected, actual) = match order {
            Order::Total => (self.rows.clone(), actual.rows.clone()),
            Order::Any => (sorted(&self.rows), sorted(&actual.rows)),
        };
        for (number, (left, right)) in expected.iter().zip(&actual).enumerate() {
            if !left.iter().zip(right).all(|(left, right)| left.matches(right)) {
                bail!("row {number} is {right:?} instead of {left:?} (order: {order:?})");
            }
        }
        Ok(())
    }
}

impl Value {
    fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => {
                left == right
                    || (left.is_nan() && right.is_nan())
                    || (left - right).abs() <= FLOAT_TOLERANCE * left.abs().max(right.abs())
            }
            (left, right) => left == right,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Boolean(_) => 1,
            Self::Number(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "{} rows of ({})", self.rows.len(), names.join(", "))
    }
}

/// Exact columns decide the order first, so that floats that differ in their last digits cannot tear pairs apart.
fn sorted(rows: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let mut rows = rows.to_vec();
    let compare = |left: &[Value], right: &[Value], floats: bool| {
        let pairs = left
            .iter()
            .zip(right)
            .filter(|(value, _)| matches!(value, Value::Float(_)) == floats);
        pairs
            .map(|(left, right)| left.order(right))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    rows.sort_by(|left, right| compare(left, right, false).then_with(|| compare(left, right, true)));
    rows
}

fn kind_of(data_type: &DataType) -> Result<Kind> {
    Ok(match data_type {
        DataType::Dictionary(_, values) => kind_of(values)?,
        data_type if data_type.is_integer() => Kind::Integer,
        data_type if data_type.is_floating() => Kind::Float,
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Kind::Decimal(*scale),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Boolean => Kind::Boolean,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(_, None) => Kind::Timestamp,
        other => bail!("a column of type {other} cannot be compared"),
    })
}

fn append(rows: &mut Vec<Vec<Value>>, columns: &[(String, Kind)], batch: &RecordBatch) -> Result<()> {
    let first = rows.len();
    rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())));
    for ((name, kind), array) in columns.iter().zip(batch.columns()) {
        let values = values(array, *kind).with_context(|| format!("column {name}"))?;
        for (row, value) in rows[first..].iter_mut().zip(values) {
            row.push(value);
        }
    }
    Ok(())
}

fn values(array: &ArrayRef, kind: Kind) -> Result<Vec<Value>> {
    let to = |data_type: DataType| cast(array, &data_type);
    Ok(match kind {
        Kind::Boolean => gather(array.as_boolean().iter(), Value::Boolean),
        Kind::Integer if array.data_type() == &DataType::UInt64 => gather(
            to(DataType::Decimal128(20, 0))?.as_primitive::<Decimal128Type>().iter(),
            Value::Number,
        ),
        Kind::Integer => gather(to(DataType::Int64)?.as_primitive::<Int64Type>().iter(), |v| {
            Value::Number(v.into())
        }),
        Kind::Decimal(scale) => gather(
            to(DataType::Decimal128(38, scale))?
                .as_primitive::<Decimal128Type>()
                .iter(),
            Value::Number,
        ),
        Kind::Float => gather(
            to(DataType::Float64)?.as_primitive::<Float64Type>().iter(),
            Value::Float,
        ),
        Kind::Text => gather(to(DataType::Utf8)?.as_string::<i32>().iter(), |v| {
            Value::Text(v.to_owned())
        }),
        Kind::Date => gather(to(DataType::Date32)?.as_primitive::<Date32Type>().iter(), |v| {
            Value::Number(v.into())
        }),
        Kind::Timestamp => gather(
            to(DataType::Timestamp(TimeUnit::Microsecond, None))?
                .as_primitive::<TimestampMicrosecondType>()
                .iter(),
            |v| Value::Number(v.into()),
        ),
    })
}

fn gather<T>(values: impl Iterator<Item = Option<T>>, value: impl Fn(T) -> Value) -> Vec<Value> {
    values.map(|item| item.map_or(Value::Null, &value)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::Field;

    use super::*;

    fn rows(columns: Vec<(&str, ArrayRef)>) -> Rows {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        Rows::from_batches(&batch.schema(), &[batch]).unwrap()
    }

    fn numbers(values: &[i64]) -> Rows {
        rows(vec![("n", Arc::new(Int64Array::from(values.to_vec())))])
    }

    fn floats(values: &[f64]) -> Rows {
        rows(vec![("x", Arc::new(Float64Array::from(values.to_vec())))])
    }

    #[test]
    fn widths_and_encodings_are_the_same_kind() {
        let wide = rows(vec![
            ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            ("t", Arc::new(StringArray::from(vec!["a", "b"]))),
        ]);
        let narrow = rows(vec![
            ("n", Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef),
            ("t", Arc::new(StringViewArray::from(vec!["a", "b"]))),
        ]);
        wide.compare(&narrow, Order::Total).unwrap();
    }

    #[test]
    fn kinds_names_counts_and_nulls_must_agree() {
        assert!(numbers(&[1]).compare(&floats(&[1.0]), Order::Any).is_err());
        assert!(numbers(&[1]).compare(&numbers(&[1, 1]), Order::Any).is_err());
        assert!(
            numbers(&[0])
                .compare(&rows(vec![("m", Arc::new(Int64Array::from(vec![0])))]), Order::Any)
                .is_err()
        );
        let null = rows(vec![("n", Arc::new(Int64Array::from(vec![None])))]);
        assert!(null.compare(&numbers(&[0]), Order::Any).is_err());
        let cents = |scale| {
            Arc::new(
                Decimal128Array::from(vec![100])
                    .with_precision_and_scale(9, scale)
                    .unwrap(),
            )
        };
        assert!(
            rows(vec![("d", cents(2))])
                .compare(&rows(vec![("d", cents(1))]), Order::Any)
                .is_err()
        );
    }

    #[test]
    fn order_counts_only_where_asked_and_multiplicity_always() {
        let (up, down) = (numbers(&[1, 2, 2]), numbers(&[2, 1, 2]));
        up.compare(&down, Order::Any).unwrap();
        assert!(up.compare(&down, Order::Total).is_err());
        assert!(up.compare(&numbers(&[1, 1, 2]), Order::Any).is_err());
    }

    #[test]
    fn floats_may_differ_in_their_last_digits_only() {
        floats(&[0.1 + 0.2, 1e300])
            .compare(&floats(&[1e300, 0.3]), Order::Any)
            .unwrap();
        assert!(floats(&[1.0]).compare(&floats(&[1.000_001]), Order::Any).is_err());
        floats(&[f64::NAN]).compare(&floats(&[f64::NAN]), Order::Any).unwrap();
    }

    #[test]
    fn an_unknown_type_is_an_error() {
        let schema = Schema::new(vec![Field::new("b", DataType::Binary, true)]);
        assert!(Rows::from_batches(&schema, &[]).is_err());
    }
}

//! The split points of a dataset: which pseudonyms live in which shard, the same for all of its tables, chosen at the first
//! load and replaced by resharding alone. Shard `i` holds the ids with `points[i-1] <= id < points[i]`: an id equal to a
//! split point goes to the right. Points never appear in `Debug` output. `quantiles.rs` chooses them, `provider.rs` declares
//! them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::SortOptions;
use arrow::compute::kernels::cmp;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, RangePartitioning, SplitPoint};
use datafusion::physical_plan::Partitioning;
use serde_json::Value;

/// The order of every column that files are sorted by: ascending, NULLs last (DataFusion's default for `ORDER BY`).
pub(crate) const FILE_ORDER: SortOptions = SortOptions {
    descending: false,
    nulls_first: false,
};

/// Why a list of split points cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The patient id has a type that shards cannot be made of.
    #[error("patient id of type {0} cannot be sharded, use a string, an integer or binary")]
    Type(DataType),
    /// A point does not fit the patient id's type.
    #[error("split point {index} is not a value of type {data_type}")]
    Value {
        /// Position in the list, from 0.
        index: usize,
        /// The patient id's type.
        data_type: DataType,
    },
    /// Points are not strictly ascending.
    #[error("split point {index} is not greater than the one before it")]
    Order {
        /// Position in the list, from 0.
        index: usize,
    },
}

/// A versioned set of split points over the patient id.
#[derive(Clone, PartialEq)]
pub struct Splits {
    version: u32,
    data_type: DataType,
    points: Vec<ScalarValue>,
}

impl fmt::Debug for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Splits {{ version: {}, {} shards over {} }}",
            self.version,
            self.shards(),
            self.data_type
        )
    }
}

impl Splits {
    /// Checks that `points` are strictly ascending values of `data_type`.
    pub fn try_new(version: u32, data_type: DataType, points: Vec<ScalarValue>) -> Result<Self, SplitError> {
        if !can_split(&data_type) {
            return Err(SplitError::Type(data_type));
        }
        for (index, point) in points.iter().enumerate() {
            if point.is_null() || point.data_type() != data_type {
                return Err(SplitError::Value { index, data_type });
            }
            if index > 0 && points[index - 1].partial_cmp(point) != Some(std::cmp::Ordering::Less) {
                return Err(SplitError::Order { index });
            }
        }
        Ok(Self {
            version,
            data_type,
            points,
        })
    }

    /// Version of this split set; tables built with another one are never read together.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Type of the patient id.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Number of shards: one more than there are points.
    pub fn shards(&self) -> usize {
        self.points.len() + 1
    }

    /// The points, strictly ascending.
    pub fn points(&self) -> &[ScalarValue] {
        &self.points
    }

    /// The layout as DataFusion's Range partitioning of `patient`. Never Hash: DataFusion would trust it to be its own.
    pub fn partitioning(&self, patient: Arc<dyn PhysicalExpr>) -> Option<Partitioning> {
        let ordering = LexOrdering::new([PhysicalSortExpr::new(patient, FILE_ORDER)])?;
        let points = self.points.iter().map(|p| SplitPoint::new(vec![p.clone()])).collect();
        RangePartitioning::try_new(ordering, points)
            .ok()
            .map(Partitioning::Range)
    }

    /// How many leading rows of the ascending, NULL-free `ids` lie before the end of `shard`.
    pub(crate) fn rows_before_end(&self, ids: &ArrayRef, shard: usize) -> Result<usize, arrow::error::ArrowError> {
        let Some(end) = self.points.get(shard) else {
            return Ok(ids.len());
        };
        let end = end
            .to_scalar()
            .map_err(|e| arrow::error::ArrowError::ComputeError(e.to_string()))?;
        let below: BooleanArray = cmp::lt(ids, &end)?;
        Ok(below.true_count())
    }

    /// Whether every id of `ids` (non-empty, ascending, NULL-free) lies in `shard`.
    pub(crate) fn contains(&self, ids: &ArrayRef, shard: usize) -> Result<bool, arrow::error::ArrowError> {
        let before_end = self.rows_before_end(ids, shard)?;
        let before_start = if shard == 0 {
            0
        } else {
            self.rows_before_end(ids, shard - 1)?
        };
        Ok(before_end == ids.len() && before_start == 0)
    }

    /// The points as JSON: strings, numbers, or hexadecimal strings for binary ids.
    pub(crate) fn points_to_json(&self) -> Vec<Value> {
        self.points.iter().map(point_to_json).collect()
    }

    /// Reads points written by `points_to_json`.
    pub(crate) fn from_json(version: u32, data_type: DataType, points: &[Value]) -> Result<Self, SplitError> {
        let read = |(index, value)| {
            point_from_json(value, &data_type).ok_or_else(|| SplitError::Value {
                index,
                data_type: data_type.clone(),
            })
        };
        let points = points.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        Self::try_new(version, data_type, points)
    }
}

fn can_split(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Utf8 | LargeUtf8
            | Utf8View
            | Binary
            | LargeBinary
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
    )
}

fn point_to_json(point: &ScalarValue) -> Value {
    use ScalarValue::*;
    match point {
        Utf8(Some(s)) | LargeUtf8(Some(s)) | Utf8View(Some(s)) => Value::from(s.as_str()),
        Binary(Some(b)) | LargeBinary(Some(b)) => Value::from(hex(b)),
        Int64(Some(n)) => Value::from(*n),
        Int32(Some(n)) => Value::from(*n),
        Int16(Some(n)) => Value::from(*n),
        Int8(Some(n)) => Value::from(*n),
        UInt64(Some(n)) => Value::from(*n),
        UInt32(Some(n)) => Value::from(*n),
        UInt16(Some(n)) => Value::from(*n),
        UInt8(Some(n)) => Value::from(*n),
        _ => Value::Null,
    }
}

/// One split point from JSON, as `points_to_json` writes them and as the dataset file states them.
pub(crate) fn point_from_json(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(value.as_str()?.to_string()))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(value.as_str()?.to_string()))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(value.as_str()?.to_string()))),
        DataType::Binary => Some(ScalarValue::Binary(Some(unhex(value.as_str()?)?))),
        DataType::LargeBinary => Some(ScalarValue::LargeBinary(Some(unhex(value.as_str()?)?))),
        DataType::Int64 => Some(ScalarValue::Int64(Some(value.as_i64()?))),
        DataType::Int32 => Some(ScalarValue::Int32(Some(value.as_i64()?.try_into().ok()?))),
        DataType::Int16 => Some(ScalarValue::Int16(Some(value.as_i64()?.try_into().ok()?))),
        DataType::Int8 => Some(ScalarValue::Int8(Some(value.as_i64()?.try_into().ok()?))),
        DataType::UInt64 => Some(ScalarValue::UInt64(Some(value.as_u64()?))),
        DataType::UInt32 => Some(ScalarValue::UInt32(Some(value.as_u64()?.try_into().ok()?))),
        DataType::UInt16 => Some(ScalarValue::UInt16(Some(value.as_u64()?.try_into().ok()?))),
        DataType::UInt8 => Some(ScalarValue::UInt8(Some(value.as_u64()?.try_into().ok()?))),
        _ => None,
    }
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(pair).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use serde_json::json;

    fn letters() -> Splits {
        Splits::from_json(1, DataType::Utf8, &[json!("g"), json!("p")]).unwrap()
    }

    #[test]
    fn an_id_equal_to_a_point_goes_right() {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "f", "g", "h", "p", "z"]));
        let splits = letters();
        assert_eq!(splits.rows_before_end(&ids, 0).unwrap(), 2);
        assert_eq!(splits.rows_before_end(&ids, 1).unwrap(), 4);
        assert_eq!(splits.rows_before_end(&ids, 2).unwrap(), 6);
        let middle: ArrayRef = Arc::new(StringArray::from(vec!["g", "o"]));
        assert!(splits.contains(&middle, 1).unwrap());
        assert!(!splits.contains(&ids, 1).unwrap());
        assert!(!splits.contains(&middle, 0).unwrap());
    }

    #[test]
    fn points_survive_json_in_every_type() {
        for (data_type, points) in [
            (DataType::Utf8, vec![json!("a"), json!("b")]),
            (DataType::Binary, vec![json!("00ff"), json!("a0")]),
            (DataType::Int64, vec![json!(-5), json!(7)]),
            (DataType::UInt64, vec![json!(1), json!(u64::MAX)]),
        ] {
            let splits = Splits::from_json(3, data_type.clone(), &points).unwrap();
            assert_eq!(splits.points_to_json(), points);
            assert_eq!(
                Splits::from_json(3, data_type, &splits.points_to_json()).unwrap(),
                splits
            );
        }
    }

    #[test]
    fn unordered_or_mistyped_points_are_refused() {
        let read = |points: &[Value]| Splits::from_json(1, DataType::Utf8, points);
        assert!(matches!(
            read(&[json!("b"), json!("a")]),
            Err(SplitError::Order { index: 1 })
        ));
        assert!(matches!(
            read(&[json!("b"), json!("b")]),
            Err(SplitError::Order { index: 1 })
        ));
        assert!(matches!(read(&[json!(1)]), Err(SplitError::Value { index: 0, .. })));
        assert!(matches!(
            Splits::try_new(1, DataType::Float64, vec![]),
            Err(SplitError::Type(_))
        ));
    }

    #[test]
    fn debug_shows_no_point() {
        assert!(!format!("{:?}", letters()).contains("\"g\""));
    }
}

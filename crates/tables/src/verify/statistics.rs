//! The bounds that the Delta log gives for the columns of a file, read back as `writing/stats.rs` wrote them, and the rows
//! that lie outside. The log is readable without a key: bounds of a column that is not of class `plain` are a fault of
//! their own.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, Scalar};
use arrow::compute::kernels::{boolean, cmp};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use parcours_keys::ColumnClass;
use serde_json::{Map, Value};

use crate::snapshot::class_of;

/// The bounds of one column in one file.
pub(super) struct Bounds {
    pub(super) column: usize,
    low: Option<Scalar<ArrayRef>>,
    high: Option<Scalar<ArrayRef>>,
}

/// What a log says of a file's columns.
#[derive(Default)]
pub(super) struct Logged {
    pub(super) bounds: Vec<Bounds>,
    /// Columns, named or not, of which nothing may be said in clear.
    pub(super) disclosed: Vec<String>,
    /// Columns whose bounds cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// Reads the statistics of a file, which are Delta's JSON.
pub(super) fn logged(schema: &Schema, statistics: &str) -> Logged {
    let statistics: Value = serde_json::from_str(statistics).unwrap_or_default();
    let part = |name: &str| {
        statistics
            .get(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (low, high) = (part("minValues"), part("maxValues"));
    let mut logged = Logged::default();
    let mut names: Vec<&String> = low.keys().chain(high.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        match schema.index_of(name) {
            Ok(column) if class_of(schema.field(column)) == Some(ColumnClass::Plain) => {
                let field = schema.field(column);
                match (bound(field, name, &low), bound(field, name, &high)) {
                    (Ok(low), Ok(high)) => logged.bounds.push(Bounds { column, low, high }),
                    _ => logged.unreadable.push(name.clone()),
                }
            }
            _ => logged.disclosed.push(name.clone()),
        }
    }
    logged
}

/// A bound as a value of the column's type; none if the log gives none.
fn bound(field: &Field, name: &str, bounds: &Map<String, Value>) -> Result<Option<Scalar<ArrayRef>>, ()> {
    let Some(value) = bounds.get(name) else { return Ok(None) };
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(()),
    };
    let value = ScalarValue::try_from_string(text, field.data_type()).map_err(|_| ())?;
    value.to_scalar().map(Some).map_err(|_| ())
}

impl Bounds {
    /// The rows of the column that lie outside, by their position. NULL and not-a-number have no bounds.
    pub(super) fn outside(&self, column: &ArrayRef) -> Result<Vec<usize>, ArrowError> {
        let mut outside: Option<BooleanArray> = None;
        let sides: [(&Option<Scalar<ArrayRef>>, Comparison); 2] = [(&self.low, cmp::lt), (&self.high, cmp::gt)];
        for (bound, compare) in sides {
            let Some(bound) = bound else { continue };
            let found = compare(column, bound)?;
            outside = Some(match outside {
                None => found,
                Some(before) => boolean::or_kleene(&before, &found)?,
            });
        }
        let outside = outside.unwrap_or_else(|| BooleanArray::from(vec![false; column.len()]));
        let is_outside = |row: &usize| outside.is_valid(*row) && outside.value(*row) && !is_nan(column, *row);
        Ok((0..outside.len()).filter(is_outside).collect())
    }
}

type Comparison = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

fn is_nan(column: &ArrayRef, row: usize) -> bool {
    match column.data_type() {
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).is_nan(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).is_nan(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array};

    use super::*;
    use crate::delta::CLASS_METADATA;

    fn field(name: &str, data_type: DataType, class: &str) -> Field {
        Field::new(name, data_type, true).with_metadata(HashMap::from([(CLASS_METADATA.to_owned(), class.to_owned())]))
    }

    #[test]
    fn rows_outside_are_found_and_nothing_else() {
        let schema = Schema::new(vec![
            field("paid", DataType::Float64, "plain"),
            field("month", DataType::Date32, "plain"),
            field("born", DataType::Int32, "quasi"),
        ]);
        let statistics = r#"{"numRecords": 4, "minValues": {"paid": -1.5, "month": "1970-01-03", "born": 1},
                             "maxValues": {"paid": 2, "month": "1970-01-05"}}"#;
        let logged = logged(&schema, statistics);
        assert_eq!(logged.disclosed, ["born"]);
        assert!(logged.unreadable.is_empty());
        let of = |column| logged.bounds.iter().find(|bounds| bounds.column == column).unwrap();
        let paid: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(-1.5),
            None,
            Some(f64::NAN),
            Some(2.5),
            Some(-2.0),
            Some(2.0),
        ]));
        assert_eq!(of(0).outside(&paid).unwrap(), [3, 4]);
        let month: ArrayRef = Arc::new(Date32Array::from(vec![2, 4, 5, 1]));
        assert_eq!(of(1).outside(&month).unwrap(), [2, 3]);
    }

    #[test]
    fn bounds_that_cannot_be_read_are_named() {
        let schema = Schema::new(vec![field("month", DataType::Date32, "plain")]);
        let logged = logged(&schema, r#"{"minValues": {"month": "soon", "gone": 3}}"#);
        assert_eq!(
            (logged.unreadable, logged.disclosed),
            (vec!["month".to_owned()], vec!["gone".to_owned()])
        );
    }
}

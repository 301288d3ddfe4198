//! Values of any type as bytes that compare as the values do, for aggregates that look for one of them or count them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{SortOptions, cast, unary};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};

/// Columns of given types and orders, to and from bytes.
#[derive(Debug)]
pub(super) struct Encoding {
    types: Vec<DataType>,
    converter: RowConverter,
}

impl Encoding {
    /// Returns an encoding of columns, each of which may be in descending order.
    pub fn new(function: &str, columns: &[(&DataType, bool)]) -> Result<Self> {
        let field = |(of, descending): &(&DataType, bool)| {
            let options = SortOptions {
                descending: *descending,
                nulls_first: false,
            };
            SortField::new_with_options((*of).clone(), options)
        };
        let fields: Vec<SortField> = columns.iter().map(field).collect();
        if !RowConverter::supports_fields(&fields) {
            return not_impl_err!("{function} does not know the order of values of such a type");
        }
        Ok(Self {
            types: columns.iter().map(|(of, _)| (*of).clone()).collect(),
            converter: RowConverter::new(fields)?,
        })
    }

    /// Returns rows as bytes.
    pub fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// Returns the columns of rows that this encoding made.
    pub fn columns<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(rows.map(|row| parser.parse(row)))?;
        // What was a dictionary is none any more.
        let columns = columns.iter().zip(&self.types);
        Ok(columns.map(|(column, of)| cast(column, of)).collect::<Result<_, _>>()?)
    }

    /// Returns how many bytes it takes.
    pub fn size(&self) -> usize {
        self.converter.size()
    }
}

/// Returns floats with one zero and one NaN, which is greater than all else; all other values as they are.
pub(super) fn comparable(values: &ArrayRef) -> ArrayRef {
    if let Some(values) = values.as_primitive_opt::<Float64Type>() {
        let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
        return Arc::new(unary::<_, _, Float64Type>(values, one));
    }
    if let Some(values) = values.as_primitive_opt::<Float32Type>() {
        let one = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
        return Arc::new(unary::<_, _, Float32Type>(values, one));
    }
    Arc::clone(values)
}

/// Returns which rows have all of these values, and are left by a filter. A dictionary may have NULL among its values.
pub(super) fn complete<'a>(columns: &[ArrayRef], filter: Option<&'a BooleanArray>) -> impl Fn(usize) -> bool + use<'a> {
    let nulls: Vec<_> = columns.iter().filter_map(|column| column.logical_nulls()).collect();
    move |row| {
        let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        counts && nulls.iter().all(|nulls| nulls.is_valid(row))
    }
}

/// Returns one list of all values.
pub(super) fn list(values: ArrayRef) -> Result<ScalarValue> {
    if i32::try_from(values.len()).is_err() {
        return exec_err!("an aggregate has more values in one group than a list may have");
    }
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(
        field, offsets, values, None,
    )?)))
}

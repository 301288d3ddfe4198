//! Values for a statement's `$1`, `$2`, …: each is sent as the type that the scheduler announced for it. A value that
//! does not fit its type is refused here, by position; it is never quoted in an error.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::ClientError;

/// The value of one placeholder. Dates and decimals are given as text (`2016-01-31`, `12.50`), which the statement's
/// own type then turns into what it needs.
#[derive(Clone, PartialEq)]
pub enum Parameter {
    /// SQL NULL.
    Null,
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// Text, or the text of a date, timestamp or decimal.
    Text(String),
}

impl fmt::Debug for Parameter {
    /// Names the kind only: a value may be a patient's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Parameter::Null => "Null",
            Parameter::Boolean(_) => "Boolean(..)",
            Parameter::Integer(_) => "Integer(..)",
            Parameter::Float(_) => "Float(..)",
            Parameter::Text(_) => "Text(..)",
        })
    }
}

impl From<bool> for Parameter {
    fn from(value: bool) -> Self {
        Parameter::Boolean(value)
    }
}

impl From<i64> for Parameter {
    fn from(value: i64) -> Self {
        Parameter::Integer(value)
    }
}

impl From<f64> for Parameter {
    fn from(value: f64) -> Self {
        Parameter::Float(value)
    }
}

impl From<&str> for Parameter {
    fn from(value: &str) -> Self {
        Parameter::Text(value.to_owned())
    }
}

impl From<String> for Parameter {
    fn from(value: String) -> Self {
        Parameter::Text(value)
    }
}

impl<T: Into<Parameter>> From<Option<T>> for Parameter {
    fn from(value: Option<T>) -> Self {
        value.map_or(Parameter::Null, Into::into)
    }
}

impl Parameter {
    fn array(&self) -> ArrayRef {
        match self {
            Parameter::Null => new_null_array(&DataType::Null, 1),
            Parameter::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
            Parameter::Integer(value) => Arc::new(Int64Array::from(vec![*value])),
            Parameter::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Parameter::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        }
    }

    /// One value as the announced type; a placeholder whose type the scheduler could not tell (`Null`) goes as it is.
    fn typed(&self, wanted: &DataType) -> Option<ArrayRef> {
        let array = self.array();
        match (self, wanted) {
            (Parameter::Null, wanted) => Some(new_null_array(wanted, 1)),
            (_, DataType::Null) => Some(array),
            _ => {
                let strict = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                cast_with_options(&array, wanted, &strict).ok()
            }
        }
    }
}

/// One row of parameters, in the order and under the names of the announced schema. `parameters[0]` is `$1`.
pub(crate) fn row(announced: &Schema, parameters: &[Parameter]) -> Result<RecordBatch, ClientError> {
    if announced.fields().len() != parameters.len() {
        let (wanted, given) = (announced.fields().len(), parameters.len());
        return Err(ClientError::Parameter(format!(
            "the statement takes {wanted}, {given} given"
        )));
    }
    let mut fields = Vec::with_capacity(parameters.len());
    let mut columns = Vec::with_capacity(parameters.len());
    for (at, field) in announced.fields().iter().enumerate() {
        let position = position_of(field, at);
        let parameter = parameters
            .get(position)
            .ok_or_else(|| ClientError::Parameter(format!("no value for ${}", position + 1)))?;
        let column = parameter.typed(field.data_type()).ok_or_else(|| {
            ClientError::Parameter(format!("the value of ${} is not a {}", position + 1, field.data_type()))
        })?;
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &one,
    )?)
}

/// Which of the given parameters a field stands for: by its name `$n` when it has one, else by its place.
fn position_of(field: &Field, at: usize) -> usize {
    let number = field
        .name()
        .strip_prefix('$')
        .and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| number.checked_sub(1)).unwrap_or(at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::{Array, Date32Array, Int32Array};

    #[test]
    fn values_take_the_announced_types_by_placeholder_number() {
        let announced = Schema::new(vec![
            Field::new("$2", DataType::Date32, true),
            Field::new("$1", DataType::Int32, true),
            Field::new("$3", DataType::Null, true),
        ]);
        let row = row(&announced, &["17".into(), "1970-01-11".into(), Parameter::from(true)]).unwrap();
        assert_eq!(
            row.column(0).as_any().downcast_ref::<Date32Array>().unwrap().value(0),
            10
        );
        assert_eq!(
            row.column(1).as_any().downcast_ref::<Int32Array>().unwrap().value(0),
            17
        );
        assert_eq!(row.column(2).data_type(), &DataType::Boolean);
    }

    #[test]
    fn null_is_a_typed_null() {
        let announced = Schema::new(vec![Field::new("$1", DataType::Utf8, true)]);
        let row = row(&announced, &[Parameter::Null]).unwrap();
        assert!(row.column(0).is_null(0));
        assert_eq!(row.column(0).data_type(), &DataType::Utf8);
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_position_and_never_quoted() {
        let announced = Schema::new(vec![Field::new("$1", DataType::Date32, true)]);
        let error = row(&announced, &["1234567890123".into()]).unwrap_err().to_string();
        assert!(
            error.contains("$1") && error.contains("Date32") && !error.contains("1234567890123"),
            "{error}"
        );
    }

    #[test]
    fn the_number_of_parameters_must_agree() {
        let announced = Schema::new(vec![Field::new("$1", DataType::Utf8, true)]);
        assert!(row(&announced, &[]).is_err());
        assert!(row(&Schema::empty(), &[]).unwrap().num_rows() == 1);
    }

    #[test]
    fn debug_hides_values() {
        assert_eq!(format!("{:?}", Parameter::from("1234567890123")), "Text(..)");
    }
}

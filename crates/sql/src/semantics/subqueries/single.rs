//! The scalar function `single_value(rows, value)`: the value of a subquery that had so many rows, an error if there were several.
//! It stands where the value is used, so that a group of several rows that is not used does no harm.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function as plans hold it.
pub(super) fn single_value() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(SingleValue {
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl ScalarUDFImpl for SingleValue {
    fn name(&self) -> &str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, value] => Ok(value.clone()),
            _ => internal_err!("single_value takes a number of rows and a value"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [_, value] => Ok(Arc::new(Field::new(self.name(), value.data_type().clone(), true))),
            _ => internal_err!("single_value takes a number of rows and a value"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [counts, value] = args.args.as_slice() else {
            return internal_err!("single_value takes a number of rows and a value");
        };
        let counts = counts.clone().into_array(rows)?;
        if as_int64_array(&counts)?.iter().flatten().any(|rows| rows > 1) {
            return exec_err!(
                "a subquery used as an expression has more than one row: aggregate them, or take one with ORDER BY and LIMIT 1"
            );
        }
        let value = value.clone().into_array(rows)?;
        debug_assert_eq!(value.len(), rows);
        Ok(ColumnarValue::Array(value))
    }
}

//! `array_has(list, x)`: whether a list has a value that is not NULL. The engine says so of a constant, and NULL of a column's
//! value that is not in a list with a NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::columnar::arguments;

/// The function.
pub(super) fn contains() -> ScalarUDF {
    ScalarUDF::from(Contains { of: array_has_udf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Contains {
    of: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Contains {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn aliases(&self) -> &[String] {
        self.of.aliases()
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.of.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<Result<Vec<_>>>()?;
        match self.of.invoke_with_args(args)? {
            ColumnarValue::Array(found) => Ok(ColumnarValue::Array(decided(&found, &arrays)?)),
            scalar => Ok(scalar),
        }
    }
}

/// Says FALSE where nothing was found and both the list and the value are known.
fn decided(found: &ArrayRef, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let [list, value] = arguments("array_has", arrays)?;
    let found: BooleanArray = found
        .as_boolean()
        .iter()
        .enumerate()
        .map(|(row, found)| found.or((list.is_valid(row) && value.is_valid(row)).then_some(false)))
        .collect();
    Ok(Arc::new(found))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, session};

    #[tokio::test]
    async fn a_value_is_in_a_list_or_not() {
        answers(
            "SELECT array_has([3, NULL, 1], 5), list_contains([3, NULL, 1], 3), array_has(NULL, 1)",
            "false,true,NULL",
        )
        .await;
        let sql = "SELECT array_has([3, NULL, x], k), array_has([3, NULL, 1], k) FROM (VALUES (1, 5), (2, 3), (7, 7), (1, NULL)) t(x, k)";
        let rows = found(&session(2), sql).await;
        assert_eq!(rows[..3], ["false,false", "true,true", "true,false"].map(str::to_owned));
    }
}

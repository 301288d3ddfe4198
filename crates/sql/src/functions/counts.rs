//! Functions of lists that count: `array_length`, `array_position` and their like. The engine's are unsigned, and a number
//! that is added to an unsigned one becomes a DECIMAL; here they are BIGINT. Of no rows they give no rows, where the engine's
//! `array_positions` (DataFusion 55) gives one.

use std::sync::Arc;

use datafusion::arrow::array::new_empty_array;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::functions_nested::{cardinality, dimension, length, position};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// The functions.
pub(super) fn counts() -> [ScalarUDF; 6] {
    [
        cardinality::cardinality_udf(),
        dimension::array_dims_udf(),
        dimension::array_ndims_udf(),
        length::array_length_udf(),
        position::array_position_udf(),
        position::array_positions_udf(),
    ]
    .map(|unsigned| ScalarUDF::from(Signed { unsigned }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    unsigned: Arc<ScalarUDF>,
}

/// Returns a type with signed numbers in the place of unsigned ones.
fn signed(of: &DataType) -> DataType {
    match of {
        DataType::UInt64 | DataType::UInt32 => DataType::Int64,
        DataType::List(item) => {
            let item = Field::new(item.name(), signed(item.data_type()), item.is_nullable());
            DataType::List(Arc::new(item))
        }
        of => of.clone(),
    }
}

impl ScalarUDFImpl for Signed {
    fn name(&self) -> &str {
        self.unsigned.name()
    }

    fn aliases(&self) -> &[String] {
        self.unsigned.aliases()
    }

    fn signature(&self) -> &Signature {
        self.unsigned.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.unsigned.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(signed(&self.unsigned.return_type(types)?))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let returned = args.return_type().clone();
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(&returned)));
        }
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let of = self.unsigned.return_type(&types)?;
        args.return_field = Arc::new(Field::new(self.name(), of, true));
        self.unsigned.invoke_with_args(args)?.cast_to(&returned, None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::answers;

    #[tokio::test]
    async fn they_are_signed() {
        answers(
            "SELECT arrow_typeof(array_length([1, 2]) + 1), array_length([1, 2]) - 3, cardinality([[1], [2, 3]]), array_ndims([[1]])",
            "Int64,-1,3,2",
        )
        .await;
        answers(
            "SELECT array_position([3, 1], 1) - 5, array_positions([1, 2, 1], 1), list_length(CASE WHEN false THEN [1] END), \
             array_length([1])",
            "-3,[1, 3],NULL,1",
        )
        .await;
    }
}

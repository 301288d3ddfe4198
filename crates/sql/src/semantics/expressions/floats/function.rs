//! `positive_zero(x)`: a DOUBLE or REAL of which equal values have equal bits.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::comparisons::constant;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(PositiveZero::new())));

/// The function.
pub(in super::super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// The float with the one zero and the one not-a-number; itself where it has no other.
pub(super) fn positive(expr: Expr) -> Expr {
    match &expr {
        Expr::ScalarFunction(function) if function.func.inner().is::<PositiveZero>() => expr,
        Expr::Cast(Cast { expr: inner, .. }) if is_whole(inner) => expr,
        _ if constant(&expr).is_some_and(|number| number != 0.0 && !number.is_nan()) => expr,
        _ => Expr::ScalarFunction(ScalarFunction::new_udf(function(), vec![expr])),
    }
}

fn is_whole(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.data_type().is_integer(),
        Expr::Cast(Cast { field, .. }) => field.data_type().is_integer(),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PositiveZero {
    signature: Signature,
}

impl PositiveZero {
    fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for PositiveZero {
    fn name(&self) -> &str {
        "positive_zero"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Float32 | DataType::Float64] => Ok(types.to_vec()),
            _ => plan_err!("{} is over DOUBLE or REAL", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [one] => Ok(one.clone()),
            _ => internal_err!("{} has one argument", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            // What is known of a column, such as its class, is known of it here.
            [one] => Ok(Arc::new(Field::clone(one).with_name(self.name()))),
            _ => internal_err!("{} has one argument", self.name()),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [floats] = take_function_args(self.name(), args.args)?;
        match floats {
            ColumnarValue::Array(floats) => Ok(ColumnarValue::Array(with_one_zero(&floats)?)),
            ColumnarValue::Scalar(float) => {
                let float = with_one_zero(&float.to_array()?)?;
                ScalarValue::try_from_array(&float, 0).map(ColumnarValue::Scalar)
            }
        }
    }
}

fn with_one_zero(floats: &ArrayRef) -> Result<ArrayRef> {
    Ok(match floats.data_type() {
        DataType::Float32 => {
            let floats = floats.as_primitive::<Float32Type>();
            // −0.0 + 0.0 is 0.0.
            let with_one: Float32Array = floats.unary(|x| if x.is_nan() { f32::NAN } else { x + 0.0 });
            Arc::new(with_one)
        }
        DataType::Float64 => {
            let floats = floats.as_primitive::<Float64Type>();
            let with_one: Float64Array = floats.unary(|x| if x.is_nan() { f64::NAN } else { x + 0.0 });
            Arc::new(with_one)
        }
        other => return internal_err!("{other} has one zero"),
    })
}

//! `mod(a, b)`, which is what `%` is, and `sign(x)`: -1, 0 or 1, in the argument's kind of number.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::compute::{cast, kernels};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Float64Type, i256};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::logical_expr_common::type_coercion::binary::BinaryTypeCoercer;

use super::columnar::{arguments, over_arrays, plain, shared};

/// Both functions.
pub(super) fn numbers() -> [ScalarUDF; 2] {
    let signature = || Signature::user_defined(Volatility::Immutable);
    [
        ScalarUDF::from(Modulo { signature: signature() }),
        ScalarUDF::from(Sign { signature: signature() }),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Modulo {
    signature: Signature,
}

impl ScalarUDFImpl for Modulo {
    fn name(&self) -> &str {
        "mod"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = types else {
            return plan_err!("mod takes two numbers");
        };
        let (left, right) = BinaryTypeCoercer::new(plain(left), &Operator::Modulo, plain(right)).get_input_types()?;
        match [&left, &right].iter().all(|of| of.is_numeric() || of.is_null()) {
            true => Ok(vec![left, right]),
            false => plan_err!("mod takes two numbers, not values of types {left} and {right}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [left, right] = arguments("mod", types)?;
        BinaryTypeCoercer::new(left, &Operator::Modulo, right).get_result_type()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let returned = args.return_type().clone();
        over_arrays(&args, |arrays| {
            let [left, right] = arguments("mod", arrays)?;
            if returned.is_null() {
                return Ok(left.slice(0, left.len()));
            }
            let rest = kernels::numeric::rem(left, right);
            let rest = rest.map_err(|_| exec_datafusion_err!("mod divides by zero"))?;
            Ok(cast(&rest, &returned)?)
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sign {
    signature: Signature,
}

impl ScalarUDFImpl for Sign {
    fn name(&self) -> &str {
        "sign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = types else {
            return plan_err!("sign takes one number");
        };
        match plain(of) {
            DataType::Null | DataType::Float16 | DataType::Float32 | DataType::Float64 => Ok(vec![DataType::Float64]),
            DataType::Decimal256(_, scale) => Ok(vec![DataType::Decimal256(76, *scale)]),
            of if of.is_integer() || of.is_decimal() => Ok(vec![of.clone()]),
            of => plan_err!("sign takes a number, not a value of type {of}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types {
            [DataType::Float64] => DataType::Float64,
            _ => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| {
            let [values] = arguments("sign", arrays)?;
            signs(values)
        })
    }
}

fn signs(values: &ArrayRef) -> Result<ArrayRef> {
    if let Some(values) = values.as_primitive_opt::<Float64Type>() {
        let sign = |value: f64| {
            if value == 0.0 || value.is_nan() {
                value + 0.0
            } else {
                value.signum()
            }
        };
        return shared(values.iter().map(|value| value.map(sign)).collect::<Float64Array>());
    }
    // The widest decimal holds all others, and whole numbers, whatever their scale.
    let scale = match values.data_type() {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    };
    let values = cast(values, &DataType::Decimal256(76, scale))?;
    let sign = |value: i256| match value {
        i256::ZERO => 0,
        value if value.is_negative() => -1,
        _ => 1,
    };
    let values = values.as_primitive::<Decimal256Type>();
    shared(values.iter().map(|value| value.map(sign)).collect::<Int64Array>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::{answer, answers, refused, session};

    #[tokio::test]
    async fn the_rest_has_the_sign_of_what_is_divided() {
        answers(
            "SELECT mod(5, 3), mod(-5, 3), mod(5, -3), mod(5.5e0, 2), mod(NULL, 2), mod(5, NULL)",
            "2,-2,2,1.5,NULL,NULL",
        )
        .await;
        answers(
            "SELECT mod(CAST('5.5' AS decimal(4, 2)), 2), mod(-9223372036854775808, -1)",
            "1.50,0",
        )
        .await;
        refused("SELECT mod(x, 0) FROM (VALUES (1)) t(x)", "mod divides by zero").await;
        refused("SELECT mod(date '2020-01-01', 2)", "mod").await;
        let rows = answer(
            &session(2),
            "SELECT mod(x, n) FROM (VALUES (7, 4), (NULL, 4), (9, 5)) t(x, n)",
        )
        .await;
        assert_eq!(rows.unwrap(), ["3", "NULL", "4"]);
    }

    #[tokio::test]
    async fn signs_are_minus_one_zero_and_one() {
        answers(
            "SELECT sign(-5), sign(0), sign(9223372036854775807), sign(NULL)",
            "-1,0,1,NULL",
        )
        .await;
        answers(
            "SELECT sign(-0.5e0), sign(-0e0), sign(CAST('NaN' AS double)), sign(CAST('Infinity' AS double))",
            "-1.0,0.0,NaN,1.0",
        )
        .await;
        answers(
            "SELECT sign(CAST('-0.01' AS decimal(38, 2))), sign(arrow_cast(3, 'UInt64'))",
            "-1,1",
        )
        .await;
        refused("SELECT sign('a')", "sign takes a number").await;
    }
}

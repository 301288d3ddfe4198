//! Analyzer rules before type coercion, where a CAST is still one that the statement asks for:
//!
//! - A number becomes a whole number by rounding, as in PostgreSQL and DuckDB: DOUBLE to the nearest, and to the even one of
//!   two that are equally near; DECIMAL, and a number as it is written, away from zero then. The engine cuts off.
//! - A whole number becomes a timestamp as seconds since 1970.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::utils::take_function_args;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::each::{rewrite_plan, target};

/// Functions whose values are whole already.
const WHOLE: [&str; 4] = ["ceil", "floor", "round", "trunc"];

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(NearestInteger::new())));

/// The function that rounds.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// Rounds what is cast to a whole number.
#[derive(Debug, Default)]
pub(super) struct RoundingCasts;

impl AnalyzerRule for RoundingCasts {
    fn name(&self) -> &str {
        "rounding_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(
            plan,
            |expr| target(expr).is_some_and(concerned),
            |expr, schema| expr.transform_up(|expr| mended(expr, schema)),
        )
    }
}

fn concerned(target: &DataType) -> bool {
    target.is_integer() || matches!(target, DataType::Timestamp(TimeUnit::Microsecond, _))
}

fn mended(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let target = target(&expr).filter(|target| concerned(target)).cloned();
    let (Some(target), Expr::Cast(Cast { expr: inner, .. }) | Expr::TryCast(TryCast { expr: inner, .. })) =
        (target, &mut expr)
    else {
        return Ok(Transformed::no(expr));
    };
    let from = inner.get_type(schema)?;
    let mended = match &target {
        DataType::Timestamp(_, zone) if from.is_integer() => Some(cast(
            std::mem::take(inner),
            DataType::Timestamp(TimeUnit::Second, zone.clone()),
        )),
        DataType::Timestamp(..) => None,
        _ => rounded(inner, &from),
    };
    Ok(match mended {
        Some(mended) => {
            **inner = mended;
            Transformed::yes(expr)
        }
        None => Transformed::no(expr),
    })
}

/// The expression rounded to a whole number of its type. None if that is not needed.
fn rounded(expr: &mut Expr, from: &DataType) -> Option<Expr> {
    let fractional = match from {
        DataType::Float32 | DataType::Float64 => true,
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => *scale > 0,
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale > 0,
        _ => false,
    };
    match expr {
        _ if !fractional => None,
        Expr::ScalarFunction(function) if WHOLE.contains(&function.func.name()) && function.args.len() == 1 => None,
        // As it is written it is a DECIMAL elsewhere.
        Expr::Literal(ScalarValue::Float64(Some(number)), metadata) => {
            let number = ScalarValue::Float64(Some(number.round()));
            Some(Expr::Literal(number, metadata.take()))
        }
        expr => Some(Expr::ScalarFunction(ScalarFunction::new_udf(
            function(),
            vec![std::mem::take(expr)],
        ))),
    }
}

/// `nearest_integer(x)`: a DOUBLE, REAL or DECIMAL without a fraction. Columns are named as their argument is, as casts are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NearestInteger {
    signature: Signature,
}

impl NearestInteger {
    fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for NearestInteger {
    fn name(&self) -> &str {
        "nearest_integer"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [one] => Ok(one.schema_name().to_string()),
            _ => internal_err!("{} has one argument", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Float32 | DataType::Float64] => Ok(types.to_vec()),
            [decimal] if decimal.is_decimal() => Ok(types.to_vec()),
            _ => plan_err!("{} is over DOUBLE, REAL or DECIMAL", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let digits =
            |precision: u8, scale: i8, most: u8| (precision.saturating_sub(scale.unsigned_abs()) + 1).min(most);
        Ok(match types {
            [DataType::Decimal32(precision, scale)] => DataType::Decimal32(digits(*precision, *scale, 9), 0),
            [DataType::Decimal64(precision, scale)] => DataType::Decimal64(digits(*precision, *scale, 18), 0),
            [DataType::Decimal128(precision, scale)] => DataType::Decimal128(digits(*precision, *scale, 38), 0),
            [DataType::Decimal256(precision, scale)] => DataType::Decimal256(digits(*precision, *scale, 76), 0),
            [float] => float.clone(),
            _ => return internal_err!("{} has one argument", self.name()),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [numbers] = take_function_args(self.name(), args.args)?;
        // A cast of DECIMAL to a smaller scale rounds away from zero.
        if numbers.data_type().is_decimal() {
            return numbers.cast_to(args.return_field.data_type(), None);
        }
        match numbers {
            ColumnarValue::Array(numbers) => Ok(ColumnarValue::Array(to_even(&numbers)?)),
            ColumnarValue::Scalar(number) => {
                let whole = to_even(&number.to_array()?)?;
                ScalarValue::try_from_array(&whole, 0).map(ColumnarValue::Scalar)
            }
        }
    }
}

fn to_even(numbers: &ArrayRef) -> Result<ArrayRef> {
    Ok(match numbers.data_type() {
        DataType::Float32 => {
            let whole: Float32Array = numbers.as_primitive::<Float32Type>().unary(f32::round_ties_even);
            Arc::new(whole)
        }
        DataType::Float64 => {
            let whole: Float64Array = numbers.as_primitive::<Float64Type>().unary(f64::round_ties_even);
            Arc::new(whole)
        }
        other => return internal_err!("{other} has no fractions"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, failures, numbers, same_plans};

    /// Expected values are DuckDB's.
    #[tokio::test]
    async fn numbers_are_rounded() {
        let context = numbers(true).await;
        answers(
            &context,
            &[
                ("SELECT CAST(1.5 AS INT), CAST(2.5 AS INT), CAST(-2.5 AS INT), CAST(-0.5 AS INT)", "2 3 -3 -1"),
                ("SELECT CAST(x AS INT), CAST(x * 1 AS BIGINT), x::SMALLINT AS s FROM n", "0 0 0 | -2 -2 -2 | NULL NULL NULL | 2 2 2"),
                ("SELECT CAST(CAST(2.5 AS DOUBLE) AS INT), CAST(CAST(3.5 AS REAL) AS INT)", "2 4"),
                ("SELECT CAST(CAST(x AS DECIMAL(3, 1)) AS INT) FROM n", "1 | -3 | NULL | 2"),
                ("SELECT CAST(CAST(9.99 AS DECIMAL(3, 2)) AS INT), CAST(CAST(99999999999999999999999999999999999999 AS DECIMAL(38, 0)) AS DECIMAL(38, 0)) > 0", "10 true"),
                ("SELECT TRY_CAST(x AS TINYINT), TRY_CAST(300.5 AS TINYINT) FROM n WHERE id = 4", "2 NULL"),
                ("SELECT id FROM n WHERE CAST(x AS INT) = 2", "4"),
                ("SELECT CAST(x AS INT), count(*) FROM n GROUP BY CAST(x AS INT) ORDER BY 1", "-2 1 | 0 1 | 2 1 | NULL 1"),
                ("SELECT CAST(x AS INT) FROM none", ""),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn what_is_too_large_fails() {
        let context = numbers(true).await;
        failures(
            &context,
            &[
                ("SELECT CAST(1e30 AS INT)", ""),
                ("SELECT CAST(x * 1e30 AS BIGINT) FROM n", ""),
                ("SELECT CAST('NaN'::DOUBLE AS INT)", ""),
                ("SELECT CAST(big AS INT) FROM n", ""),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn other_casts_are_the_engines() {
        let (ours, theirs) = (numbers(true).await, numbers(false).await);
        same_plans([&ours, &theirs], &[
            "SELECT CAST(int AS BIGINT), CAST(x AS REAL), CAST(floor(x) AS INT), CAST(x AS TEXT) AS s, CAST('5' AS INT) FROM n",
            "SELECT CAST(int AS SMALLINT) FROM n WHERE CAST(id AS VARCHAR) > '5'",
        ]).await;
    }
}

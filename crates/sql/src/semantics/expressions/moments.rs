//! An analyzer rule behind type coercion: a timestamp as a text has a space between day and time, and no zeros behind a
//! fraction, as in PostgreSQL and DuckDB. The engine writes `2024-02-04T15:04:05.500`.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::utils::take_function_args;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::each::{rewrite_plan, target};

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::from(MomentText {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
});

/// The function that writes a timestamp.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// Writes timestamps that are cast to texts.
#[derive(Debug, Default)]
pub(super) struct TextsOfMoments;

impl AnalyzerRule for TextsOfMoments {
    fn name(&self) -> &str {
        "texts_of_moments"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(
            plan,
            |expr| target(expr).is_some_and(is_text),
            |expr, schema| expr.transform_up(|expr| written(expr, schema)),
        )
    }
}

fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Writes what is cast before it is: the cast is then one of a text to a text.
fn written(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !target(&expr).is_some_and(is_text) {
        return Ok(Transformed::no(expr));
    }
    let (Expr::Cast(Cast { expr: inner, .. }) | Expr::TryCast(TryCast { expr: inner, .. })) = &mut expr else {
        return Ok(Transformed::no(expr));
    };
    if !matches!(inner.get_type(schema)?, DataType::Timestamp(..)) {
        return Ok(Transformed::no(expr));
    }
    let moment = std::mem::take(inner);
    **inner = Expr::ScalarFunction(ScalarFunction::new_udf(function(), vec![*moment]));
    Ok(Transformed::yes(expr))
}

/// `moment_text(timestamp)`. Columns are named as their argument is, as casts are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MomentText {
    signature: Signature,
}

impl ScalarUDFImpl for MomentText {
    fn name(&self) -> &str {
        "moment_text"
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
            [DataType::Timestamp(..)] => Ok(types.to_vec()),
            _ => plan_err!("{} is over a timestamp", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [moments] = take_function_args(self.name(), args.args)?;
        match moments {
            ColumnarValue::Array(moments) => texts(&moments).map(ColumnarValue::Array),
            ColumnarValue::Scalar(moment) => {
                let text = texts(&moment.to_array()?)?;
                ScalarValue::try_from_array(&text, 0).map(ColumnarValue::Scalar)
            }
        }
    }
}

fn texts(moments: &ArrayRef) -> Result<ArrayRef> {
    let engines = cast_array(moments, &DataType::Utf8)?;
    let texts: StringArray = engines.as_string::<i32>().iter().map(|text| text.map(plain)).collect();
    if texts.null_count() != moments.null_count() {
        return internal_err!("a timestamp is not written as a text");
    }
    Ok(Arc::new(texts))
}

/// Returns `2024-02-04 15:04:05.5` for `2024-02-04T15:04:05.500`, and `+00` in the place of `Z`.
fn plain(text: &str) -> String {
    let Some((day, time)) = text.split_once('T') else {
        return text.to_owned();
    };
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let time = match time.contains('.') {
        true => time.trim_end_matches('0').trim_end_matches('.'),
        false => time,
    };
    let zone = if zone == "Z" { "+00" } else { zone };
    format!("{day} {time}{zone}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, numbers};

    /// Expected values are PostgreSQL's and DuckDB's.
    #[tokio::test]
    async fn day_and_time_have_a_space_between() {
        let context = numbers(true).await;
        answers(
            &context,
            &[
                (
                    "SELECT CAST(TIMESTAMP '2024-02-04 15:04:05.5' AS TEXT) AS a",
                    "2024-02-04 15:04:05.5",
                ),
                (
                    "SELECT CAST(TIMESTAMP '2024-02-04 15:04:00' AS TEXT) || '!' AS a",
                    "2024-02-04 15:04:00!",
                ),
                (
                    "SELECT 'at ' || TIMESTAMP '2024-02-04 00:00:00.000001' AS a",
                    "at 2024-02-04 00:00:00.000001",
                ),
                (
                    "SELECT concat(CAST(d AS TIMESTAMP)) AS a FROM n WHERE id IN (3, 4) ORDER BY id",
                    " | 2020-02-29 00:00:00",
                ),
                (
                    "SELECT CAST(CAST(d AS TIMESTAMP) AS TEXT) AS a, max(id) FROM n WHERE id = 2 GROUP BY 1",
                    "9999-12-31 00:00:00 2",
                ),
            ],
        )
        .await;
    }
}

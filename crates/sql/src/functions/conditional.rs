//! `if(condition, then, otherwise)`, which is rewritten to a CASE, so that only what is chosen is computed.

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::prep_null_mask_filter;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::other::get_coerce_type_for_case_expression;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, when,
};

use super::columnar::{arguments, over_arrays};

/// The function.
pub(super) fn conditional() -> ScalarUDF {
    ScalarUDF::from(If {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["iff".to_owned()],
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct If {
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for If {
    fn name(&self) -> &str {
        "if"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [condition, then, otherwise] = types else {
            return plan_err!("if takes a condition and two values");
        };
        if !matches!(condition, DataType::Boolean | DataType::Null) {
            return plan_err!("the condition of if is a BOOLEAN, not a value of type {condition}");
        }
        match get_coerce_type_for_case_expression(std::slice::from_ref(then), Some(otherwise)) {
            Some(of) => Ok(vec![DataType::Boolean, of.clone(), of]),
            None => plan_err!("the two values of if have types without one in common: {then} and {otherwise}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [_, then, _] = arguments("if", types)?;
        Ok(then.clone())
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match <[Expr; 3]>::try_from(args) {
            Ok([condition, then, otherwise]) => {
                let case = when(condition, then).otherwise(otherwise)?;
                Ok(ExprSimplifyResult::Simplified(case))
            }
            Err(args) => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| {
            let [condition, then, otherwise] = arguments("if", arrays)?;
            let Some(condition) = condition.as_boolean_opt() else {
                return exec_err!("the condition of if is a BOOLEAN");
            };
            let condition: BooleanArray = match condition.null_count() {
                0 => condition.clone(),
                _ => prep_null_mask_filter(condition),
            };
            Ok(zip(&condition, then, otherwise)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn one_value_is_chosen_and_only_that_computed() {
        answers(
            "SELECT if(true, 1, 2), if(false, 1, 2), if(NULL, 1, 2), if(1 < 2, 1, 2.5), iff(true, NULL, 'b')",
            "1,2,2,1.0,NULL",
        )
        .await;
        let sql = "SELECT if(x <> 0, 10 / x, -1), if(x IS NULL, 'none', CAST(x AS varchar)) FROM (VALUES (0), (5), (NULL)) t(x)";
        assert_eq!(found(&session(2), sql).await, ["-1,0", "2,5", "-1,none"]);
        refused("SELECT if(1, 2, 3)", "BOOLEAN").await;
        refused("SELECT if(true, date '2020-01-01', false)", "in common").await;
    }
}

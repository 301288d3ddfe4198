//! An analyzer rule behind type coercion: `a || b` of texts becomes a function that knows how long its value may be. The
//! engine's operator makes texts of two gigabytes of thirty that are put behind themselves, each in a name of `WITH`.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::kernels::concat_elements::concat_elements_dyn;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::each::rewrite_plan;
use crate::functions::growing;

/// How the operator is written.
const OPERATOR: &str = "||";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(JoinedTexts::new())));

/// The function that puts texts behind each other.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// Bounds the length of what `||` makes.
#[derive(Debug, Default)]
pub(super) struct BoundedTexts;

impl AnalyzerRule for BoundedTexts {
    fn name(&self) -> &str {
        "bounded_texts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(plan, joins, |expr, schema| {
            expr.transform_up(|expr| bounded(expr, schema))
        })
    }
}

fn joins(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::StringConcat,
            ..
        })
    )
}

fn bounded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::StringConcat,
        right,
    }) = expr
    else {
        return Ok(Transformed::no(expr));
    };
    let of = left.get_type(schema)?;
    if !of.is_string() || right.get_type(schema)? != of {
        let op = Operator::StringConcat;
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    // A chain is one call.
    let mut parts = match *left {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func == *FUNCTION => args,
        left => vec![left],
    };
    parts.push(*right);
    let joined = ScalarFunction::new_udf(function(), parts);
    Ok(Transformed::yes(Expr::ScalarFunction(joined)))
}

/// `joined_texts(a, b, …)`: NULL if one of them is. Columns are named as by the operator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JoinedTexts {
    signature: Signature,
}

impl JoinedTexts {
    fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for JoinedTexts {
    fn name(&self) -> &str {
        "joined_texts"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(&format!(" {OPERATOR} ")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [first, ..] if first.is_string() && types.iter().all(|of| of == first) => Ok(types.to_vec()),
            _ => plan_err!("{OPERATOR} is over texts"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, ..] => Ok(first.clone()),
            [] => internal_err!("{} has arguments", self.name()),
        }
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
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        growing::check(OPERATOR, &args.args, &growing::joined(&args.args, rows)?)?;
        let mut texts: Option<ArrayRef> = None;
        for arg in &args.args {
            let next = arg.to_array(rows)?;
            texts = Some(match texts {
                Some(before) => concat_elements_dyn(&before, &next)?,
                None => next,
            });
        }
        match texts {
            Some(texts) if constant => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&texts, 0)?)),
            Some(texts) => Ok(ColumnarValue::Array(texts)),
            None => internal_err!("{} has arguments", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, context, failures};

    #[tokio::test]
    async fn texts_are_put_behind_each_other_as_before() {
        let sql = "SELECT a || b, a || '-' || b || a, 'x' || 'y' || NULL, 'n' || 1 \
                   FROM (VALUES ('a', 'b'), ('c', NULL)) AS t (a, b) ORDER BY a";
        answers(&context(true), &[(sql, "ab a-ba NULL n1 | NULL NULL NULL n1")]).await;
    }

    #[tokio::test]
    async fn texts_that_double_end_at_the_limit() {
        let doubled = |n: usize| format!("c{n} AS (SELECT a || a AS a FROM c{})", n - 1);
        let with = (1..=40).map(doubled).collect::<Vec<_>>().join(", ");
        let rows = "c0 AS (SELECT column1 AS a FROM (VALUES ('x'), ('y')))";
        let sql = format!("WITH {rows}, {with} SELECT octet_length(a) FROM c40");
        failures(
            &context(true),
            &[(sql.as_str(), "|| would make a text of more than 1 MiB")],
        )
        .await;
    }
}

//! `named_cast(x, name)`: x under a name of its own, by which the syntax tells casts of one thing apart (`syntax/casts`).

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::super::each::rewrite_plan;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(NamedCast::new())));

/// The function.
pub(in super::super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// Takes the function away when all has its name, except in GROUPING SETS, where nothing else keeps names.
#[derive(Debug, Default)]
pub(in super::super) struct PlainCasts;

impl AnalyzerRule for PlainCasts {
    fn name(&self) -> &str {
        "plain_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_plan(plan, is_named, |expr, _| match expr {
            Expr::GroupingSet(_) => Ok(Transformed::no(expr)),
            expr => expr.transform_up(|expr| Ok(unnamed(expr))),
        })
    }
}

fn is_named(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.func.inner().is::<NamedCast>())
}

fn unnamed(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if func.inner().is::<NamedCast>() && args.len() == 2 =>
        {
            Transformed::yes(args.swap_remove(0))
        }
        expr => Transformed::no(expr),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NamedCast {
    signature: Signature,
}

impl NamedCast {
    fn new() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for NamedCast {
    fn name(&self) -> &str {
        crate::syntax::casts::NAMED_CAST
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [_, Expr::Literal(name, _)] => Ok(name.try_as_str().flatten().unwrap_or_default().to_owned()),
            _ => internal_err!("{} has no name", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [_, name] if name.is_string() => Ok(types.to_vec()),
            _ => plan_err!("{} is over anything and a name", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [one, _] => Ok(one.clone()),
            _ => internal_err!("{} has two arguments", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [one, _] => Ok(Arc::new(Field::clone(one).with_name(self.name()))),
            _ => internal_err!("{} has two arguments", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, _] = take_function_args(self.name(), args.args)?;
        Ok(value)
    }
}

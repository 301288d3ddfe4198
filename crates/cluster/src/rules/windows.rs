//! An analyzer rule: what a window function says beside its name, its arguments and its window goes into these, since nothing
//! else travels to executors. `count(x) FILTER (WHERE y) OVER …` counts `CASE WHEN y THEN x END`, and a function that ignores
//! NULLs is one that does so by itself (`windows.rs`). What cannot be said so is refused.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition, when};
use datafusion::optimizer::AnalyzerRule;

use crate::windows::Directed;

/// Aggregates to which a row whose argument is NULL is no row.
const BLIND_TO_NULLS: [&str; 34] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "max",
    "max_by",
    "median",
    "min",
    "min_by",
    "mode",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];

/// Says everything of a window function in what travels.
#[derive(Debug, Default)]
pub(crate) struct WholeWindows;

impl AnalyzerRule for WholeWindows {
    fn name(&self) -> &str {
        "whole_windows"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let whole = expr.transform_up(whole)?;
                Ok(whole.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

fn whole(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::WindowFunction(mut window) => {
            let changed = without_filter(&mut window)? | ignoring_nulls(&mut window)?;
            let expr = Expr::WindowFunction(window);
            Ok(Transformed::new_transformed(expr, changed))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Moves the condition of a FILTER into the first argument. Whether there was one.
fn without_filter(window: &mut WindowFunction) -> Result<bool> {
    let Some(condition) = window.params.filter.take() else {
        return Ok(false);
    };
    let name = window.fun.name();
    let ignores = window.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let aggregate = matches!(window.fun, WindowFunctionDefinition::AggregateUDF(_));
    match window.params.args.first_mut() {
        Some(value) if aggregate && (ignores || BLIND_TO_NULLS.contains(&name)) => {
            *value = when(*condition, std::mem::take(value)).end()?;
            Ok(true)
        }
        _ => not_impl_err!("FILTER is not supported for {name} over a window, filter its rows in a subquery first"),
    }
}

/// Puts the function that ignores NULLs by itself in the place of one that is told to. Whether it was told to.
fn ignoring_nulls(window: &mut WindowFunction) -> Result<bool> {
    let WindowFunctionDefinition::WindowUDF(function) = &window.fun else {
        return Ok(false);
    };
    if window.params.null_treatment != Some(NullTreatment::IgnoreNulls) {
        return Ok(false);
    }
    match Directed::ignoring_nulls(function) {
        Some(function) => {
            window.fun = WindowFunctionDefinition::WindowUDF(function);
            Ok(true)
        }
        None => not_impl_err!("{} does not know IGNORE NULLS", window.fun.name()),
    }
}

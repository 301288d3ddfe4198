//! An analyzer rule before type coercion: expressions that are compared, or among which one is chosen, and the functions that
//! take a date for a timestamp. A date beside a timestamp becomes one of microseconds, where the engine would take
//! nanoseconds, which end in 2262. A decimal beside a double becomes a double, where the engine would make a decimal of both,
//! of which none is infinite or NaN. A date beside a number is refused.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Case, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Projection, Union, cast};
use datafusion::optimizer::AnalyzerRule;

use super::dates::{MICROSECONDS, refuse_numbers, truncated};
use super::each::{compares, rewrite_plan};

/// Functions that choose among their arguments.
const CHOICES: [&str; 6] = ["coalesce", "greatest", "ifnull", "least", "nullif", "nvl"];

/// Functions that make a timestamp of nanoseconds of a date.
const OF_TIMESTAMPS: [&str; 2] = ["date_bin", "date_trunc"];

/// Has dates and timestamps that meet be of one type, and decimals and doubles; refuses numbers beside dates.
#[derive(Debug, Default)]
pub(super) struct AlikeTypes;

impl AnalyzerRule for AlikeTypes {
    fn name(&self) -> &str {
        "alike_types"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = rewrite_plan(plan, concerned, |expr, schema| {
            expr.transform_up(|expr| made_alike(expr, schema))
        })?;
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Union(union) => united(union),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn concerned(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => compares(*op),
        Expr::Between(_) | Expr::InList(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::Case(_) => true,
        Expr::ScalarFunction(ScalarFunction { func, .. }) => {
            CHOICES.contains(&func.name()) || OF_TIMESTAMPS.contains(&func.name()) || func.name() == "to_timestamp"
        }
        _ => false,
    }
}

fn made_alike(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !concerned(&expr) {
        return Ok(Transformed::no(expr));
    }
    match expr {
        Expr::InSubquery(InSubquery { .. }) | Expr::SetComparison(SetComparison { .. }) => {
            beside_subquery(expr, schema)
        }
        Expr::Case(case) => of_case(case, schema),
        Expr::ScalarFunction(function) if CHOICES.contains(&function.func.name()) => {
            let ScalarFunction { func, args } = function;
            let args = together(args, schema, "beside")?;
            Ok(args.update_data(|args| Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        Expr::ScalarFunction(function) => of_function(function, schema),
        expr => compared(expr, schema),
    }
}

/// The parts of a comparison.
fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut parts = Vec::new();
    // Takes the parts out and puts them back in the order of the children, which is that of the expression.
    let hollow = expr.map_children(|part| {
        parts.push(part);
        Ok(Transformed::no(Expr::default()))
    })?;
    let alike = together(parts, schema, "compared with")?;
    let changed = alike.transformed;
    let mut parts = alike.data.into_iter();
    let filled = hollow
        .data
        .map_children(|empty| Ok(Transformed::yes(parts.next().unwrap_or(empty))))?;
    Ok(Transformed::new_transformed(filled.data, changed))
}

/// Expressions that are compared with each other, or are values of one.
fn together(parts: Vec<Expr>, schema: &DFSchema, where_: &str) -> Result<Transformed<Vec<Expr>>> {
    let types = parts.iter().map(|part| part.get_type(schema));
    let types = types.collect::<Result<Vec<_>>>()?;
    refuse_numbers(types.iter(), where_)?;
    Ok(alike(parts, &types, true))
}

/// Casts what is of another type than the expressions beside it ([`targets`]).
pub(super) fn alike(parts: Vec<Expr>, types: &[DataType], texts: bool) -> Transformed<Vec<Expr>> {
    // A constant is read as what stands beside it, by its digits.
    let types = parts.iter().zip(types).map(|(part, of)| match of {
        of if of.is_floating() && is_constant(part) => DataType::Null,
        of => of.clone(),
    });
    let targets = targets(&types.collect::<Vec<_>>(), texts);
    let changed = targets.iter().any(Option::is_some);
    let parts = parts.into_iter().zip(targets).map(|(part, target)| match target {
        Some(target) => cast(part, target),
        None => part,
    });
    let parts = parts.collect();
    Transformed::new_transformed(parts, changed)
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Negative(expr) => is_constant(expr),
        expr => matches!(expr, Expr::Literal(..)),
    }
}

/// What each of some types that meet becomes, if it does not stay: dates become timestamps where some are timestamps, and the
/// timestamps beside them ones of microseconds; so do `texts` beside timestamps of microseconds, which the engine would read
/// as nanoseconds; decimals beside doubles become doubles.
fn targets(types: &[DataType], texts: bool) -> Vec<Option<DataType>> {
    let with_dates = types.iter().any(is_date);
    let with_floats = types.iter().any(DataType::is_floating);
    let timestamp = types.iter().find_map(|of| match of {
        DataType::Timestamp(unit, zone) => Some((with_dates || *unit != TimeUnit::Nanosecond, zone)),
        _ => None,
    });
    let target = |of: &DataType| match (of, timestamp) {
        (of, Some(_)) if is_date(of) => Some(MICROSECONDS),
        (DataType::Timestamp(TimeUnit::Nanosecond, zone), _) if with_dates => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        (of, Some((true, zone))) if of.is_string() && texts => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        (of, _) if of.is_decimal() && with_floats => Some(DataType::Float64),
        _ => None,
    };
    types.iter().map(target).collect()
}

fn is_date(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Date64)
}

/// The operand of CASE and what it is compared with, and the values that CASE chooses among.
fn of_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Case {
        expr,
        when_then_expr,
        else_expr,
    } = case;
    let (mut whens, mut thens): (Vec<_>, Vec<_>) =
        when_then_expr.into_iter().map(|(when, then)| (*when, *then)).unzip();
    let (has_operand, has_else) = (expr.is_some(), else_expr.is_some());
    let mut changed = false;
    if let Some(operand) = expr {
        whens.insert(0, *operand);
        let alike = together(whens, schema, "compared with")?;
        changed |= alike.transformed;
        whens = alike.data;
    }
    thens.extend(else_expr.map(|value| *value));
    let alike = together(thens, schema, "beside")?;
    changed |= alike.transformed;
    thens = alike.data;
    let else_expr = if has_else { thens.pop().map(Box::new) } else { None };
    let expr = has_operand.then(|| Box::new(whens.remove(0)));
    let pairs = whens.into_iter().zip(thens);
    let when_then_expr = pairs.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    let case = Expr::Case(Case {
        expr,
        when_then_expr,
        else_expr,
    });
    Ok(Transformed::new_transformed(case, changed))
}

/// Dates as arguments of functions over timestamps, and texts that are read as nanoseconds.
fn of_function(function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let ScalarFunction { func, mut args } = function;
    let mut changed = false;
    if func.name() != "to_timestamp" {
        for arg in &mut args {
            if arg.get_type(schema)? == DataType::Date32 {
                *arg = cast(std::mem::take(arg), MICROSECONDS);
                changed = true;
            }
        }
    } else if let [text] = args.as_mut_slice()
        && text.get_type(schema)?.is_string()
    {
        return Ok(Transformed::yes(cast(std::mem::take(text), MICROSECONDS)));
    }
    if func.name() == "date_trunc"
        && let [unit, timestamp] = args.as_mut_slice()
        && timestamp.get_type(schema)? == MICROSECONDS
        && let Some(truncated) = truncated(unit, timestamp)
    {
        return Ok(Transformed::yes(truncated));
    }
    let function = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok(Transformed::new_transformed(function, changed))
}

/// What is looked for among the rows of a subquery.
fn beside_subquery(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (found, subquery) = match &expr {
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => (expr, &subquery.subquery),
        Expr::SetComparison(SetComparison { expr, subquery, .. }) => (expr, &subquery.subquery),
        _ => return Ok(Transformed::no(expr)),
    };
    let types = [found.get_type(schema)?, subquery.schema().field(0).data_type().clone()];
    refuse_numbers(types.iter(), "compared with")?;
    let [of_found, of_rows] = targets(&types, false).try_into().unwrap_or([None, None]);
    if of_found.is_none() && of_rows.is_none() {
        return Ok(Transformed::no(expr));
    }
    let (found, subquery) = match &mut expr {
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => (expr, subquery),
        Expr::SetComparison(SetComparison { expr, subquery, .. }) => (expr, subquery),
        _ => return Ok(Transformed::no(expr)),
    };
    if let Some(target) = of_found {
        **found = cast(std::mem::take(found.as_mut()), target);
    }
    if let Some(target) = of_rows {
        *subquery = cast_subquery(subquery.clone(), &target)?;
    }
    Ok(Transformed::yes(expr))
}

/// Columns of a union, which are cast in a projection of the parts that have another type.
fn united(union: Union) -> Result<Transformed<LogicalPlan>> {
    let mut of_parts = vec![Vec::new(); union.inputs.len()];
    for at in 0..union.schema.fields().len() {
        let types = union
            .inputs
            .iter()
            .map(|input| input.schema().fields().get(at).map(|field| field.data_type().clone()));
        let types: Vec<_> = types.flatten().collect();
        refuse_numbers(types.iter(), "united with")?;
        for (part, target) in of_parts.iter_mut().zip(targets(&types, false)) {
            part.push(target);
        }
    }
    if of_parts.iter().flatten().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union.inputs.into_iter().zip(of_parts).map(|(input, targets)| {
        let columns = input.schema().iter().zip(targets).map(|((relation, field), target)| {
            let column = Expr::Column(Column::from((relation, field)));
            match target {
                Some(target) => cast(column, target).alias_qualified(relation.cloned(), field.name()),
                None => column,
            }
        });
        let projection = Projection::try_new(columns.collect(), Arc::clone(&input))?;
        Ok(Arc::new(LogicalPlan::Projection(projection)))
    });
    let union = Union::try_new_with_loose_types(inputs.collect::<Result<Vec<_>>>()?)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

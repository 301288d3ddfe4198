//! Which expressions may fail for some row.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::super::overflow::Operation;

/// Functions that fail for some of their arguments.
const FUNCTIONS: [&str; 16] = [
    "abs",
    "arrow_cast",
    "chr",
    "date_bin",
    "divide_interval",
    "factorial",
    "from_unixtime",
    "make_date",
    "make_time",
    "multiply_interval",
    "power",
    "to_date",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
];

/// How an expression may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Risk {
    /// It does not.
    None,
    /// By numbers that are too large for their type.
    Overflow,
    /// By values that people guard against: a divisor of zero, a text that is no number.
    Likely,
}

/// The largest risk of the parts of an expression. Of CASE it is that of the part that is always computed: its author has
/// guarded the others, or this rule has.
pub(super) fn risk(expr: &Expr, schema: &DFSchema) -> Result<Risk> {
    let mut most = Risk::None;
    expr.apply(|part| {
        if let Expr::Case(case) = part {
            let first = case.when_then_expr.first().map(|(when, _)| when.as_ref());
            for always in case.expr.as_deref().into_iter().chain(first) {
                most = most.max(risk(always, schema)?);
            }
            return Ok(TreeNodeRecursion::Jump);
        }
        most = most.max(risk_of(part, schema)?);
        Ok(match most {
            Risk::Likely => TreeNodeRecursion::Stop,
            _ => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(most)
}

fn risk_of(expr: &Expr, schema: &DFSchema) -> Result<Risk> {
    if Operation::checked(expr).is_some() {
        return Ok(Risk::Overflow);
    }
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Divide | Operator::Modulo,
            right,
        }) if !is_constant(right) => match left.get_type(schema)? {
            of if of.is_integer() || of.is_decimal() => Risk::Likely,
            _ => Risk::None,
        },
        Expr::Cast(Cast { expr, field }) if !is_constant(expr) => of_cast(&expr.get_type(schema)?, field.data_type()),
        Expr::ScalarFunction(ScalarFunction { func, .. }) if FUNCTIONS.contains(&func.name()) => Risk::Likely,
        _ => Risk::None,
    })
}

/// A constant that is not zero: one that is fails for every row.
fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

fn of_cast(from: &DataType, to: &DataType) -> Risk {
    let fractional = from.is_floating() || from.is_decimal();
    let width = |of: &DataType| of.primitive_width();
    match to {
        _ if from.is_string() && !to.is_string() => Risk::Likely,
        _ if fractional && (to.is_integer() || to.is_decimal()) => Risk::Overflow,
        _ if from.is_integer() && to.is_integer() && width(to) < width(from) => Risk::Overflow,
        _ => Risk::None,
    }
}

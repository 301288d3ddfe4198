//! What the engine makes of single forms: how often it writes their operands, and what it writes into each row.

use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// What is no long constant, in bytes.
const LONG: usize = 1 << 10;

/// Functions whose value has those of their arguments in it. Of other functions of texts the length is bounded when they are
/// computed.
const COLLECTING: [&str; 11] = [
    "array_append",
    "array_concat",
    "array_prepend",
    "array_union",
    "concat",
    "concat_ws",
    "joined_texts",
    "make_array",
    "map",
    "named_struct",
    "struct",
];

/// Functions that make a list of many values of a few arguments.
pub(super) const SERIES: [&str; 2] = ["generate_series", "range"];

/// As how many parts such a list counts.
pub(super) const SERIES_PARTS: u64 = 10_000;

/// Whether the value of an expression has those of its operands in it.
pub(super) fn collects(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => *op == Operator::StringConcat,
        Expr::ScalarFunction(call) => COLLECTING.contains(&call.func.name()),
        _ => false,
    }
}

/// Whether the constants of a node are written into each of its rows: of one row there is no more than was asked for, and
/// what is compared stays one value.
pub(super) fn writes_constants(node: &LogicalPlan) -> bool {
    let one_row = |input: &&LogicalPlan| matches!(input, LogicalPlan::EmptyRelation(_));
    let computes = matches!(
        node,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Sort(_)
    );
    computes && !node.inputs().iter().all(one_row)
}

/// The bytes of a constant, if it is a long one.
pub(super) fn long_constant(expr: &Expr) -> u64 {
    match expr {
        Expr::Literal(value, _) if value.size() > LONG => value.size() as u64,
        _ => 0,
    }
}

/// How often the engine writes the operands of an expression.
pub(super) fn copies(expr: &Expr) -> u64 {
    match expr {
        Expr::Between(_) => 2,
        Expr::ScalarFunction(call) if matches!(call.func.name(), "coalesce" | "nvl" | "nvl2") => 2,
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom,
            ..
        }) => 3,
        Expr::InList(list) => 1 + varying(list),
        _ => 1,
    }
}

/// The elements of a list with which the left side is compared one by one.
fn varying(list: &InList) -> u64 {
    let varying = list.list.iter().filter(|element| !matches!(element, Expr::Literal(..)));
    match list.expr.as_ref() {
        // There is nothing to be written again.
        Expr::Column(_) | Expr::Literal(..) => 0,
        _ => varying.count() as u64,
    }
}

/// Whether the expressions of a node are written down again where it is moved to.
pub(super) fn is_condition(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_))
}

pub(super) fn conditions_of(node: &LogicalPlan) -> u64 {
    match node {
        LogicalPlan::Filter(filter) => joined_by_and(&filter.predicate),
        _ => 0,
    }
}

/// How many conditions `AND` joins.
fn joined_by_and(condition: &Expr) -> u64 {
    let (mut left, mut found) = (vec![condition], 0);
    while let Some(expr) = left.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left: one,
                op: Operator::And,
                right: other,
            }) => left.extend([one.as_ref(), other.as_ref()]),
            _ => found += 1,
        }
    }
    found
}

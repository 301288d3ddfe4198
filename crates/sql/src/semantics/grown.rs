//! How large a plan's expressions become when they are put into each other. A query in the place of a column is a few
//! characters of text, and its expression is written wherever the column stands: a hundred names of `WITH` with a chain of
//! sums each make one chain of thousands, and a condition on a column that is a sum of itself doubles with each name below it.
//! So what each column would be is worked out before anything is put together, and refused by the limit that it passes.
//!
//! Nothing here recurses but into subqueries, which are as many as the text has: whoever measures a tree that is too deep must
//! not overflow on it.

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::expr::{Alias, Exists, InList, InSubquery, SetComparison};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator, Subquery};

use crate::syntax::Refusal;

/// The deepest expression, with what its columns stand for.
pub const MAX_DEPTH: u64 = 1_000;

/// The most parts of a plan: columns of its tables, operators and values.
pub const MAX_PARTS: u64 = 500_000;

/// The most conditions above one table that are joined by `AND`: they become one chain.
pub const MAX_CONDITIONS: u64 = 5_000;

/// The most bytes of long constants that are written into each row of a result. Rows are computed by the thousand.
pub const MAX_CONSTANTS: u64 = 64 << 10;

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
const SERIES: [&str; 2] = ["generate_series", "range"];

/// As how many parts such a list counts.
const SERIES_PARTS: u64 = 10_000;

/// The deepest expression of an optimized plan, whose conditions are one chain.
const MAX_CHAINED: u64 = MAX_DEPTH + MAX_CONDITIONS + 500;

/// Refuses a plan whose expressions would become too large.
///
/// # Errors
/// A refusal that names the limit and what to do.
pub fn check(plan: &LogicalPlan) -> Result<(), Refusal> {
    Measure::new(true).columns(plan, 0).map(|_| ())
}

/// Refuses a plan whose expressions have become too large while it was optimized.
///
/// # Errors
/// A refusal that names the limit and what to do.
pub fn check_optimized(plan: &LogicalPlan) -> Result<(), Refusal> {
    Measure::new(false).columns(plan, 0).map(|_| ())
}

/// The size of an expression with what its columns stand for.
#[derive(Clone, Copy)]
struct Size {
    parts: u64,
    depth: u64,
    /// Whether its value has what its columns have in it, so that it is as large as they are together.
    collects: bool,
}

/// The size of a column of a table, and of what cannot be written in the place of a column.
const PLAIN: Size = Size {
    parts: 1,
    depth: 1,
    collects: false,
};

impl Size {
    fn or_larger(self, other: Self) -> Self {
        Self {
            parts: self.parts.max(other.parts),
            depth: self.depth.max(other.depth),
            collects: self.collects || other.collects,
        }
    }
}

/// The columns that an expression may name, by what they stand for. Columns of one name are taken for the largest.
type Known = HashMap<String, Size>;

/// What is to be done next with a node.
enum Step<'a> {
    /// Its inputs come first. With the conditions above it.
    Enter(&'a LogicalPlan, u64),
    /// Its inputs have been measured.
    Leave(&'a LogicalPlan),
}

/// An expression that is to be looked at.
struct Visit<'a> {
    expr: &'a Expr,
    depth: u64,
    /// How often it will be written.
    times: u64,
}

/// One measuring of a plan.
struct Measure {
    /// Whether columns count as what they stand for, and chains of `AND` and `OR` as one level.
    composed: bool,
    parts: u64,
    /// The bytes of the long constants of the node that is measured.
    constants: u64,
    /// The columns around the subquery that is measured.
    around: Vec<Known>,
}

impl Measure {
    fn new(composed: bool) -> Self {
        Self {
            composed,
            parts: 0,
            constants: 0,
            around: Vec::new(),
        }
    }

    /// Returns what the columns of a plan stand for.
    fn columns(&mut self, plan: &LogicalPlan, conditions: u64) -> Result<Vec<Size>, Refusal> {
        let mut left = vec![Step::Enter(plan, conditions)];
        let mut done: Vec<Vec<Size>> = Vec::new();
        while let Some(step) = left.pop() {
            match step {
                Step::Enter(node, above) => {
                    let conditions = above.saturating_add(conditions_of(node));
                    bounded(conditions, MAX_CONDITIONS, too_many_conditions)?;
                    left.push(Step::Leave(node));
                    let inputs = node.inputs().into_iter().rev();
                    left.extend(inputs.map(|input| Step::Enter(input, conditions)));
                }
                Step::Leave(node) => {
                    let inputs = done.split_off(done.len().saturating_sub(node.inputs().len()));
                    done.push(self.node(node, inputs)?);
                }
            }
        }
        Ok(done.pop().unwrap_or_default())
    }

    fn node(&mut self, node: &LogicalPlan, inputs: Vec<Vec<Size>>) -> Result<Vec<Size>, Refusal> {
        if inputs.is_empty() {
            self.count(node.schema().fields().len() as u64)?;
        }
        let known = match self.composed && has_expressions(node) {
            true => known(node, &inputs),
            false => Known::new(),
        };
        let writes = !self.composed && writes_constants(node);
        self.constants = 0;
        let (mut sizes, mut checked) = (Vec::new(), Ok(()));
        // Nothing fails in there.
        let _ = node.apply_expressions(|expr| {
            checked = self.expression(expr, &known).and_then(|size| {
                sizes.push(size);
                match self.composed && (is_condition(node) || size.collects) {
                    true => bounded(size.parts, MAX_PARTS, too_large_expression),
                    false => Ok(()),
                }
            });
            Ok(match checked {
                Ok(()) => TreeNodeRecursion::Continue,
                Err(_) => TreeNodeRecursion::Stop,
            })
        });
        checked?;
        if writes {
            bounded(self.constants, MAX_CONSTANTS, too_long_constants)?;
        }
        Ok(outputs(node, inputs, sizes))
    }

    /// Returns the size of an expression whose columns stand for those that are known.
    fn expression(&mut self, expr: &Expr, known: &Known) -> Result<Size, Refusal> {
        let mut size = Size { parts: 0, ..PLAIN };
        let mut left = vec![Visit {
            expr,
            depth: 1,
            times: 1,
        }];
        while let Some(Visit { expr, depth, times }) = left.pop() {
            if let Expr::Alias(Alias { expr, .. }) = expr {
                left.push(Visit { expr, depth, times });
                continue;
            }
            self.count(times)?;
            self.constants = self.constants.saturating_add(long_constant(expr));
            let of = self.leaf(expr, known)?;
            size.parts = size.parts.saturating_add(of.parts.saturating_mul(times));
            size.depth = size.depth.max(depth.saturating_add(of.depth) - 1);
            size.collects |= of.collects;
            self.check_depth(size.depth)?;
            let operator = self.chain(expr);
            let times = times.saturating_mul(copies(expr));
            // Nothing fails in there.
            let _ = expr.apply_children(|part| {
                let same = operator.is_some() && self.chain(part) == operator;
                left.push(Visit {
                    expr: part,
                    depth: if same { depth } else { depth.saturating_add(1) },
                    times,
                });
                Ok(TreeNodeRecursion::Continue)
            });
        }
        Ok(size)
    }

    /// Returns the size of an expression without its operands.
    fn leaf(&mut self, expr: &Expr, known: &Known) -> Result<Size, Refusal> {
        match expr {
            Expr::Column(column) => Ok(of_column(known, column).unwrap_or(PLAIN)),
            Expr::OuterReferenceColumn(_, column) => {
                let around = self.around.iter().filter_map(|known| of_column(known, column));
                Ok(around.reduce(Size::or_larger).unwrap_or(PLAIN))
            }
            Expr::ScalarSubquery(subquery)
            | Expr::Exists(Exists { subquery, .. })
            | Expr::InSubquery(InSubquery { subquery, .. })
            | Expr::SetComparison(SetComparison { subquery, .. }) => self.subquery(subquery, known),
            Expr::ScalarFunction(call) if SERIES.contains(&call.func.name()) => Ok(Size {
                parts: SERIES_PARTS,
                ..PLAIN
            }),
            expr => Ok(Size {
                collects: collects(expr),
                ..PLAIN
            }),
        }
    }

    fn subquery(&mut self, subquery: &Subquery, known: &Known) -> Result<Size, Refusal> {
        self.around.push(known.clone());
        let constants = self.constants;
        let columns = self.columns(&subquery.subquery, 0);
        self.constants = constants;
        self.around.pop();
        Ok(columns?.into_iter().reduce(Size::or_larger).unwrap_or(PLAIN))
    }

    /// The operator of a chain that counts as one level, since it is balanced.
    fn chain(&self, expr: &Expr) -> Option<Operator> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { op, .. }) if self.composed => {
                matches!(op, Operator::And | Operator::Or).then_some(*op)
            }
            _ => None,
        }
    }

    fn count(&mut self, parts: u64) -> Result<(), Refusal> {
        self.parts = self.parts.saturating_add(parts);
        bounded(self.parts, MAX_PARTS, too_large)
    }

    fn check_depth(&self, depth: u64) -> Result<(), Refusal> {
        let limit = if self.composed { MAX_DEPTH } else { MAX_CHAINED };
        bounded(depth, limit, || too_deep(limit))
    }
}

fn of_column(known: &Known, column: &Column) -> Option<Size> {
    known.get(&column.name).copied()
}

fn has_expressions(node: &LogicalPlan) -> bool {
    let mut found = false;
    // Nothing fails in there.
    let _ = node.apply_expressions(|_| {
        found = true;
        Ok(TreeNodeRecursion::Stop)
    });
    found
}

/// Returns the columns that the expressions of a node may name.
fn known(node: &LogicalPlan, inputs: &[Vec<Size>]) -> Known {
    let mut known = Known::new();
    for (input, sizes) in node.inputs().into_iter().zip(inputs) {
        for (field, size) in input.schema().fields().iter().zip(sizes) {
            let larger = known.get(field.name()).map_or(*size, |known| known.or_larger(*size));
            known.insert(field.name().clone(), larger);
        }
    }
    known
}

/// Returns what the columns of a node stand for, from those of its inputs and from its expressions.
fn outputs(node: &LogicalPlan, inputs: Vec<Vec<Size>>, sizes: Vec<Size>) -> Vec<Size> {
    let width = node.schema().fields().len();
    let mut columns = match node {
        LogicalPlan::Projection(_) => sizes,
        LogicalPlan::Aggregate(aggregate) => groups(&aggregate.group_expr, sizes, width),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => inputs.into_iter().next_back(),
            _ => Some(inputs.concat()),
        }
        .unwrap_or_default(),
        LogicalPlan::Union(_) | LogicalPlan::Extension(_) => inputs.into_iter().reduce(larger).unwrap_or_default(),
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => inputs.into_iter().next().unwrap_or_default(),
        _ => Vec::new(),
    };
    columns.resize(width, PLAIN);
    columns
}

/// Returns what the columns of a grouping stand for: its keys are written in the place of their columns, its totals are not.
fn groups(keys: &[Expr], mut sizes: Vec<Size>, width: usize) -> Vec<Size> {
    sizes.truncate(keys.len());
    match keys {
        [Expr::GroupingSet(_)] => vec![sizes.first().copied().unwrap_or(PLAIN); width],
        _ => sizes,
    }
}

fn larger(one: Vec<Size>, other: Vec<Size>) -> Vec<Size> {
    let pairs = one.into_iter().zip(other);
    pairs.map(|(one, other)| one.or_larger(other)).collect()
}

/// Whether the value of an expression has those of its operands in it.
fn collects(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => *op == Operator::StringConcat,
        Expr::ScalarFunction(call) => COLLECTING.contains(&call.func.name()),
        _ => false,
    }
}

/// Whether the constants of a node are written into each of its rows: of one row there is no more than was asked for, and
/// what is compared stays one value.
fn writes_constants(node: &LogicalPlan) -> bool {
    let one_row = |input: &&LogicalPlan| matches!(input, LogicalPlan::EmptyRelation(_));
    let computes = matches!(
        node,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Sort(_)
    );
    computes && !node.inputs().iter().all(one_row)
}

/// The bytes of a constant, if it is a long one.
fn long_constant(expr: &Expr) -> u64 {
    match expr {
        Expr::Literal(value, _) if value.size() > LONG => value.size() as u64,
        _ => 0,
    }
}

/// How often the engine writes the operands of an expression.
fn copies(expr: &Expr) -> u64 {
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
fn is_condition(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_))
}

fn conditions_of(node: &LogicalPlan) -> u64 {
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

fn bounded(found: u64, limit: u64, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    match found > limit {
        true => Err(refusal()),
        false => Ok(()),
    }
}

fn too_deep(limit: u64) -> Refusal {
    Refusal::too_large(format!(
        "an expression is more than {limit} deep once its columns are what they stand for, split the statement"
    ))
}

fn too_large() -> Refusal {
    Refusal::too_large(format!(
        "the statement has more than {MAX_PARTS} parts, each name of WITH counted as often as it is used: split it"
    ))
}

fn too_large_expression() -> Refusal {
    Refusal::too_large(format!(
        "an expression has more than {MAX_PARTS} parts once its columns are what they stand for, split the statement"
    ))
}

fn too_long_constants() -> Refusal {
    Refusal::too_large(format!(
        "constants of more than {MAX_CONSTANTS} bytes would be written into each row, shorten them"
    ))
}

fn too_many_conditions() -> Refusal {
    Refusal::too_large(format!(
        "more than {MAX_CONDITIONS} conditions joined by AND come together, use IN or join a table of values"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::functions::core::expr_fn::coalesce;
    use datafusion::functions_nested::expr_fn::make_array;
    use datafusion::logical_expr::logical_plan::table_scan;
    use datafusion::logical_expr::{LogicalPlanBuilder, col, exists, lit, out_ref_col};

    use super::*;

    fn table() -> LogicalPlanBuilder {
        let schema = Schema::new(vec![Field::new("x", DataType::Int64, true)]);
        table_scan(Some("t"), &schema, None).unwrap()
    }

    /// A table below so many queries, each of which computes its column from the one of the query before.
    fn nested(times: usize, column: impl Fn(Expr) -> Expr) -> LogicalPlanBuilder {
        (0..times).fold(table(), |below, _| below.project([column(col("x")).alias("x")]).unwrap())
    }

    fn sum_of(terms: usize) -> impl Fn(Expr) -> Expr {
        move |column| (0..terms).fold(column, |sum, _| sum + lit(1_i64))
    }

    fn said(plan: LogicalPlanBuilder) -> Option<String> {
        let refused = check(&plan.build().unwrap()).err();
        refused.map(|refusal| refusal.to_string())
    }

    #[test]
    fn chains_of_chains_are_refused_on_a_small_stack() {
        let (fits, does_not) = (nested(9, sum_of(100)), nested(200, sum_of(100)));
        let small = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            assert_eq!(said(fits), None);
            let refused = said(does_not).unwrap();
            assert!(refused.contains("1000 deep"), "{refused}");
        });
        small.unwrap().join().unwrap();
    }

    #[test]
    fn conditions_on_what_doubles_are_refused_and_columns_are_not() {
        let doubled = |times| nested(times, |column| column.clone() + column);
        assert_eq!(said(doubled(100)), None);
        let asked = |times| doubled(times).filter(col("x").gt(lit(0_i64))).unwrap();
        assert_eq!(said(asked(12)), None);
        let refused = said(asked(40)).unwrap();
        assert!(refused.starts_with("an expression has more than 500000 parts"), "{refused}");
    }

    #[test]
    fn values_that_have_their_columns_in_them_are_bounded() {
        let list: fn(Expr) -> Expr = |value| make_array(vec![value.clone(), value]);
        assert_eq!(said(nested(5, list)), None);
        assert!(said(nested(30, list)).unwrap().contains("500000 parts"));
    }

    #[test]
    fn long_constants_are_not_written_into_each_row() {
        let of = |below: LogicalPlanBuilder, bytes: usize| {
            let plan = below.project([lit("x".repeat(bytes)).alias("c")]).unwrap().build().unwrap();
            check_optimized(&plan).err().map(|refusal| refusal.to_string())
        };
        assert_eq!(of(table(), 60_000), None);
        assert!(of(table(), 70_000).unwrap().contains("65536 bytes"));
        assert_eq!(of(LogicalPlanBuilder::empty(true), 70_000), None);
        let compared = table().filter(lit("x".repeat(70_000)).not_eq(lit("y"))).unwrap();
        assert!(check_optimized(&compared.build().unwrap()).is_ok());
    }

    #[test]
    fn a_subquery_is_measured_with_the_columns_around_it() {
        let inner = |condition| table().filter(condition).unwrap().build().unwrap();
        let around = |times| {
            let condition = out_ref_col(DataType::Int64, "x").gt(lit(0_i64));
            let subquery = exists(inner(condition).into());
            nested(times, |column| column.clone() + column).filter(subquery).unwrap()
        };
        assert_eq!(said(around(10)), None);
        assert!(said(around(40)).unwrap().contains("parts"));
    }

    #[test]
    fn what_the_engine_writes_twice_counts_twice() {
        let within = |times: usize, form: fn(Expr) -> Expr| {
            let value = (0..times).fold(col("x"), |value, _| form(value));
            said(table().project([value]).unwrap())
        };
        let either: fn(Expr) -> Expr = |value| coalesce(vec![value, lit(1_i64)]);
        assert_eq!(within(10, either), None);
        assert!(within(40, either).unwrap().contains("500000 parts"));
    }

    #[test]
    fn conditions_that_come_together_are_counted() {
        let asked = |times: usize| {
            let condition = |n: usize| col("x").not_eq(lit(n as i64));
            let filters = 0..times / 100;
            filters.fold(table(), |below, n| {
                let hundred = (1..100).fold(condition(n), |both, m| both.and(condition(m)));
                below.filter(hundred).unwrap()
            })
        };
        assert_eq!(said(asked(5_000)), None);
        assert!(said(asked(5_200)).unwrap().contains("5000 conditions"));
    }

    #[test]
    fn totals_are_not_written_in_the_place_of_their_columns() {
        let counted = nested(40, |column| column.clone() + column)
            .aggregate([lit(1_i64).alias("one")], [datafusion::functions_aggregate::expr_fn::sum(col("x")).alias("x")])
            .unwrap();
        assert_eq!(said(counted.filter(col("x").gt(lit(0_i64))).unwrap()), None);
    }

    #[test]
    fn an_optimized_plan_may_have_a_long_chain_of_conditions() {
        let chain = (1..3_000_i64).fold(col("x").not_eq(lit(0_i64)), |both, n| both.and(col("x").not_eq(lit(n))));
        let plan = table().filter(chain).unwrap().build().unwrap();
        let large = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
            check_optimized(&plan).unwrap();
            check(&plan).unwrap();
        });
        large.unwrap().join().unwrap();
    }
}

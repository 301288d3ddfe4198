//! How large a plan's expressions become when they are put into each other. A query in the place of a column is a few
//! characters of text, and its expression is written wherever the column stands: a hundred names of `WITH` with a chain of
//! sums each make one chain of thousands, and a condition on a column that is a sum of itself doubles with each name below it.
//! So what each column would be is worked out before anything is put together, and refused by the limit that it passes.
//!
//! Nothing here recurses but into subqueries, which are as many as the text has: whoever measures a tree that is too deep must
//! not overflow on it.

mod forms;

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::expr::{Alias, Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator, Subquery};

use crate::syntax::Refusal;
use forms::{SERIES, SERIES_PARTS, collects, conditions_of, copies, is_condition, long_constant, writes_constants};

/// The deepest expression, with what its columns stand for.
pub const MAX_DEPTH: u64 = 1_000;

/// The most parts of a plan: columns of its tables, operators and values.
pub const MAX_PARTS: u64 = 500_000;

/// The most conditions above one table that are joined by `AND`: they become one chain.
pub const MAX_CONDITIONS: u64 = 5_000;

/// The most bytes of long constants that are written into each row of a result. Rows are computed by the thousand.
pub const MAX_CONSTANTS: u64 = 64 << 10;

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
mod tests;

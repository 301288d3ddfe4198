//! The last analyzer rule, before anything is moved or computed once for several places, and the last optimizer rule, when
//! conditions of several places have come together: a condition that may fail is looked at only for rows that the conditions beside it leave, as in
//! `g <> 0 AND 100 / g > 20` and `g = 0 OR 100 / g > 1`. The engine looks at both sides of AND and OR for all rows of a batch,
//! and in whatever order its rules leave them in, so that here the order does not count either: what cannot fail guards what
//! may. Where all are as safe as each other nothing changes.
//!
//! ```text
//! a AND f     a AND CAST(CASE WHEN a THEN CAST(f AS TINYINT) ELSE 0 END AS BOOLEAN)                  as a condition
//! a AND f AND g   the same, and CAST(CASE WHEN a THEN CASE WHEN f THEN CAST(g AS TINYINT) ELSE 0 END ELSE 0 END AS BOOLEAN)
//! a AND f     CAST(CASE WHEN NOT a THEN 0 ELSE CAST(a AND f AS TINYINT) END AS BOOLEAN)              as a value
//! a OR f      CAST(CASE WHEN a THEN 1 ELSE CAST(a OR f AS TINYINT) END AS BOOLEAN)
//! ```
//!
//! CASE computes a branch for the rows alone that come to it. It is one of numbers, because the engine turns a CASE of
//! conditions into AND and OR.

mod chains;
mod fallible;
mod lowered;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference};
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::utils::{conjunction, disjunction, split_binary_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, cast, lit, not, when};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

use super::each::{any, rewrite_node, schema_of};
use fallible::{Risk, risk};

/// More conditions than this, each of which may fail, do not guard those behind them.
const MOST_GUARDS: usize = 3;

/// Guards conditions that may fail by those that do not.
#[derive(Debug, Default)]
pub(super) struct GuardedConditions;

impl AnalyzerRule for GuardedConditions {
    fn name(&self) -> &str {
        "guards"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(guarded).data()
    }
}

impl OptimizerRule for GuardedConditions {
    fn name(&self) -> &str {
        "guarded_conditions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, node: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        guarded(node)
    }
}

fn guarded(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Filter(filter) if any(&filter.predicate, &is_guarded)? => {
            let lowered = lowered::below_common(filter)?;
            match lowered.transformed {
                true => Ok(lowered),
                false => conditions(lowered.data),
            }
        }
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::TableScan(_) => conditions(node),
        LogicalPlan::Projection(projection) => {
            let lowered = lowered::without_common(projection)?;
            lowered.transform_data(|node| rewrite_node(node, &is_logical, &mut nested))
        }
        node => rewrite_node(node, &is_logical, &mut nested),
    }
}

/// Conditions for which a row that they do not say anything of is as one that they refuse.
fn conditions(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let logical = |expr: &Expr| any(expr, &is_logical);
    let concerned = match &node {
        LogicalPlan::Filter(filter) => logical(&filter.predicate)?,
        LogicalPlan::Join(join) => join.filter.as_ref().map_or(Ok(false), logical)?,
        LogicalPlan::TableScan(scan) => scan.filters.len() > 1 || scan.filters.first().map_or(Ok(false), logical)?,
        _ => false,
    };
    if !concerned {
        return Ok(Transformed::no(node));
    }
    let schema = schema_of(&node)?;
    match node {
        LogicalPlan::Filter(mut filter) => {
            let parts = split_binary_owned(filter.predicate, Operator::And);
            let guarded = all_of(parts, &schema)?;
            filter.predicate = conjunction(guarded.data).unwrap_or_else(|| lit(true));
            Ok(Transformed::new_transformed(
                LogicalPlan::Filter(filter),
                guarded.transformed,
            ))
        }
        LogicalPlan::Join(mut join) => {
            let parts = join
                .filter
                .take()
                .map(|filter| split_binary_owned(filter, Operator::And));
            let guarded = all_of(parts.unwrap_or_default(), &schema)?;
            join.filter = conjunction(guarded.data);
            Ok(Transformed::new_transformed(
                LogicalPlan::Join(join),
                guarded.transformed,
            ))
        }
        LogicalPlan::TableScan(mut scan) => {
            let guarded = all_of(std::mem::take(&mut scan.filters), &schema)?;
            scan.filters = guarded.data;
            Ok(Transformed::new_transformed(
                LogicalPlan::TableScan(scan),
                guarded.transformed,
            ))
        }
        node => Ok(Transformed::no(node)),
    }
}

fn is_logical(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::And | Operator::Or,
            ..
        })
    )
}

/// Conditions of which all must hold. The guards that this rule has put around them before are taken off first: what was to
/// be guarded then may be safe by now, and no guard is put around another.
fn all_of(parts: Vec<Expr>, schema: &DFSchema) -> Result<Transformed<Vec<Expr>>> {
    let concerned = |found: bool, part: &Expr| -> Result<bool> {
        Ok(found || is_guarded(part) || risk(part, schema)? > Risk::None)
    };
    if !parts.iter().try_fold(false, concerned)? {
        return Ok(Transformed::no(parts));
    }
    let before = parts.clone();
    let parts = chains::taken_off(parts);
    let risks = parts
        .iter()
        .map(|part| risk(part, schema))
        .collect::<Result<Vec<_>>>()?;
    let mut guards = Guards::default();
    for (part, risk) in parts.iter().zip(&risks) {
        if is_guard(part, *risk)? {
            guards.safe.push(part.clone());
        }
    }
    let mut all = Vec::with_capacity(parts.len());
    for (part, risk) in parts.into_iter().zip(risks) {
        all.push(match risk {
            Risk::None => part,
            _ => guards.guarded(nested(part, schema)?.data, risk)?,
        });
    }
    let changed = all != before;
    Ok(Transformed::new_transformed(all, changed))
}

/// Whether a condition is safe, and may be looked at twice.
fn is_guard(condition: &Expr, risk: Risk) -> Result<bool> {
    Ok(risk == Risk::None && may_be_repeated(condition)?)
}

/// Whether a condition may be looked at twice, and before others.
fn may_be_repeated(condition: &Expr) -> Result<bool> {
    Ok(!condition.is_volatile() && !has_subquery(condition)?)
}

fn tinyint(condition: Expr) -> Expr {
    cast(condition, DataType::Int8)
}

/// What guards the conditions of a node.
#[derive(Default)]
struct Guards {
    /// Conditions that cannot fail.
    safe: Vec<Expr>,
    /// Conditions that may, each with the guards that it stands under itself.
    risky: Vec<(Expr, Fitting)>,
}

/// Guards of a condition, by their places in [`Guards`].
#[derive(Clone, Default)]
struct Fitting {
    safe: BTreeSet<usize>,
    risky: BTreeSet<usize>,
}

impl Guards {
    /// Returns the condition under its guards, and lets it guard those behind it.
    fn guarded(&mut self, part: Expr, risk: Risk) -> Result<Expr> {
        let fitting = self.fitting(&part, risk)?;
        let safe = conjunction(fitting.safe.iter().map(|at| self.safe[*at].clone()));
        let risky = fitting.risky.iter().map(|at| self.risky[*at].0.clone());
        let guarded = chains::guarded(part.clone(), safe.into_iter().chain(risky).collect())?;
        if self.risky.len() < MOST_GUARDS && may_be_repeated(&part)? {
            self.risky.push((part, fitting));
        }
        Ok(guarded)
    }

    /// Those conditions that look at the same relations as this one, so that it can still be moved to where these are, with
    /// those that guard them. What two relations may be joined by stays as it is, and so does what holds a subquery, which
    /// is to become a join.
    fn fitting(&self, part: &Expr, risk: Risk) -> Result<Fitting> {
        let relations = relations(part)?;
        if relations.len() > 1 && (risk < Risk::Likely || joins(part)?) || has_subquery(part)? {
            return Ok(Fitting::default());
        }
        let columns = part.column_refs();
        let fits = |guard: &Expr| -> Result<bool> {
            let of_guard = self::relations(guard)?;
            // What a number is compared with may keep it small, but not what another is.
            let related = risk == Risk::Likely || !columns.is_disjoint(&guard.column_refs());
            Ok(related && !of_guard.is_empty() && of_guard.is_subset(&relations))
        };
        let mut fitting = Fitting::default();
        for (at, guard) in self.safe.iter().enumerate() {
            if fits(guard)? {
                fitting.safe.insert(at);
            }
        }
        for (at, (guard, under)) in self.risky.iter().enumerate() {
            if fits(guard)? {
                fitting.safe.extend(&under.safe);
                fitting.risky.extend(&under.risky);
                fitting.risky.insert(at);
            }
        }
        Ok(fitting)
    }
}

/// Whether it is an equality of one relation with others.
fn joins(condition: &Expr) -> Result<bool> {
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => Ok(relations(left)?.is_disjoint(&relations(right)?)),
        _ => Ok(false),
    }
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    let subquery = |part: &Expr| {
        let within = matches!(part, Expr::InSubquery(_) | Expr::SetComparison(_));
        within
            || matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::OuterReferenceColumn(..)
            )
    };
    any(expr, &subquery)
}

/// The relations that an expression has columns of.
fn relations(expr: &Expr) -> Result<HashSet<Option<TableReference>>> {
    let mut found = HashSet::new();
    expr.apply(|part| {
        if let Expr::Column(column) = part {
            found.insert(column.relation.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether this rule has made it.
fn is_guarded(expr: &Expr) -> bool {
    let Expr::Cast(Cast { expr: inner, field }) = expr else {
        return false;
    };
    match inner.as_ref() {
        Expr::Case(Case {
            when_then_expr,
            else_expr,
            ..
        }) if *field.data_type() == DataType::Boolean => {
            let values = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            let small = |value: &Expr| matches!(value, Expr::Literal(ScalarValue::Int8(Some(0 | 1)), _));
            values.into_iter().any(|value| small(value))
        }
        _ => false,
    }
}

/// An expression in which AND and OR are guarded.
fn nested(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|part| match part {
        Expr::BinaryExpr(BinaryExpr {
            op: op @ (Operator::And | Operator::Or),
            ..
        }) => {
            let mut guarded = combination(part, op, schema)?;
            guarded.tnr = TreeNodeRecursion::Jump;
            Ok(guarded)
        }
        part if is_guarded(&part) => Ok(Transformed::new(part, false, TreeNodeRecursion::Jump)),
        part => Ok(Transformed::no(part)),
    })
}

/// A chain of AND, or of OR, as a value.
fn combination(expr: Expr, op: Operator, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (mut changed, mut may_fail, mut subqueries) = (false, false, false);
    let (mut safe, mut risky) = (Vec::new(), Vec::new());
    let original = split_binary_owned(expr, op);
    let mut parts = Vec::with_capacity(original.len());
    for part in original {
        let part = nested(part, schema)?;
        changed |= part.transformed;
        let risk = risk(&part.data, schema)?;
        may_fail |= risk > Risk::None;
        subqueries |= has_subquery(&part.data)?;
        match is_guard(&part.data, risk)? {
            true => safe.push(part.data.clone()),
            false => risky.push(part.data.clone()),
        }
        parts.push(part.data);
    }
    let combined = |parts| match op {
        Operator::And => conjunction(parts),
        _ => disjunction(parts),
    };
    let whole = |parts| combined(parts).unwrap_or_else(|| lit(op == Operator::And));
    if safe.is_empty() || !may_fail || subqueries {
        return Ok(Transformed::new_transformed(whole(parts), changed));
    }
    let guard = whole(safe);
    let (decided, otherwise) = match op {
        Operator::And => (not(guard.clone()), 0i8),
        _ => (guard.clone(), 1),
    };
    risky.insert(0, guard);
    let guarded = when(decided, lit(otherwise)).otherwise(tinyint(whole(risky)))?;
    Ok(Transformed::yes(cast(guarded, DataType::Boolean)))
}

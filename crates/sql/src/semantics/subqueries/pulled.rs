//! What was pulled up out of a subquery, and what is left of it.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::outer::{refers, replace_columns};

/// Which conditions may be pulled up to a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Equalities of an inner expression with an outer one, and conditions on outer columns alone.
    Keys,
    /// Any.
    Any,
}

/// A subquery without the conditions that referred to the rows outside it.
pub(super) struct Pulled {
    /// What is left. It has the columns of the subquery, and those that conditions need.
    pub(super) plan: LogicalPlan,
    /// Expressions over `plan`, and what they must equal outside.
    pub(super) keys: Vec<(Expr, Expr)>,
    /// Conditions on columns of `plan` and outside.
    pub(super) others: Vec<Expr>,
    /// Conditions on what is outside alone.
    pub(super) conditions: Vec<Expr>,
}

impl Pulled {
    pub(super) fn nothing(plan: LogicalPlan) -> Self {
        Self {
            plan,
            keys: Vec::new(),
            others: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// The inner columns that conditions are about.
    pub(super) fn needed(&self) -> Vec<Column> {
        let mut needed: Vec<Column> = Vec::new();
        let exprs = self.keys.iter().map(|(inner, _)| inner).chain(&self.others);
        for column in exprs.flat_map(Expr::column_refs) {
            if !needed.contains(column) {
                needed.push(column.clone());
            }
        }
        // Column references come out of a set, in no order.
        needed.sort();
        needed
    }

    /// All that is about inner columns, with other expressions in their place.
    pub(super) fn replace(&mut self, to: &dyn Fn(&Column) -> Option<Expr>) -> Result<()> {
        for (inner, _) in &mut self.keys {
            *inner = replace_columns(std::mem::take(inner), to)?;
        }
        for other in &mut self.others {
            *other = replace_columns(std::mem::take(other), to)?;
        }
        Ok(())
    }

    /// Takes the conditions that refer outside from others. Whether all of them may be pulled up.
    pub(super) fn sort_out(
        &mut self,
        predicate: &Expr,
        level: &[Column],
        allowed: Allowed,
    ) -> Result<(Option<Expr>, bool)> {
        let mut stays = Vec::new();
        for part in split_conjunction(predicate) {
            if !refers(part, level)? {
                stays.push(part.clone());
            } else if part.is_volatile() {
                return Ok((None, false));
            } else if !part.any_column_refs() {
                self.conditions.push(part.clone());
            } else if let Some(key) = key(part, level)? {
                self.keys.push(key);
            } else if allowed == Allowed::Any {
                self.others.push(part.clone());
            } else {
                return Ok((None, false));
            }
        }
        Ok((conjunction(stays), true))
    }

    /// Adds what was pulled out of another part of the plan.
    pub(super) fn add(&mut self, other: &mut Self) {
        self.keys.append(&mut other.keys);
        self.others.append(&mut other.others);
        self.conditions.append(&mut other.conditions);
    }
}

/// An inner expression and the outer one that it must equal.
fn key(part: &Expr, level: &[Column]) -> Result<Option<(Expr, Expr)>> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = part
    else {
        return Ok(None);
    };
    for (inner, outer) in [(left, right), (right, left)] {
        if inner.any_column_refs() && !refers(inner, level)? && !outer.any_column_refs() {
            return Ok(Some((inner.as_ref().clone(), outer.as_ref().clone())));
        }
    }
    Ok(None)
}

//! Bindings pushed into joins: into the side that refers to them, or into both, which are then joined within each binding.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Projection};

use super::alike::alike;
use super::domain::Domain;
use super::outer::plan_refers;
use super::push::{Pushed, merge};
use super::statement::Statement;

/// Into which sides of a join the bindings go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sides {
    Left,
    Right,
    Both,
}

fn sides(join: &Join, domain: &Domain) -> Result<Sides> {
    let left = plan_refers(&join.left, &domain.columns)?;
    let right = plan_refers(&join.right, &domain.columns)?;
    Ok(match join.join_type {
        JoinType::Inner if !right => Sides::Left,
        JoinType::Inner if !left => Sides::Right,
        // Rows of the left side are kept, or padded, for each binding.
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if !right => Sides::Left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark if !left => Sides::Right,
        _ => Sides::Both,
    })
}

impl Statement {
    pub(super) fn push_join(&mut self, join: Join, domain: &Domain) -> Result<Pushed> {
        let sides = sides(&join, domain)?;
        let (mut left, mut right) = (Side::of(join.left), Side::of(join.right));
        if sides != Sides::Right {
            left = self.push_side(left, domain)?;
        }
        if sides != Sides::Left {
            right = self.push_side(right, domain)?;
        }
        let bound = match left.columns.is_empty() {
            true => right.columns.clone(),
            false => left.columns.clone(),
        };
        let mut on = Vec::new();
        for (on_left, on_right) in join.on {
            on.push((domain.bind(on_left, &bound)?, domain.bind(on_right, &bound)?));
        }
        let filter = join.filter;
        let in_filter = filter.as_ref().map(|filter| domain.never_null(filter));
        let filter = filter.map(|filter| domain.bind(filter, &bound)).transpose()?;
        let filter = conjunction(filter.into_iter().chain(left.same_binding(&right)?));
        let never_null = never_null(join.join_type, &left, &right, &in_filter.unwrap_or_default());
        let columns = (left.columns, right.columns);
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?);
        let (plan, columns) = self.bound(plan, join.join_type, columns)?;
        Ok(Pushed {
            plan,
            columns,
            never_null,
        })
    }

    fn push_side(&mut self, side: Side, domain: &Domain) -> Result<Side> {
        let pushed = self.push(side.plan, domain)?;
        Ok(Side {
            plan: pushed.plan,
            columns: pushed.columns,
            never_null: pushed.never_null,
        })
    }

    /// The columns of the bindings above a join.
    fn bound(
        &mut self,
        plan: LogicalPlan,
        join_type: JoinType,
        (left, right): (Vec<Column>, Vec<Column>),
    ) -> Result<(LogicalPlan, Vec<Column>)> {
        match join_type {
            JoinType::Full => self.either(plan, left, right),
            _ if left.is_empty() || (keeps_right(join_type) && !right.is_empty()) => Ok((plan, right)),
            _ => Ok((plan, left)),
        }
    }

    /// The binding of a row of a FULL JOIN is on the side that the row has.
    fn either(
        &mut self,
        plan: LogicalPlan,
        left: Vec<Column>,
        right: Vec<Column>,
    ) -> Result<(LogicalPlan, Vec<Column>)> {
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let number = self.number();
        let mut columns = Vec::new();
        for (at, (left, right)) in left.into_iter().zip(right).enumerate() {
            let name = format!("__sub_{number}_{at}");
            exprs.push(coalesce(vec![left.into(), right.into()]).alias(&name));
            columns.push(Column::from_name(name));
        }
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        Ok((plan, columns))
    }
}

/// A side of a join; it has no columns of bindings while they have not been pushed into it.
struct Side {
    plan: LogicalPlan,
    columns: Vec<Column>,
    never_null: Vec<bool>,
}

impl Side {
    fn of(plan: Arc<LogicalPlan>) -> Self {
        Self {
            plan: Arc::unwrap_or_clone(plan),
            columns: Vec::new(),
            never_null: Vec::new(),
        }
    }

    /// The conditions under which rows of both sides have the same binding.
    fn same_binding(&self, other: &Self) -> Result<Vec<Expr>> {
        let mut conditions = Vec::new();
        for (at, (left, right)) in self.columns.iter().zip(&other.columns).enumerate() {
            let known = self.never_null.get(at) == Some(&true) || other.never_null.get(at) == Some(&true);
            let (left, right) = ((left, self.plan.schema()), (right, other.plan.schema()));
            conditions.extend(alike((left.0, left.1.as_ref()), (right.0, right.1.as_ref()), known)?);
        }
        Ok(conditions)
    }
}

/// Which bindings are NULL in no row of a join.
fn never_null(join_type: JoinType, left: &Side, right: &Side, in_filter: &[bool]) -> Vec<bool> {
    let either = |one: &[bool], other: &[bool]| {
        let mut known = vec![false; one.len().max(other.len())];
        merge(&mut known, one, |one, other| one || other);
        merge(&mut known, other, |one, other| one || other);
        known
    };
    let (left, right) = (&left.never_null, &right.never_null);
    match join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => either(&either(left, right), in_filter),
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => left.clone(),
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => right.clone(),
        JoinType::Full => left.iter().zip(right).map(|(left, right)| *left && *right).collect(),
    }
}

fn keeps_right(join_type: JoinType) -> bool {
    matches!(
        join_type,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

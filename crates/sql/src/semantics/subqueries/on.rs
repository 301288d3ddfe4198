//! Subqueries in the ON of a join. Those of an inner join are conditions on its rows. In an outer join they decide which rows
//! match, and are computed beside the side that they refer to.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan};

use super::outer::{has, references};
use super::site::{Site, only};
use super::statement::{Statement, holds};

/// Which sides of a join an expression is about.
struct Uses {
    left: bool,
    right: bool,
}

impl Uses {
    fn of(expr: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Result<Self> {
        let mut columns: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
        expr.apply(|expr| {
            let subquery = match expr {
                Expr::ScalarSubquery(subquery)
                | Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::SetComparison(SetComparison { subquery, .. }) => subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            columns.extend(references(&subquery.subquery, left.schema())?);
            columns.extend(references(&subquery.subquery, right.schema())?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self {
            left: columns.iter().any(|column| has(left.schema(), column)),
            right: columns.iter().any(|column| has(right.schema(), column)),
        })
    }
}

/// Which side of a join loses the rows that do not match.
enum Loses {
    Left,
    Right,
    Neither,
}

fn loses(join_type: JoinType) -> Loses {
    match join_type {
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => Loses::Right,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => Loses::Left,
        JoinType::Inner | JoinType::Full => Loses::Neither,
    }
}

impl Statement {
    /// A join with subqueries in its condition.
    pub(super) fn join(&mut self, mut join: Join) -> Result<LogicalPlan> {
        let (mut with, mut plain) = (Vec::new(), Vec::new());
        for part in join.filter.take().map(split_conjunction_owned).unwrap_or_default() {
            match holds(&part)? {
                true => with.push(part),
                false => plain.push(part),
            }
        }
        for (left, right) in &join.on {
            if holds(left)? || holds(right)? {
                return plan_err!("a subquery cannot be a key of a join: compute it in FROM");
            }
        }
        if join.join_type != JoinType::Inner {
            return self.outer_join(join, with, plain);
        }
        join.filter = conjunction(plain);
        match conjunction(with) {
            Some(with) => self.filter(Filter::try_new(with, Arc::new(LogicalPlan::Join(join)))?),
            None => Ok(LogicalPlan::Join(join)),
        }
    }

    fn outer_join(&mut self, join: Join, with: Vec<Expr>, mut conditions: Vec<Expr>) -> Result<LogicalPlan> {
        let loses = loses(join.join_type);
        let (mut left_only, mut right_only, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for part in with {
            let uses = Uses::of(&part, &join.left, &join.right)?;
            match loses {
                Loses::Left if !uses.right => left_only.push(part),
                Loses::Right if !uses.left => right_only.push(part),
                _ => others.push(part),
            }
        }
        let mut left = Site::new(self.side(join.left, left_only)?);
        let mut right = Site::new(self.side(join.right, right_only)?);
        for part in others {
            conditions.push(self.on_either(part, &mut left, &mut right)?);
        }
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            join.on,
            conjunction(conditions),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?);
        only(plan, &join.schema.columns())
    }

    /// A side of a join, of which only rows match for which these conditions hold.
    fn side(&mut self, side: Arc<LogicalPlan>, conditions: Vec<Expr>) -> Result<Arc<LogicalPlan>> {
        match conjunction(conditions) {
            Some(conditions) => self.filter(Filter::try_new(conditions, side)?).map(Arc::new),
            None => Ok(side),
        }
    }

    /// Computes each subquery of a condition beside the side that it is about.
    fn on_either(&mut self, expr: Expr, left: &mut Site, right: &mut Site) -> Result<Expr> {
        expr.transform_down(|expr| {
            let (Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)) = expr else {
                return Ok(Transformed::no(expr));
            };
            let uses = Uses::of(&expr, &left.plan, &right.plan)?;
            let site = match uses {
                Uses { left: true, right: true } => {
                    return plan_err!(
                        "a subquery in the ON of an outer join refers to both of its sides: compute it beside one of them in FROM"
                    );
                }
                Uses { right: true, .. } => &mut *right,
                _ => &mut *left,
            };
            let value = self.expression(expr, site)?;
            Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
        })
        .data()
    }
}

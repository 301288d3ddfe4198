//! Bindings pushed into joins: into the side that refers to them, or into both, which are then joined within each binding.

use std::sync::Arc;

use datafusion::common::{Column, ExprSchema, Result, plan_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Operator, Projection, binary_expr};

use super::domain::Domain;
use super::outer::plan_refers;
use super::push::Pushed;
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
        let (mut left, mut right) = (None, None);
        let mut left_plan = Arc::unwrap_or_clone(join.left);
        let mut right_plan = Arc::unwrap_or_clone(join.right);
        if sides != Sides::Right {
            let pushed = self.push(left_plan, domain)?;
            left_plan = pushed.plan;
            left = Some(pushed.columns);
        }
        if sides != Sides::Left {
            let pushed = self.push(right_plan, domain)?;
            right_plan = pushed.plan;
            right = Some(pushed.columns);
        }
        let Some(bound) = left.as_ref().or(right.as_ref()).cloned() else {
            return plan_err!("a join without bindings");
        };
        let mut filter = join.filter.map(|filter| domain.bind(filter, &bound)).transpose()?;
        let mut on = Vec::new();
        for (on_left, on_right) in join.on {
            on.push((domain.bind(on_left, &bound)?, domain.bind(on_right, &bound)?));
        }
        if let (Some(left), Some(right)) = (&left, &right) {
            for (left_column, right_column) in left.iter().zip(right) {
                let nullable = left_plan.schema().nullable(left_column)?;
                let alike = match nullable {
                    true => Operator::IsNotDistinctFrom,
                    false => Operator::Eq,
                };
                let same = binary_expr(left_column.clone().into(), alike, right_column.clone().into());
                filter = Some(filter.map_or(same.clone(), |filter| filter.and(same)));
            }
        }
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left_plan),
            Arc::new(right_plan),
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?);
        self.bound(plan, join.join_type, left, right)
    }

    /// The columns of the bindings above a join.
    fn bound(
        &mut self,
        plan: LogicalPlan,
        join_type: JoinType,
        left: Option<Vec<Column>>,
        right: Option<Vec<Column>>,
    ) -> Result<Pushed> {
        let columns = match (left, right) {
            (Some(left), Some(right)) if join_type == JoinType::Full => return self.either(plan, left, right),
            (Some(_), Some(right)) if keeps_right(join_type) => right,
            (Some(columns), _) | (None, Some(columns)) => columns,
            (None, None) => Vec::new(),
        };
        Ok(Pushed { plan, columns })
    }

    /// The binding of a row of a FULL JOIN is on the side that the row has.
    fn either(&mut self, plan: LogicalPlan, left: Vec<Column>, right: Vec<Column>) -> Result<Pushed> {
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let number = self.number();
        let mut columns = Vec::new();
        for (at, (left, right)) in left.into_iter().zip(right).enumerate() {
            let name = format!("__sub_{number}_{at}");
            exprs.push(coalesce(vec![left.into(), right.into()]).alias(&name));
            columns.push(Column::from_name(name));
        }
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        Ok(Pushed { plan, columns })
    }
}

fn keeps_right(join_type: JoinType) -> bool {
    matches!(
        join_type,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

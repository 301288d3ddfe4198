//! Subqueries that give one row of expressions, or none where a condition says so: `SELECT t.a + 1`, and aggregates without
//! GROUP BY, whatever is selected from them. They need no join of their own, or one for their aggregates alone.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, FetchType, Limit, LogicalPlan, SkipType, lit, when};

use super::outer::{bind_to_schema, replace_columns};
use super::site::Site;
use super::statement::Statement;

/// A subquery of at most one row.
pub(super) struct OneRow {
    /// The aggregates that the expressions are over.
    aggregate: Option<Aggregate>,
    /// What is selected, over columns of the aggregate.
    outputs: Vec<Expr>,
    /// What must be true, or there is no row.
    conditions: Vec<Expr>,
}

/// The row that such a subquery gives to a row outside it, over columns that have been joined to that.
pub(super) struct Row {
    pub(super) outputs: Vec<Expr>,
    pub(super) condition: Option<Expr>,
}

impl Row {
    /// The first column, or what it is when there is no row.
    pub(super) fn first_or(self, value: Expr, without: Expr) -> Result<Expr> {
        match self.condition {
            Some(condition) => when(condition, value).otherwise(without),
            None => Ok(value),
        }
    }
}

impl OneRow {
    /// The subquery as one row; None if it may have more rows.
    pub(super) fn of(plan: &LogicalPlan) -> Result<Option<Self>> {
        match plan {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
                Ok(Some(Self::plain(Vec::new())))
            }
            LogicalPlan::Values(values) => Ok(match values.values.as_slice() {
                [row] if !row.iter().any(Expr::is_volatile) => Some(Self::plain(row.clone())),
                _ => None,
            }),
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Ok(Some(Self {
                aggregate: Some(aggregate.clone()),
                outputs: aggregate.schema.columns().into_iter().map(Expr::Column).collect(),
                conditions: Vec::new(),
            })),
            LogicalPlan::Projection(projection) => {
                // What differs each time it is computed is computed once.
                if projection.expr.iter().any(Expr::is_volatile) {
                    return Ok(None);
                }
                Self::over(&projection.input, |row, input| {
                    let outputs = projection
                        .expr
                        .iter()
                        .map(|expr| row.seen(expr.clone().unalias(), input));
                    row.outputs = outputs.collect::<Result<_>>()?;
                    Ok(())
                })
            }
            LogicalPlan::Filter(filter) if !filter.predicate.is_volatile() => {
                Self::over(&filter.input, |row, input| {
                    let condition = row.seen(filter.predicate.clone(), input)?;
                    row.conditions.push(condition);
                    Ok(())
                })
            }
            LogicalPlan::Limit(limit) => match leaves_first(limit)? {
                Some(true) => Self::of(&limit.input),
                Some(false) => Self::over(&limit.input, |row, _| {
                    row.conditions.push(lit(false));
                    Ok(())
                }),
                None => Ok(None),
            },
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Subquery(subquery) => Self::of(&subquery.subquery),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Self::of(&sort.input),
            LogicalPlan::Distinct(Distinct::All(input)) => Self::of(input),
            _ => Ok(None),
        }
    }

    fn plain(outputs: Vec<Expr>) -> Self {
        Self {
            aggregate: None,
            outputs,
            conditions: Vec::new(),
        }
    }

    fn over(input: &LogicalPlan, change: impl FnOnce(&mut Self, &LogicalPlan) -> Result<()>) -> Result<Option<Self>> {
        let mut row = Self::of(input)?;
        if let Some(row) = &mut row {
            change(row, input)?;
        }
        Ok(row)
    }

    /// An expression over the columns that the row has so far.
    fn seen(&self, expr: Expr, input: &LogicalPlan) -> Result<Expr> {
        replace_columns(expr, &|column| {
            at(input, column).and_then(|at| self.outputs.get(at)).cloned()
        })
    }

    /// Whether the row is always there.
    pub(super) fn is_certain(&self) -> bool {
        self.conditions.is_empty()
    }
}

fn at(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    plan.schema().maybe_index_of_column(column)
}

/// Whether the first row passes a LIMIT; None if that is not known yet.
pub(super) fn leaves_first(limit: &Limit) -> Result<Option<bool>> {
    Ok(match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => Some(skip == 0 && fetch != Some(0)),
        _ => None,
    })
}

impl Statement {
    /// The row that a subquery gives to each row outside it.
    pub(super) fn row(&mut self, row: OneRow, site: &mut Site) -> Result<Row> {
        let (columns, values) = match row.aggregate {
            Some(aggregate) => {
                let columns = aggregate.schema.columns();
                let input = aggregate.input.as_ref().clone();
                (columns, self.aggregates(site, input, aggregate.aggr_expr)?)
            }
            None => (Vec::new(), Vec::new()),
        };
        let schema = site.schema();
        let seen = |expr: Expr| {
            let expr = replace_columns(expr, &|column| {
                let at = columns.iter().position(|known| known == column)?;
                values.get(at).cloned()
            })?;
            bind_to_schema(expr, schema)
        };
        let outputs = row.outputs.into_iter().map(seen).collect::<Result<_>>()?;
        let conditions = row.conditions.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
        let condition = conjunction(conditions);
        Ok(Row { outputs, condition })
    }
}

//! An optimizer rule: distinct patients are counted by grouping. `count(DISTINCT patient)` beside other aggregates keeps a
//! set of patients for every group, on every node, and ships the sets. Rows of one patient are in one shard and come in the
//! order of patients, so grouping by patient first needs no exchange and hardly any memory; what is left is to add up:
//!
//! ```text
//! SELECT g, count(DISTINCT p), count(*), sum(x) FROM t GROUP BY g
//! SELECT g, count(p), coalesce(sum(n), 0), sum(s) FROM (SELECT g, p, count(*) AS n, sum(x) AS s FROM t GROUP BY g, p) GROUP BY g
//! ```
//!
//! DataFusion's own rule does so for any column, but not beside a `count`, which is what people ask for most.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, Projection, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use parcours_sql::functions::sum;

use super::patient::dataset_of_patient;

/// The name of the distinct column between the two groupings.
const DISTINCT: &str = "__patient";

/// Counts distinct patients by grouping.
#[derive(Debug, Default)]
pub(super) struct DistinctPatients;

impl OptimizerRule for DistinctPatients {
    fn name(&self) -> &str {
        "distinct_patients_by_grouping"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else {
            return Ok(Transformed::no(plan));
        };
        match parts(aggregate)? {
            Some(parts) => parts.grouped_twice(aggregate).map(Transformed::yes),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// One aggregate of those that can be added up over patients.
enum Part {
    /// The distinct count.
    Patients,
    /// Computed for each patient first, then over patients.
    Of {
        function: Arc<AggregateUDF>,
        arguments: Vec<Expr>,
    },
}

/// The aggregates of a grouping that counts distinct patients.
struct Parts {
    patient: Expr,
    parts: Vec<Part>,
}

/// What a grouping consists of, if it counts distinct patients and everything else in it adds up.
fn parts(aggregate: &Aggregate) -> Result<Option<Parts>> {
    if matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_))) {
        return Ok(None);
    }
    let (mut patient, mut parts, mut others) = (None, Vec::new(), false);
    for expr in &aggregate.aggr_expr {
        let Some((function, distinct, arguments)) = plain(expr) else {
            return Ok(None);
        };
        match (function.name(), distinct, arguments) {
            ("count", true, [column]) if patient.as_ref().is_none_or(|known| known == column) => {
                patient = Some(column.clone());
                parts.push(Part::Patients);
            }
            ("min" | "max", _, _) | ("count" | "sum", false, _) => {
                others |= function.name() == "count";
                parts.push(Part::Of {
                    function: Arc::clone(function),
                    arguments: arguments.to_vec(),
                });
            }
            _ => return Ok(None),
        }
    }
    // Without a count beside it, DataFusion's own rule does the same.
    let Some(patient) = patient.filter(|_| others) else {
        return Ok(None);
    };
    let is_patient = match &patient {
        Expr::Column(column) => dataset_of_patient(&aggregate.input, column)?.is_some(),
        _ => false,
    };
    Ok(is_patient.then_some(Parts { patient, parts }))
}

/// An aggregate without filter and order: its function, whether it is distinct, its arguments.
fn plain(expr: &Expr) -> Option<(&Arc<AggregateUDF>, bool, &[Expr])> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else {
        return None;
    };
    let AggregateFunctionParams {
        args,
        distinct,
        filter,
        order_by,
        null_treatment,
    } = params;
    let plain = filter.is_none() && order_by.is_empty() && null_treatment.is_none();
    plain.then_some((func, *distinct, args.as_slice()))
}

impl Parts {
    fn grouped_twice(self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        let group = |at: usize| format!("__group_{at}");
        let part = |at: usize| format!("__part_{at}");
        let groups = aggregate.group_expr.len();
        let named = |(at, expr): (usize, &Expr)| expr.clone().alias(group(at));
        let mut by_patient: Vec<Expr> = aggregate.group_expr.iter().enumerate().map(named).collect();
        by_patient.push(self.patient.alias(DISTINCT));

        let (mut inner, mut outer, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        for (at, one) in self.parts.into_iter().enumerate() {
            let whole = match one {
                Part::Patients => apply(&count_udaf(), vec![named_column(DISTINCT)]),
                Part::Of { function, arguments } => {
                    inner.push(apply(&function, arguments).alias(part(at)));
                    let over = if function.name() == "count" { sum() } else { function };
                    apply(&over, vec![named_column(&part(at))])
                }
            };
            outer.push(whole.alias(part(at)));
        }
        let inner = Aggregate::try_new(Arc::clone(&aggregate.input), by_patient, inner)?;
        let over: Vec<Expr> = (0..groups).map(|at| named_column(&group(at))).collect();
        let outer = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(inner)), over, outer)?;
        for (at, (qualifier, field)) in aggregate.schema.iter().enumerate() {
            let column = match at.checked_sub(groups) {
                None => named_column(&group(at)),
                Some(at) => named_column(&part(at)),
            };
            // A sum of counts is NULL where nothing was counted, and sums of decimals grow wider.
            let column = match field.is_nullable() {
                true => column,
                false if at < groups => column,
                false => coalesce(vec![column, lit(ScalarValue::new_zero(field.data_type())?)]),
            };
            let column = column.cast_to(field.data_type(), &outer.schema)?;
            shown.push(column.alias_qualified(qualifier.cloned(), field.name()));
        }
        let outer = Arc::new(LogicalPlan::Aggregate(outer));
        Projection::try_new(shown, outer).map(LogicalPlan::Projection)
    }
}

fn apply(function: &Arc<AggregateUDF>, arguments: Vec<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::clone(function),
        arguments,
        false,
        None,
        Vec::new(),
        None,
    ))
}

/// A column by its very name: `col` would read dots and capitals as SQL does.
fn named_column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

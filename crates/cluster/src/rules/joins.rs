//! An optimizer rule: a join by patient and more is a join by patient. Rows of one patient are in one shard, so a join whose
//! only key is the patient needs no exchange; a second key would have both sides exchanged by both. What else must be equal
//! becomes a condition, looked at among the rows of a patient, which are few:
//!
//! ```text
//! a JOIN b ON a.patient = b.patient AND a.code = b.code     -- keys: patient, code
//! a JOIN b ON a.patient = b.patient, if a.code = b.code     -- key: patient
//! ```

use datafusion::common::tree_node::Transformed;
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::patient::dataset_of_patient;

/// Leaves the patient as the only key of a join.
#[derive(Debug, Default)]
pub(super) struct PatientJoins;

impl OptimizerRule for PatientJoins {
    fn name(&self) -> &str {
        "joins_by_patient_alone"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) if join.on.len() > 1 => by_patient_alone(join),
            plan => Ok(Transformed::no(plan)),
        }
    }
}

fn by_patient_alone(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(patient) = patient_pair(&join)? else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let pair = join.on.remove(patient);
    let others = std::mem::replace(&mut join.on, vec![pair]);
    look_at(&mut join, others);
    Ok(Transformed::yes(LogicalPlan::Join(join)))
}

/// Makes conditions of a join of what were pairs of its keys.
pub(super) fn look_at(join: &mut Join, pairs: Vec<(Expr, Expr)>) {
    let equal = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let pairs = pairs.into_iter().map(|(left, right)| binary_expr(left, equal, right));
    join.filter = conjunction(pairs.chain(join.filter.take()));
}

/// Which pair of keys is the patient of one dataset on both sides.
fn patient_pair(join: &Join) -> Result<Option<usize>> {
    for (at, pair) in join.on.iter().enumerate() {
        let (Expr::Column(left), Expr::Column(right)) = pair else {
            continue;
        };
        let left = dataset_of_patient(&join.left, left)?;
        if left.is_some() && left == dataset_of_patient(&join.right, right)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

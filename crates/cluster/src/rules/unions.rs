//! An optimizer rule: a union of what lies in the same shards is a union shard by shard. Wherever each part of `UNION ALL`
//! holds the patient of one dataset in the same column, rows of a patient are in the same partition of every part.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Extension, LogicalPlan, Union};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::patient::dataset_in_parts;
use crate::aligned::logical::AlignedUnion;

/// Puts the aligned union in the place of the engine's.
#[derive(Debug, Default)]
pub(super) struct PatientUnions;

impl OptimizerRule for PatientUnions {
    fn name(&self) -> &str {
        "unions_by_patient"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Union(union) if holds_patients(&union)? => {
                let node = Arc::new(AlignedUnion::of(union));
                Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
            }
            plan => Ok(Transformed::no(plan)),
        }
    }
}

/// Whether some column is the patient of one dataset in every part.
fn holds_patients(union: &Union) -> Result<bool> {
    for at in 0..union.schema.fields().len() {
        if dataset_in_parts(union.inputs.iter().map(AsRef::as_ref), at)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

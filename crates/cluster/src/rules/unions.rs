//! An optimizer rule: how the parts of a union lie is for [`crate::placement`] to say once they are planned. Where each part of
//! `UNION ALL` comes out of the shards of one dataset, rows of a patient are in the same partition of every part.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::placement::unions::logical::PlacedUnion;

/// Puts our union in the place of the engine's.
#[derive(Debug, Default)]
pub(super) struct PlacedUnions;

impl OptimizerRule for PlacedUnions {
    fn name(&self) -> &str {
        "placed_unions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        Ok(match plan {
            LogicalPlan::Union(union) => {
                let node = Arc::new(PlacedUnion::of(union));
                Transformed::yes(LogicalPlan::Extension(Extension { node }))
            }
            plan => Transformed::no(plan),
        })
    }
}

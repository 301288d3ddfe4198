//! Operators of our own, in the place of the engine's where rows come ordered by patient and a faster way leads to the same
//! rows. A plan is made, shown and sent as the engine knows it; the executor puts them in when the plan is about to run.

mod windows;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_plan::ExecutionPlan;

/// The plan with our operators in it; their number and place in the plan are those of what they replace.
pub(crate) fn put_into(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        Ok(match windows::in_place_of(&node)? {
            Some(windows) => Transformed::yes(windows),
            None => Transformed::no(node),
        })
    })
    .data()
}

//! The root of a plan that runs as a job: its rows are the answer.
//!
//! Ballista 55 plans the rest of a query anew after each stage, the last one included, and takes the partitions of whichever
//! stage ended last for the answer. Where a rule still finds something to change below a root that has run, another stage
//! follows it, whose rows are none. The root is therefore known by a node of its own ([`is_root`]), and no task is handed
//! out after it.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::marks::{Mark, MarkExec};

/// The mark of a root.
#[derive(Debug)]
pub(crate) struct Root;

/// Emits the answer.
pub(crate) type RootExec = MarkExec<Root>;

impl Mark for Root {
    const NAME: &str = "RootExec";
    const ORDERED: bool = true;
    const MOVES: bool = false;
}

/// Whether the rows of a stage are the answer, by the plan below the node that writes them.
pub fn is_root(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RootExec>()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    #[test]
    fn a_root_is_what_is_marked() {
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        assert!(!is_root(&empty));
        assert!(is_root(&(Arc::new(RootExec::over(empty)) as _)));
    }
}

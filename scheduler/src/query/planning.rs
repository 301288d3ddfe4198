//! The ways in which a query is planned. First as its tables lie, and anew after each stage. Where the engine breaks down
//! over such a plan, in plainer ways, which exchange and sort more: a query that is slow is better than one that is not
//! answered.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use parcours_cluster::placement::PlannedOnce;
use parcours_tables::SnapshotTable;

use super::standing::Submission;

/// A way to plan a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planning {
    /// By shards and their order, anew after each stage.
    ByShard,
    /// As if rows lay anywhere, anew after each stage.
    Anywhere,
    /// As if rows lay anywhere, once, before the query runs, with every union in one task.
    Once,
}

impl Planning {
    /// The next plainer way; none if this is the plainest.
    pub fn plainer(self) -> Option<Self> {
        match self {
            Planning::ByShard => Some(Planning::Anywhere),
            Planning::Anywhere => Some(Planning::Once),
            Planning::Once => None,
        }
    }

    /// The session in which the query is planned this way.
    pub fn session(self, context: &Arc<SessionContext>) -> Arc<SessionContext> {
        let mut config = match self {
            Planning::ByShard => return Arc::new(as_admitted(context)),
            Planning::Anywhere => context.copied_config(),
            Planning::Once => context
                .copied_config()
                .with_ballista_adaptive_query_planner(false)
                .with_extension(Arc::new(PlannedOnce)),
        };
        // Hash joins whatever their size: merge joins do not always keep the order that they declare.
        config = config.with_ballista_hash_join_max_build_partition_bytes(0);
        config.options_mut().optimizer.prefer_hash_join = true;
        if self == Planning::Once {
            // Ballista 55 divides both sides of a join that was to collect one, and leaves what was planned above it for one
            // partition as it is.
            let optimizer = &mut config.options_mut().optimizer;
            optimizer.hash_join_single_partition_threshold = 0;
            optimizer.hash_join_single_partition_threshold_rows = 0;
            // Distribution is enforced once more when a stage has been cut out, whose inputs then have no statistics: what has
            // all its rows in one partition would be dealt out again within each task.
            optimizer.subset_repartition_threshold = 1;
        }
        let state = SessionStateBuilder::new_from_existing(context.state()).with_config(config);
        Arc::new(SessionContext::new_with_state(state.build()))
    }

    /// What is planned: the query over tables that declare as much as this way relies on.
    pub fn over(self, submission: &Submission) -> Result<LogicalPlan> {
        match self {
            Planning::ByShard => Ok(submission.optimized.clone()),
            Planning::Anywhere | Planning::Once => {
                let plan = submission.plan.clone();
                plan.transform_down_with_subqueries(undeclared).data()
            }
        }
    }
}

/// The session in which a plan runs as it was optimized when it was admitted.
fn as_admitted(context: &SessionContext) -> SessionContext {
    let state = SessionStateBuilder::new_from_existing(context.state());
    SessionContext::new_with_state(state.with_optimizer_rules(Vec::new()).build())
}

/// A scan of one of our tables that declares no layout; any other node as it is.
fn undeclared(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::TableScan(mut scan) = node else {
        return Ok(Transformed::no(node));
    };
    let provider = source_as_provider(&scan.source)?;
    Ok(match provider.downcast_ref::<SnapshotTable>() {
        Some(table) => {
            scan.source = provider_as_source(Arc::new(table.undeclared()));
            Transformed::yes(LogicalPlan::TableScan(scan))
        }
        None => Transformed::no(LogicalPlan::TableScan(scan)),
    })
}

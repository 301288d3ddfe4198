//! Jobs whose adaptive planning fails without a word. The engine plans a job anew whenever a stage has ended, and tells
//! nobody when that breaks down or comes to no end: such a job would hold its query until the query's time is up. They are
//! looked for, and their queries planned more plainly.

use std::sync::Arc;
use std::time::Duration;

use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::jobs::Jobs;
use super::standing::Query;

/// How often running queries are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Stages that exchange nothing after which planning is taken to come to no end: a plan has a few of its own.
const MAX_EMPTY_STAGES: usize = 16;

/// What became of the planning after a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// With a side of a join that turns out to be empty, Ballista 55 exchanges the empty side again after each stage.
    NoEnd,
    /// An optimizer rule refused the plan. Ballista 55 logs it and leaves the stage that ended as it was.
    BrokenOff,
}

impl Jobs {
    /// Plans otherwise, for as long as it is awaited, every query whose planning is in trouble.
    pub async fn end_replanning(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            for query in self.running_queries() {
                if self.trouble(&query).await.is_some() {
                    // Apart: planning anew may have to wait for an executor.
                    tokio::spawn(self.clone().plan_out_of_trouble(query));
                }
            }
        }
    }

    async fn plan_out_of_trouble(self: Arc<Self>, query: Arc<Query>) {
        let _turn = query.turn.lock().await;
        if !query.runs() {
            return;
        }
        // Looked at once more: while the turn was another's, the query may have become another job.
        match self.trouble(&query).await {
            Some(Trouble::NoEnd) => {
                self.plan_once(&query).await;
            }
            Some(Trouble::BrokenOff) => {
                let why = "planning broke off after a stage";
                self.plan_plainer(&query, why.into()).await;
            }
            None => {}
        }
    }

    async fn trouble(&self, query: &Query) -> Option<Trouble> {
        self.of_graph(query, trouble_of).await.flatten()
    }
}

fn trouble_of(graph: &ExecutionGraphBox) -> Option<Trouble> {
    if graph.stages().values().filter(|stage| exchanges_nothing(stage)).count() > MAX_EMPTY_STAGES {
        Some(Trouble::NoEnd)
    } else if graph.stages().values().any(has_ended_unnoticed) {
        Some(Trouble::BrokenOff)
    } else {
        None
    }
}

/// Whether a stage that is done had nothing to write but the rows of an empty input.
fn exchanges_nothing(stage: &ExecutionStage) -> bool {
    let ExecutionStage::Successful(stage) = stage else {
        return false;
    };
    is_empty(&stage.plan)
}

fn is_empty(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let inputs = plan.children();
    plan.is::<EmptyExec>() || (!inputs.is_empty() && inputs.into_iter().all(is_empty))
}

/// Whether a stage runs all of whose tasks were reported done. The engine takes a report, plans anew and ends the stage
/// under one lock on the graph: whoever reads the graph sees this only if the planning between failed.
fn has_ended_unnoticed(stage: &ExecutionStage) -> bool {
    matches!(stage, ExecutionStage::Running(stage) if stage.is_successful())
}

//! Stages are proven sound before a task of theirs is handed out: a stage that the engine splits over tasks must answer as if
//! it ran in one. What is checked of its plan stands in `parcours_cluster::placement::soundness`. None is handed out once the
//! rows of the answer are computed.

use std::collections::{BTreeMap, BTreeSet};

use ballista_core::JobId;
use ballista_core::serde::protobuf as pb;
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use parcours_cluster::placement::is_root;
use parcours_cluster::placement::soundness::{check_inputs, check_split};

use crate::engine::Engine;

/// Takes the tasks of every job out of `tasks` that has a stage which is split and not proven sound, and names these jobs.
pub(super) async fn take_unsound(engine: &Engine, tasks: &mut Vec<pb::TaskDefinition>) -> BTreeSet<String> {
    let mut stages: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for task in tasks.iter() {
        stages.entry(&task.job_id).or_default().insert(task.stage_id as usize);
    }
    let mut refused = BTreeSet::new();
    for (job, stages) in stages {
        if !are_sound(engine, job, &stages).await {
            refused.insert(job.to_owned());
        }
    }
    tasks.retain(|task| !refused.contains(&task.job_id));
    refused
}

/// Whether these stages of a job are sound; those of a job that has ended are.
async fn are_sound(engine: &Engine, job: &str, stages: &BTreeSet<usize>) -> bool {
    let jobs = engine.state.task_manager.get_running_job_cache();
    let Some(info) = jobs.get(&JobId::new(job)).cloned() else {
        return true;
    };
    let graph = info.execution_graph.read().await;
    if graph.stages().values().any(is_answered) {
        tracing::error!(
            job,
            "a stage is not handed out: it was planned after the last one had run"
        );
        return false;
    }
    stages.iter().all(|stage| match graph.stages().get(stage) {
        Some(ExecutionStage::Running(stage)) => match check(stage) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(job, %error, "a stage is not handed out: its plan is not proven sound");
                false
            }
        },
        _ => true,
    })
}

fn check(stage: &RunningStage) -> datafusion::common::Result<()> {
    check_inputs(&stage.plan)?;
    match stage.partitions {
        0 | 1 => Ok(()),
        _ => check_split(&stage.plan),
    }
}

/// Whether a stage is done whose rows are the answer.
fn is_answered(stage: &ExecutionStage) -> bool {
    let ExecutionStage::Successful(stage) = stage else {
        return false;
    };
    stage.plan.children().into_iter().any(is_root)
}

//! What happens to running queries when an executor or a partition is lost: each query that worked there is computed anew
//! as a job of its own. The engine's own repair, stage by stage, leaves a job standing under adaptive planning (ADR 7). A
//! query that executors are lost under is ended, and so is every one when none is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{ExecutorStoppedParams, task_status};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use tonic::Request;

use super::jobs::Jobs;
use super::standing::{Query, Standing};
use crate::engine::Engine;
use crate::internal::control::Losses;

/// A query under which so many executors were lost, while they computed a part of it, is tried no more: it may well be what
/// they are lost by, and another would go the same way.
pub const MOST_LOSSES: usize = 2;

/// For how long a query that lost the last executor waits for another.
pub const WITHOUT_EXECUTOR: Duration = Duration::from_secs(30);

/// How often it is looked whether there is an executor.
const LOOK_AT_MEMBERS: Duration = Duration::from_millis(250);

/// Repairs what losses break.
#[derive(Clone)]
pub struct Recovery {
    engine: Engine,
    jobs: Arc<Jobs>,
}

impl Recovery {
    /// A recovery of these jobs.
    pub fn new(engine: Engine, jobs: Arc<Jobs>) -> Self {
        Self { engine, jobs }
    }

    async fn without_executor(self, id: String, announced: bool) {
        self.jobs.executor_lost(&id, announced).await;
        let lost = ExecutorStoppedParams {
            executor_id: id,
            reason: "control stream closed".to_owned(),
        };
        if let Err(status) = SchedulerGrpc::executor_stopped(&self.engine, Request::new(lost)).await {
            tracing::error!(code = ?status.code(), "the engine does not take an executor for lost");
        }
    }
}

impl Losses for Recovery {
    fn executor_lost(&self, id: String, announced: bool) {
        tokio::spawn(self.clone().without_executor(id, announced));
    }

    fn partition_lost(&self, job: String) {
        let jobs = self.jobs.clone();
        tokio::spawn(async move { jobs.partition_lost(&job).await });
    }

    fn plan_refused(&self, job: String) {
        let jobs = self.jobs.clone();
        tokio::spawn(async move { jobs.plan_refused(&job).await });
    }
}

impl Jobs {
    /// Computes every query anew for which this executor worked, but for one that executors were lost under before. An executor
    /// that had announced to go was not lost under anything.
    pub async fn executor_lost(self: &Arc<Self>, id: &str, announced: bool) {
        for query in self.running_queries() {
            let _turn = query.turn.lock().await;
            if !query.runs() {
                continue;
            }
            match self.of_graph(&query, |graph| share_of(graph, id)).await {
                Some(Share::Task) if !announced && query.lost_executor() >= MOST_LOSSES => self.give_up(&query).await,
                Some(Share::Task | Share::Partitions) => self.try_again(&query).await,
                Some(Share::Nothing) | None => {}
            }
        }
    }

    /// Ends, for as long as it is awaited, every running query when there was no executor for so long. Whether a task of it was
    /// taken does not matter: the job of a query may have been made between the losses of two executors, so that neither had
    /// a part in it.
    pub async fn end_without_executors(self: &Arc<Self>, patience: Duration) {
        let mut since = None;
        loop {
            tokio::time::sleep(LOOK_AT_MEMBERS).await;
            if self.members.count() > 0 {
                since = None;
                continue;
            }
            if since.get_or_insert_with(Instant::now).elapsed() < patience {
                continue;
            }
            for query in self.running_queries() {
                if query.end(Standing::WithoutExecutor) {
                    tracing::warn!(query = %query.id, "no executor came to compute the query, it is ended");
                    self.stop_job(&query).await;
                    self.forget_job(&query);
                }
            }
        }
    }

    /// Ends a query under which executors are lost.
    async fn give_up(self: &Arc<Self>, query: &Arc<Query>) {
        if query.end(Standing::LostUnder) {
            tracing::error!(query = %query.id, "executors are lost while they compute a query, it is ended");
            self.stop_job(query).await;
            self.forget_job(query);
        }
    }

    /// Computes the query of this job anew.
    pub async fn partition_lost(self: &Arc<Self>, job: &str) {
        for query in self.running_queries() {
            let _turn = query.turn.lock().await;
            let is_its_job = query.job.lock().as_deref() == Some(job);
            if query.runs() && is_its_job {
                self.try_again(&query).await;
            }
        }
    }

    /// Waits for an executor; whether one came.
    pub(super) async fn some_executor(&self) -> bool {
        let joined = async {
            while self.members.count() == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(WITHOUT_EXECUTOR, joined).await.is_ok()
    }
}

/// What an executor has of a job; the more, the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Nothing,
    /// Partitions of tasks that are done.
    Partitions,
    /// A task that runs.
    Task,
}

fn share_of(graph: &ExecutionGraphBox, executor: &str) -> Share {
    let tasks = graph.stages().values().filter_map(ExecutionStage::task_infos);
    let shares = tasks.flatten().map(|task| share_in(&task.task_status, executor));
    shares.max().unwrap_or(Share::Nothing)
}

fn share_in(task: &task_status::Status, executor: &str) -> Share {
    match task {
        task_status::Status::Running(task) if task.executor_id == executor => Share::Task,
        task_status::Status::Successful(task) if task.executor_id == executor => Share::Partitions,
        _ => Share::Nothing,
    }
}

#[cfg(test)]
mod tests;

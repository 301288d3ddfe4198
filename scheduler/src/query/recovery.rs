//! What happens to running queries when an executor or a partition is lost: each query that worked there is computed anew
//! as a job of its own. The engine's own repair, stage by stage, leaves a job standing under adaptive planning (ADR 7).

use std::sync::Arc;

use ballista_core::serde::protobuf::ExecutorStoppedParams;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use tonic::Request;

use super::jobs::Jobs;
use crate::engine::Engine;
use crate::internal::control::Losses;

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

    async fn without_executor(self, id: String) {
        self.jobs.executor_lost(&id).await;
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
    fn executor_lost(&self, id: String) {
        tokio::spawn(self.clone().without_executor(id));
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

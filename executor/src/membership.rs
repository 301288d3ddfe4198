//! A membership: the time from joining a scheduler until one loses the other. Each has an id of its own, so that nothing
//! which an earlier one promised is expected of a later one; when it ends, its tasks are stopped and its partitions gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use parcours_cluster::functions::registry;
use parcours_cluster::health::Readiness;
use parcours_cluster::session::{engine_config, plan_codec};
use parcours_identity::ClientTls;
use parcours_sealed::SpillFiles;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::config::Config;
use crate::control::{self, Controlled};
use crate::engine::Engine;
use crate::keys::TaskKeys;
use crate::operators;
use crate::pool::NodePool;
use crate::shuffle::exchange::Exchange;
use crate::shuffle::store::PartitionStore;
use crate::slots::Slots;
use crate::tasks::RunningTasks;
use crate::threads::ComputeThreads;

/// Largest message of the internal listener: stage plans list every file and partition.
const MAX_MESSAGE: usize = 64 << 20;

/// Pause before joining again.
const REJOIN: Duration = Duration::from_millis(500);

/// What outlives a membership.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// The port under which partitions are served.
    pub(crate) port: u16,
    pub(crate) to_scheduler: ClientTls,
    pub(crate) to_executors: ClientTls,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) keys: Arc<TaskKeys>,
    pub(crate) pool: Arc<NodePool>,
    pub(crate) spill: Arc<SpillFiles>,
    pub(crate) store: Arc<PartitionStore>,
    pub(crate) tasks: Arc<RunningTasks>,
    pub(crate) operators: operators::Counters,
    pub(crate) slots: Arc<Slots>,
    pub(crate) readiness: Readiness,
    /// The threads of its tasks.
    pub(crate) threads: ComputeThreads,
    #[cfg(feature = "measure-plain")]
    pub(crate) stock: Option<Arc<crate::stock::Stock>>,
}

impl Node {
    /// Joins the scheduler, and joins again whenever the membership ends, until the executor is drained.
    pub(crate) async fn stay_member(&self) {
        while !self.slots.are_closed() {
            if let Err(error) = self.membership().await {
                tracing::warn!(%error, "not a member of the cluster, trying again");
            }
            self.readiness.set(false);
            tokio::time::sleep(REJOIN).await;
        }
    }

    async fn membership(&self) -> anyhow::Result<()> {
        let id = format!("{}:{}", self.config.id, uuid::Uuid::new_v4().simple());
        let channel = self
            .to_scheduler
            .connect(&self.config.scheduler)
            .await
            .context("the scheduler cannot be reached")?;
        let orders = control::open(channel.clone(), &id)
            .await
            .context("the scheduler refuses the control stream")?;
        let wake = Arc::new(Notify::new());
        let executor = Arc::new(self.executor(&id, wake.clone()));
        let controlled = Controlled {
            executor: executor.clone(),
            tasks: self.tasks.clone(),
            store: self.store.clone(),
            keys: self.keys.clone(),
            wake: wake.clone(),
        };
        // In a task of its own, which whatever is decoded here does not hold up; it ends with the membership.
        let mut beats = JoinSet::new();
        beats.spawn(control::beat(channel.clone(), id.clone(), self.slots.clone()));
        self.readiness.set(true);
        tracing::info!(id, scheduler = self.config.scheduler, "joined");
        let ended = tokio::select! {
            ended = controlled.follow(orders) => ended.context("the control stream broke"),
            ended = self.poll(channel.clone(), executor.clone(), wake) => ended,
        };
        self.tasks.cancel_all(&executor).await;
        self.store.end_all();
        ended
    }

    fn executor(&self, id: &str, wake: Arc<Notify>) -> Executor {
        let exchange = Exchange::new(id.to_owned(), self.store.clone(), self.to_executors.clone());
        let engine = Engine {
            store: self.store.clone(),
            pool: self.pool.clone(),
            exchange: Arc::new(exchange),
            keys: self.keys.clone(),
            id: id.to_owned(),
            tasks: self.tasks.clone(),
            operators: self.operators.clone(),
            wake,
            threads: self.threads.handle(),
            #[cfg(feature = "measure-plain")]
            stock: self.stock.clone(),
        };
        let options = Arc::new(ExecutorProcessConfig {
            executor_id: id.to_owned(),
            external_host: Some(self.config.advertise.clone()),
            port: self.port,
            // Nothing listens there: pushing tasks is not how this executor gets them.
            grpc_port: 1,
            ..Default::default()
        });
        let runtime = self.runtime.clone();
        Executor::new(
            structure_executor_metadata(&options, self.slots.count()),
            &self.store.root().to_string_lossy(),
            Arc::new(move |_| Ok(runtime.clone())),
            Arc::new(engine_config),
            Arc::new(registry()),
            Arc::new(LoggingMetricsCollector::default()),
            self.slots.count() as usize,
            Arc::new(engine),
        )
    }

    async fn poll(&self, channel: Channel, executor: Arc<Executor>, wake: Arc<Notify>) -> anyhow::Result<()> {
        let client = scheduler_client(channel);
        let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> =
            BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), plan_codec());
        // Ballista 55 panics over slots of which none is free when it begins.
        let slots = self.slots.renew().context("the executor is being drained")?;
        poll_loop(client, executor, codec, Some(wake), Some(slots), ExecutorHealth::new())
            .await
            .context("the task loop ended")
    }

    /// Takes no further task, then waits until running ones have ended and their partitions have been read.
    pub(crate) async fn drain(&self) {
        let bound = Duration::from_secs(self.config.drain_seconds);
        let drained = tokio::time::timeout(bound, async {
            let _all = self.slots.close().await;
            while self.store.used() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                seconds = self.config.drain_seconds,
                "stopping with work in hand, its jobs are computed elsewhere"
            );
        }
    }
}

fn scheduler_client(channel: Channel) -> SchedulerGrpcClient<Channel> {
    SchedulerGrpcClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

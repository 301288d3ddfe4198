//! Ballista's scheduler, built as ours: it pulls nothing in and dials nobody in clear, executors fetch their work, and
//! what wakes or loses them runs over the control streams.

use std::sync::Arc;

use anyhow::Context;
use ballista_core::JobId;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::EndpointOverrideFn;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use parcours_cluster::orders::Order;
use parcours_cluster::session::{engine_config, engine_state, plan_codec};
use parcours_identity::ClientTls;

use crate::internal::control::Members;

/// Ballista's scheduler over DataFusion's own plan encoding.
pub type Engine = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// An executor that has not been heard of for so long is lost; the control stream usually says so at once.
const EXECUTOR_TIMEOUT_SECONDS: u64 = 30;

/// The name of a job that there is not.
const NO_JOB: &str = "none";

/// Whether the engine still takes events. Its event loop ends without a word when it panics; then nothing can be put into its
/// queue any more, be it the cancelling of a job that there is not.
pub async fn takes_events(engine: &Engine) -> bool {
    engine.cancel_job(JobId::new(NO_JOB)).await.is_ok()
}

/// Builds and starts the engine. Members are woken whenever there is work.
pub async fn start(members: &Arc<Members>, to_executors: ClientTls) -> anyhow::Result<Engine> {
    let woken = members.clone();
    let config = SchedulerConfig {
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        use_tls: true,
        override_create_grpc_client_endpoint: Some(secured(to_executors)),
        override_physical_codec: Some(plan_codec()),
        override_config_producer: Some(Arc::new(engine_config)),
        override_session_builder: Some(Arc::new(|config| engine_state(config, Arc::new(RuntimeEnv::default())))),
        on_work_available: Some(Arc::new(move |_| woken.order(&Order::Wake))),
        // A lost executor is lost at once: its partitions went with its key.
        executor_termination_grace_period: 0,
        executor_timeout_seconds: EXECUTOR_TIMEOUT_SECONDS,
        no_executors_grace_period_seconds: EXECUTOR_TIMEOUT_SECONDS,
        expire_dead_executor_interval_seconds: 5,
        // Whoever reads its results has what they need of it; plans over many shards are large.
        finished_job_state_clean_up_interval_seconds: 5,
        ..Default::default()
    };
    let config = Arc::new(config);
    let cluster = BallistaCluster::new_from_config(&config)
        .await
        .context("the engine's cluster state cannot be made")?;
    create_scheduler(cluster, config)
        .await
        .context("the engine cannot be started")
}

/// Every endpoint that Ballista would dial is rebuilt for mTLS; it writes `http://`, for which TLS would be left out.
fn secured(tls: ClientTls) -> EndpointOverrideFn {
    Arc::new(move |endpoint| tls.endpoint(endpoint).map_err(Into::into))
}

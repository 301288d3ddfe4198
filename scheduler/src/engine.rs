//! Ballista's scheduler, built as ours: it pulls nothing in and dials nobody in clear, executors fetch their work, and
//! what wakes or loses them runs over the control streams.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use aws_lc_rs::rand;
use ballista_core::JobId;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::EndpointOverrideFn;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::{JobIdGenerator, SchedulerServer};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use parcours_cluster::orders::Order;
use parcours_cluster::session::{engine_config, engine_state, plan_codec};
use parcours_identity::ClientTls;

use crate::internal::control::Members;
use crate::internal::fair::Fair;

/// Ballista's scheduler over DataFusion's own plan encoding.
pub type Engine = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// An executor that has not been heard of for so long is lost; the control stream usually says so at once.
const EXECUTOR_TIMEOUT_SECONDS: u64 = 30;

/// How long is waited for the system's random source.
const WITHOUT_RANDOM: Duration = Duration::from_millis(10);

/// Names jobs by 128 random bits, in letters and digits: whoever knows one job's name knows no other's, and a name is safe in
/// a path.
struct RandomIds;

#[async_trait]
impl JobIdGenerator for RandomIds {
    async fn next_id(&self) -> String {
        let mut bytes = [0; 16];
        // Should there be no random bits, a job waits for them rather than to have a name that can be guessed.
        while rand::fill(&mut bytes).is_err() {
            tokio::time::sleep(WITHOUT_RANDOM).await;
        }
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

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
        task_distribution: TaskDistributionPolicy::Custom(Arc::new(Fair::new(members.clone()))),
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
        job_id_generator: Some(Arc::new(RandomIds)),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use parcours_cluster::orders::is_job_id;

    use super::*;

    #[tokio::test]
    async fn the_names_of_jobs_are_long_random_and_safe_in_paths() {
        let (mut names, mut beginnings) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..1000 {
            let name = RandomIds.next_id().await;
            assert!(name.len() == 32 && is_job_id(&name), "{name}");
            beginnings.insert(name[..16].to_owned());
            names.insert(name);
        }
        // 64 bits of a thousand names are alike in one case of 10^13.
        assert_eq!((names.len(), beginnings.len()), (1000, 1000));
    }
}

//! Only in the build that is measured in clear: tasks write with Ballista's own shuffle writers and read with its own
//! readers, over its own partition service. It listens on a loopback address of this machine, under the port that the
//! sealed partitions have on another, so that nothing else of the engine has to know of it.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use arrow_flight::Ticket;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use ballista_core::JobId;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::BallistaError;
use ballista_core::extension::{BallistaConfigGrpcEndpoint, SessionConfigExt};
use ballista_core::serde::protobuf::{
    self, RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_core::serde::scheduler::{Action, ShuffleFileKind, ShuffleLayout};
use ballista_core::utils::GrpcClientConfig;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use ballista_executor::flight_service::BallistaFlightService;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use parcours_cluster::flight::Data;
use parcours_cluster::partition::PartitionKey;
use parking_lot::Mutex;
use prost::Message;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::nodes;
use crate::pool::NodePool;
use crate::stage::{Place, nudge};
use crate::tasks::Running;

/// Set by the benches; nothing but this build reads it.
const CHOSEN: &str = "PARCOURS_STOCK_SHUFFLE";

/// Where the stock service listens: this machine, as the demo's executors do, but not their address.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Largest message of a partition.
const MAX_MESSAGE: usize = 16 << 20;

/// Ballista's own engine and partition service over one folder.
pub(crate) struct Stock {
    engine: DefaultExecutionEngine,
    service: BallistaFlightService,
    dir: String,
}

/// One task that Ballista's own engine runs.
pub(crate) struct StockStage {
    stage: Arc<dyn QueryStageExecutor>,
    name: String,
    /// Partitions of its input, for its share of memory.
    inputs: usize,
    /// See the same field of [`crate::stage::Stage`].
    nodes: usize,
    pool: Arc<NodePool>,
    wake: Arc<tokio::sync::Notify>,
    _running: Running,
}

impl Stock {
    /// Stock shuffling in this folder, if the process was started to be measured with it.
    pub(crate) fn if_chosen(dir: &std::path::Path) -> Option<Arc<Self>> {
        std::env::var_os(CHOSEN)?;
        let dir = dir.to_string_lossy().into_owned();
        Some(Arc::new(Self {
            engine: DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default())),
            service: BallistaFlightService::new(dir.clone()),
            dir,
        }))
    }

    /// Serves partitions to other executors until the process ends.
    pub(crate) async fn serve(&self, port: u16) -> anyhow::Result<()> {
        let partitions = FlightServiceServer::new(self.service.clone()).max_encoding_message_size(MAX_MESSAGE);
        let served = tonic::transport::Server::builder().add_service(partitions);
        let ended = served.serve(SocketAddr::new(HERE, port)).await;
        ended.context("the stock partition service ended")
    }

    /// The task over `plan`, whose scans are open and whose writer is Ballista's.
    pub(crate) fn stage(
        &self,
        place: Place,
        plan: Arc<dyn ExecutionPlan>,
        nodes: usize,
        (pool, wake, running): (Arc<NodePool>, Arc<tokio::sync::Notify>, Running),
    ) -> Result<StockStage> {
        let inputs = plan
            .children()
            .first()
            .map_or(1, |child| child.output_partitioning().partition_count());
        let name = format!("stock stage {}/{} task {}", place.job, place.stage, place.task);
        let stage = self.engine.create_query_stage_exec(
            JobId::new(place.job),
            place.stage,
            place.task,
            place.partitions,
            plan,
            &self.dir,
            &SessionConfig::new(),
        )?;
        Ok(StockStage {
            stage,
            name,
            inputs,
            nodes,
            pool,
            wake,
            _running: running,
        })
    }

    /// A partition of a final result, for the scheduler.
    pub(crate) async fn result(&self, key: PartitionKey) -> Result<Data, Status> {
        let action = Action::FetchPartition {
            job_id: JobId::new(key.job),
            stage_id: key.stage,
            partition_id: key.partition,
            host: String::new(),
            port: 0,
            file_id: Some(key.task),
            layout: ShuffleLayout::Passthrough,
            file_kind: ShuffleFileKind::Data,
            byte_ranges: Vec::new(),
        };
        let action: protobuf::Action = action
            .try_into()
            .map_err(|_| Status::internal("a partition cannot be named"))?;
        let ticket = Ticket::new(action.encode_to_vec());
        Ok(self.service.do_get(Request::new(ticket)).await?.into_inner().boxed())
    }
}

/// Connections to other executors' stock services, kept as ours are.
#[derive(Default)]
struct Connections(Arc<Mutex<HashMap<u16, Vec<BallistaClient>>>>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

#[async_trait::async_trait]
impl BallistaClientPool for Connections {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient, BallistaError> {
        let idle = self.0.lock().get_mut(&port).and_then(Vec::pop);
        let client = match idle {
            Some(client) => client,
            None => {
                let windows = (config.initial_connection_window_size, config.initial_stream_window_size);
                let retries = (config.io_retries_times, config.io_retry_wait_time_ms);
                let (max, tls) = (config.max_message_size, false);
                BallistaClient::try_new(
                    host, port, max, tls, endpoint, retries.0, retries.1, windows.0, windows.1,
                )
                .await?
            }
        };
        let kept = self.0.clone();
        let give_back = move |client| kept.lock().entry(port).or_default().push(client);
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        self.0.lock().clear();
    }
}

/// Sends Ballista's own readers to the stock services, and lets them read what lies in their own folder.
fn stock_config(config: SessionConfig) -> SessionConfig {
    config
        .with_ballista_shuffle_reader_force_remote_read(false)
        .with_ballista_override_create_grpc_client_endpoint(Arc::new(|endpoint: Endpoint| {
            let port = endpoint.uri().port_u16().unwrap_or_default();
            Ok(Endpoint::from_shared(format!("http://{HERE}:{port}"))?.tcp_nodelay(true))
        }))
}

#[async_trait::async_trait]
impl QueryStageExecutor for StockStage {
    async fn execute_query_stage(&self, task: usize, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        let share = self.pool.enter(self.inputs);
        let context = share.context(&context, stock_config);
        let outcome = self.stage.execute_query_stage(task, context).await;
        nudge(self.wake.clone());
        outcome
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        nodes::fitting(self.stage.collect_plan_metrics(), self.nodes)
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.stage.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.stage.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.stage.collect_column_stats()
    }
}

impl fmt::Debug for StockStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for StockStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

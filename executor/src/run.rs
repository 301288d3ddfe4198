//! An executor's life, top to bottom: identity, keys, scratch space, listeners, membership, drain.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow_flight::flight_service_server::FlightServiceServer;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parcours_cluster::flight::Narrow;
use parcours_cluster::health::{HealthPort, Readiness};
use parcours_cluster::task_grant::HeldGrant;
use parcours_identity::{Accepts, ClientTls, Expects, Listener, ServerTls};
use parcours_keyd::client::KeyDaemonClient;
use parcours_keys::CacheOptions;
use parcours_sealed::SpillFiles;
use parcours_tables::scan::Reading;
use parcours_tables::store::Stores;

use crate::config::{Config, Keys};
use crate::keys::TaskKeys;
use crate::membership::Node;
use crate::metrics;
use crate::operators;
use crate::pool::NodePool;
use crate::shuffle::server::PartitionServer;
use crate::shuffle::store::PartitionStore;
use crate::slots::Slots;
use crate::threads::ComputeThreads;

/// Largest message of a partition.
const MAX_MESSAGE: usize = 16 << 20;

/// Runs an executor until `stop` completes, then drains it.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    parcours_identity::install_crypto_provider();
    let listener = listen(&config).await?;
    let health = HealthPort::bind(config.listen.health)
        .await
        .context("the health port cannot be bound")?;
    let node = Arc::new(node(config, listener.local_addr().port()).await?);

    let partitions = FlightServiceServer::new(Narrow(PartitionServer::of(&node)))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    tracing::info!(
        id = node.config.id,
        partitions = %listener.local_addr(),
        health = %health.local_addr()?,
        tasks = node.config.tasks,
        "executor starts"
    );
    let serve_partitions = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(std::time::Duration::from_secs(10)))
        .add_service(partitions)
        .serve_with_incoming(listener.incoming());
    #[cfg(feature = "measure-plain")]
    if let Some(stock) = node.stock.clone() {
        let port = node.port;
        tokio::spawn(async move { stock.serve(port).await });
    }
    let serve_health = health.serve(node.readiness.clone(), metrics::registry(&node));

    tokio::select! {
        ended = serve_partitions => ended.context("the partition listener ended")?,
        ended = serve_health => ended.context("the health port ended")?,
        () = node.stay_member() => {}
        () = node.keys.follow() => {}
        () = drained(&node, stop) => {}
    }
    node.store.end_all();
    tracing::info!("executor stopped");
    Ok(())
}

async fn drained(node: &Node, stop: impl Future<Output = ()>) {
    stop.await;
    node.readiness.set(false);
    node.drain().await;
}

async fn listen(config: &Config) -> anyhow::Result<Listener> {
    let tls = &config.tls;
    let server = ServerTls::open(
        tls.server_files(),
        &tls.trust_domain,
        Accepts::ExecutorsAndScheduler,
        "partitions",
    )?;
    Listener::bind(config.listen.partitions, server)
        .await
        .context("the partition listener cannot be bound")
}

async fn node(config: Config, port: u16) -> anyhow::Result<Node> {
    let tls = &config.tls;
    let to_scheduler = ClientTls::open(tls.client_files(), &tls.trust_domain, Expects::Scheduler)?;
    let to_executors = ClientTls::open(tls.client_files(), &tls.trust_domain, Expects::AnyExecutor)?;
    let to_keys = ClientTls::open(tls.client_files(), &tls.trust_domain, Expects::KeyService)?;
    let stores = Arc::new(Stores::new(config.storage.clone()));
    // The spill folder comes first: only one process gets its lock, and another's partitions must not be scrubbed.
    let scratch = &config.scratch;
    let spill = SpillFiles::open(&scratch.dir.join("spill"), scratch.spill.0)?;
    close_to_others(&scratch.dir).context("scratch.dir cannot be used")?;
    let store = PartitionStore::open(&scratch.dir.join("partitions"), scratch.shuffle.0, scratch.memory.0)
        .context("scratch.dir cannot be used")?;
    let pool = Arc::new(NodePool::new(config.memory));
    Ok(Node {
        port,
        to_scheduler,
        to_executors,
        runtime: runtime(pool.clone(), &spill, stores.clone())?,
        keys: Arc::new(keys(&config.keys, &to_keys, stores)?),
        pool,
        spill,
        #[cfg(feature = "measure-plain")]
        stock: crate::stock::Stock::if_chosen(store.root()),
        store: Arc::new(store),
        tasks: Arc::default(),
        operators: operators::Counters::default(),
        slots: Arc::new(Slots::new(config.tasks)),
        readiness: Readiness::default(),
        threads: ComputeThreads::start(config.tasks).context("the threads of tasks cannot be started")?,
        config,
    })
}

fn keys(config: &Keys, tls: &ClientTls, stores: Arc<Stores>) -> anyhow::Result<TaskKeys> {
    let daemon = KeyDaemonClient::new(tls, &config.daemon)?;
    let cache = CacheOptions {
        ttl: std::time::Duration::from_secs(config.cache_seconds),
        ..Default::default()
    };
    let reading = Reading::new(
        daemon.under(&HeldGrant::new("")),
        stores,
        cache,
        config.footer_cache.as_usize(),
    );
    Ok(TaskKeys::new(tls.signatures(), daemon, reading))
}

/// A folder that was there before may be open to others.
fn close_to_others(dir: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// One memory pool and one sealed spill directory for all tasks.
fn runtime(pool: Arc<NodePool>, spill: &Arc<SpillFiles>, stores: Arc<Stores>) -> anyhow::Result<Arc<RuntimeEnv>> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(spill.disk_manager())
        .with_object_store_registry(stores)
        .build_arc()?;
    Ok(runtime)
}

//! A scheduler's life, top to bottom: identity, datasets, engine, the internal listener, the query service, the client
//! listener, drain.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use parcours_cluster::access::Access;
use parcours_cluster::flight::Narrow;
use parcours_cluster::health::{HealthPort, Readiness};
use parcours_identity::{Accepts, ClientTls, Expects, Listener, ServerTls, Signer};
use parcours_tables::Stores;
use parcours_tables::store::parse_location;
use tonic::transport::Server;

use crate::config::Config;
use crate::datasets::Datasets;
use crate::engine;
use crate::flight_sql::{self, FrontOptions};
use crate::internal::control::{self, ControlService, Losses, Members};
use crate::internal::guard::GuardedScheduler;
use crate::internal::renewals::Renewals;
use crate::metrics::{self, Counters};
use crate::query::Queries;
use crate::query::jobs::Jobs;
use crate::query::recovery::{Recovery, WITHOUT_EXECUTOR};
use crate::query::results::Relay;
use crate::query::session::Sessions;

/// Largest message of the internal listener: stage plans list every file and partition.
const MAX_INTERNAL_MESSAGE: usize = 64 << 20;

/// Seconds of silence that are nothing: a member that has much to do says something every few of them.
const LEAST_SILENCE: u64 = 5;

/// A peer that is silent for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Runs a scheduler until `stop` completes, then lets running queries end within the drain time.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    parcours_identity::install_crypto_provider();
    let client = listen(&config, Accepts::Users, config.listen.client, "client").await?;
    let internal = listen(&config, Accepts::Executors, config.listen.internal, "internal").await?;
    let health = HealthPort::bind(config.listen.health)
        .await
        .context("the health port cannot be bound")?;
    let to_executors = ClientTls::open(
        config.tls.client_files(),
        &config.tls.trust_domain,
        Expects::AnyExecutor,
    )?;

    let signer = Arc::new(Signer::open(
        config.tls.files(&config.grants),
        &config.tls.trust_domain,
    )?);

    let datasets = open_datasets(&config).await?;
    let access = Arc::new(Access::open(&config.access)?);
    let members = Arc::new(Members::default());
    let engine = engine::start(&members, to_executors.clone()).await?;
    let counters = Arc::new(Counters::default());
    let jobs = Jobs::new(engine.clone(), members.clone(), counters.clone(), &config.limits);
    let queries = Queries::new(
        access.clone(),
        Arc::new(Sessions::new(datasets.clone(), config.limits.hash_join_bytes)?),
        jobs.clone(),
        Arc::new(Relay::new(to_executors)),
    );

    let losses: Arc<dyn Losses> = Arc::new(Recovery::new(engine.clone(), jobs.clone()));
    let controlled = ControlService::new(members.clone(), losses.clone());
    let silence = Duration::from_secs(config.limits.silence_seconds.max(LEAST_SILENCE));
    let most_slots = config.limits.slots_per_executor;
    let renewals = Renewals::new(engine.clone(), members.clone(), signer.clone());
    let guarded = GuardedScheduler::new(
        engine,
        members.clone(),
        losses.clone(),
        signer,
        jobs.clone(),
        most_slots,
    );
    let readiness = Readiness::default();
    tracing::info!(
        client = %client.local_addr(),
        internal = %internal.local_addr(),
        health = %health.local_addr()?,
        "scheduler starts"
    );
    let serve_client = server().add_service(flight_sql::service(Arc::new(queries), FrontOptions::default())?);
    let registry = metrics::registry(&counters, jobs.clone(), members.clone(), datasets.clone());
    tokio::select! {
        ended = serve_client.serve_with_incoming(client.incoming()) => ended.context("the client listener ended")?,
        ended = serve_internal(internal, guarded, controlled) => ended.context("the internal listener ended")?,
        ended = health.serve(readiness.clone(), registry) => ended.context("the health port ended")?,
        () = datasets.keep_fresh(Duration::from_secs(config.data.refresh_seconds.max(1))) => {}
        () = jobs.keep_within(&access) => {}
        () = renewals.keep() => {}
        () = jobs.end_replanning() => {}
        () = control::end_silent(&members, losses.as_ref(), silence) => {}
        () = jobs.end_without_executors(WITHOUT_EXECUTOR) => {}
        () = jobs.engine_ended() => {
            readiness.set(false);
            anyhow::bail!("the engine's event loop has ended");
        }
        () = keep_readiness(&readiness, &members) => {}
        () = drained(stop, &jobs, config.drain_seconds) => {}
    }
    tracing::info!("scheduler stopped");
    Ok(())
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}

async fn listen(
    config: &Config,
    accepts: Accepts,
    address: std::net::SocketAddr,
    name: &'static str,
) -> anyhow::Result<Listener> {
    let tls = ServerTls::open(config.tls.server_files(), &config.tls.trust_domain, accepts, name)?;
    Listener::bind(address, tls)
        .await
        .with_context(|| format!("the {name} listener cannot be bound to {address}"))
}

async fn open_datasets(config: &Config) -> anyhow::Result<Arc<Datasets>> {
    let stores = Arc::new(Stores::new(config.storage.clone()));
    let location = parse_location(&config.data.location)?;
    Ok(Arc::new(
        Datasets::open(location, stores)
            .await
            .context("the datasets cannot be looked up")?,
    ))
}

async fn serve_internal(
    listener: Listener,
    guarded: GuardedScheduler,
    controlled: ControlService,
) -> Result<(), tonic::transport::Error> {
    let guarded = SchedulerGrpcServer::new(guarded)
        .max_decoding_message_size(MAX_INTERNAL_MESSAGE)
        .max_encoding_message_size(MAX_INTERNAL_MESSAGE);
    server()
        .add_service(guarded)
        .add_service(FlightServiceServer::new(Narrow(controlled)))
        .serve_with_incoming(listener.incoming())
        .await
}

/// Ready while at least one executor is there to compute.
async fn keep_readiness(readiness: &Readiness, members: &Members) {
    loop {
        readiness.set(members.count() > 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn drained(stop: impl Future<Output = ()>, jobs: &Jobs, seconds: u64) {
    stop.await;
    let idle = async {
        while jobs.running() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(seconds), idle).await.is_err() {
        tracing::warn!(seconds, "stopping with queries in hand");
    }
}

//! A key daemon's life, top to bottom: identity, master keys, listener, until it is asked to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow_flight::flight_service_server::FlightServiceServer;
use parcours_cluster::access::Access;
use parcours_cluster::flight::Narrow;
use parcours_cluster::health::{HealthPort, Readiness};
use parcours_identity::{Accepts, Listener, ServerTls};
use parcours_keys::KeyMeters;

use crate::config::Config;
use crate::metrics::{self, Counters};
use crate::release::Releases;
use crate::service::KeyDaemon;

/// A peer that is silent for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Runs a key daemon until `stop` completes.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    parcours_identity::install_crypto_provider();
    let tls = ServerTls::open(
        config.tls.server_files(),
        &config.tls.trust_domain,
        Accepts::Executors,
        "keys",
    )?;
    let signatures = tls.signatures();
    let listener = Listener::bind(config.listen.keys, tls)
        .await
        .context("the listener for executors cannot be bound")?;
    let health = HealthPort::bind(config.listen.health)
        .await
        .context("the health port cannot be bound")?;

    let access = Arc::new(Access::open(&config.access)?);
    let meters = Arc::new(KeyMeters::default());
    let releases = Releases::new(access, signatures, config.keys.open(&meters).await?);
    let counters = Arc::new(Counters::default());
    let registry = metrics::registry(&counters, meters);
    let daemon = KeyDaemon::new(Arc::new(releases), counters);
    let readiness = Readiness::default();
    readiness.set(true);
    tracing::info!(keys = %listener.local_addr(), health = %health.local_addr()?, "key daemon starts");
    let serve = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(FlightServiceServer::new(Narrow(daemon)))
        .serve_with_incoming(listener.incoming());
    tokio::select! {
        ended = serve => ended.context("the listener for executors ended")?,
        ended = health.serve(readiness, registry) => ended.context("the health port ended")?,
        () = stop => {}
    }
    tracing::info!("key daemon stopped");
    Ok(())
}

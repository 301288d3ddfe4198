//! Liveness, readiness and Prometheus metrics over plain HTTP on a port of their own. They say whether a process lives
//! and how much it does; nothing of queries or people passes here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Whether the process is ready to serve; shared between the process and its health port.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that the process is, or is no longer, ready.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Served {
    readiness: Readiness,
    registry: Registry,
}

/// A health port that answers `/livez`, `/readyz` and `/metrics` once served.
#[derive(Debug)]
pub struct HealthPort(tokio::net::TcpListener);

impl HealthPort {
    /// Binds the port; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        tokio::net::TcpListener::bind(address).await.map(Self)
    }

    /// The bound address.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers until the process ends.
    pub async fn serve(self, readiness: Readiness, registry: Registry) -> std::io::Result<()> {
        let served = Arc::new(Served { readiness, registry });
        let router = Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(served);
        axum::serve(self.0, router).await
    }
}

async fn readyz(State(served): State<Arc<Served>>) -> (StatusCode, &'static str) {
    if served.readiness.get() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(served): State<Arc<Served>>) -> Result<String, StatusCode> {
    let mut text = String::new();
    encode(&mut text, &served.registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(text)
}

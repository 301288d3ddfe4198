//! Liveness, readiness and Prometheus metrics over plain HTTP on a port of their own. They say whether a process lives
//! and how much it does; nothing of queries or people passes here. Connections are few, of one address fewer, and short: who
//! keeps them open keeps no probe out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use parcours_identity::{ArrivalLimits, Arrivals, Place};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

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
        let connections = Connections {
            tcp: self.0,
            arrivals: Arrivals::new(LIMITS),
        };
        axum::serve(connections, router).await
    }
}

/// Connections of the health port: probes and scrapes, and some beside them.
const LIMITS: ArrivalLimits = ArrivalLimits {
    unknown: 192,
    total: 256,
    per_address: 32,
    handshakes: 32,
};
/// How long a connection lasts: a probe takes milliseconds, and a scrape that keeps its connection opens another one.
const LIFETIME: Duration = Duration::from_secs(5);
/// Pause after `accept` itself fails, as it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of the health port.
struct Connections {
    tcp: tokio::net::TcpListener,
    arrivals: Arc<Arrivals>,
}

impl axum::serve::Listener for Connections {
    type Io = Short;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Short, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok((stream, address)) => {
                    // What is too much is closed, and whoever probes comes again.
                    if let Ok(place) = self.arrivals.enter(address.ip()) {
                        return (Short::new(stream, place), address);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the health port cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that ends after a time, whatever passes over it.
struct Short {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Place,
}

impl Short {
    fn new(stream: TcpStream, place: Place) -> Self {
        Self {
            stream,
            end: Box::pin(sleep(LIFETIME)),
            _place: place,
        }
    }
}

impl AsyncRead for Short {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Short {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A connection from 127.0.0.`last`.
    async fn connected(to: SocketAddr, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        socket.connect(to).await.unwrap()
    }

    #[tokio::test]
    async fn silent_connections_keep_no_probe_out() {
        let port = HealthPort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = port.local_addr().unwrap();
        tokio::spawn(port.serve(Readiness::default(), Registry::default()));
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(connected(address, 2).await);
        }
        let began = Instant::now();
        let mut probe = connected(address, 1).await;
        probe
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        probe.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("alive\n"),
            "{answer}"
        );
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        for stream in &mut silent {
            let ended = timeout(LIFETIME + Duration::from_secs(2), stream.read(&mut [0; 16])).await;
            assert!(ended.is_ok(), "a silent connection is still open");
        }
    }
}

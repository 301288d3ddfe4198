//! The demo's eyes on the wire: its own client and every executor reach the scheduler, and executors the key daemon,
//! through a relay in this process, which passes bytes on unchanged and reads their TLS framing. It holds no certificate and could not decrypt anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::settings::Listeners;
use super::tls_records::Records;
use crate::exit::Failure;

/// All relays.
pub struct Wire {
    client: Relay,
    internal: Relay,
    keys: Relay,
}

/// What was seen on one relay.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Seen {
    /// Connections that a server answered.
    pub connections: u64,
    /// Connections whose server chose TLS 1.3.
    pub tls13: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// Connections on which something was not a TLS record.
    pub strays: u64,
}

struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    tls13: AtomicU64,
    bytes: AtomicU64,
    strays: AtomicU64,
}

impl Wire {
    /// Opens a relay before each of the scheduler's two listeners and before the key daemon's.
    pub async fn open(listeners: &Listeners) -> Result<Self, Failure> {
        let client = Relay::open(listeners.client).await.context("cannot open a relay")?;
        let internal = Relay::open(listeners.internal).await.context("cannot open a relay")?;
        let keys = Relay::open(listeners.keys).await.context("cannot open a relay")?;
        Ok(Self { client, internal, keys })
    }

    /// Where the demo's client connects.
    pub fn client(&self) -> SocketAddr {
        self.client.address
    }

    /// Where executors connect.
    pub fn internal(&self) -> SocketAddr {
        self.internal.address
    }

    /// Where executors ask for keys.
    pub fn keys(&self) -> SocketAddr {
        self.keys.address
    }

    /// What was seen between executors and the key daemon.
    pub fn seen_of_keys(&self) -> Seen {
        self.keys.counts.seen()
    }

    /// What was seen between client and scheduler.
    pub fn seen_of_client(&self) -> Seen {
        self.client.counts.seen()
    }

    /// What was seen between executors and scheduler.
    pub fn seen_of_executors(&self) -> Seen {
        self.internal.counts.seen()
    }
}

impl Relay {
    async fn open(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(accept(listener, target, counts.clone()));
        Ok(Self { address, counts, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counts {
    fn seen(&self) -> Seen {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen {
            connections: load(&self.connections),
            tls13: load(&self.tls13),
            bytes: load(&self.bytes),
            strays: load(&self.strays),
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, counts: Arc<Counts>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(relay(stream, target, counts.clone()))),
            // Out of descriptors, most likely: others may close theirs.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn relay(near: TcpStream, target: SocketAddr, counts: Arc<Counts>) {
    // Nobody listens yet: the peer sees a closed connection, as it would without us.
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::join!(
        pass(near_in, far_out, &counts, false),
        pass(far_in, near_out, &counts, true)
    );
}

/// Passes one direction on until it ends; what is written is counted as it goes.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counts: &Counts, from_server: bool) {
    let mut records = Records::default();
    let mut buffer = vec![0; 64 * 1024];
    let (mut judged, mut strayed) = (!from_server, false);
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        records.take(&buffer[..length]);
        counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if !judged && records.has_begun() {
            judged = true;
            counts.connections.fetch_add(1, Ordering::Relaxed);
            counts
                .tls13
                .fetch_add(u64::from(records.chose_tls13()), Ordering::Relaxed);
        }
        if records.stray && !strayed {
            strayed = true;
            counts.strays.fetch_add(1, Ordering::Relaxed);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

//! A listening socket that yields only admitted connections. Handshakes run beside each other, each within a time limit and
//! so many of one address (see [`crate::arrivals`]); whoever fails is logged with the reason, so many lines a minute, and
//! never disturbs the others or ends the stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::arrivals::{ArrivalLimits, Arrivals, Place};
use crate::guard::{Guarded, Standing};
use crate::handshake::{ALPN, TIME_LIMIT, no_h2, reason};
use crate::refusal_log::{RefusalLog, Told};
use crate::server::{ServerHandshake, ServerTls};
use crate::verifier::{Seen, Verifier};
use crate::{Connection, IdentityError, Purpose};

/// How long a peer may take to send its first byte: one that only holds a connection open has no longer.
const FIRST_BYTE: Duration = Duration::from_secs(2);
/// Admitted connections that wait for the server to take them.
const WAITING_MAX: usize = 64;
/// Pause after `accept` itself fails, as it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a refused peer may take to read the alert.
const FAREWELL: Duration = Duration::from_secs(1);

/// A socket that accepts TLS connections of the peers its [`ServerTls`] admits.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: ServerTls,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, tls: ServerTls) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Bind { address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, tls, address })
    }

    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The admitted connections, for `serve_with_incoming`. Items are never errors; the socket closes when the stream is
    /// dropped, while connections already yielded live on. Must be called inside a runtime.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send + use<> {
        let (admitted, stream) = mpsc::channel(WAITING_MAX);
        tokio::spawn(accept(self, admitted));
        ReceiverStream::new(stream)
    }
}

/// A port, and what is said of those that it refuses.
struct Port {
    tls: ServerTls,
    log: RefusalLog,
}

/// Accepts until the receiver is gone. Dropping the set of handshakes then ends those under way.
async fn accept(listener: Listener, admitted: mpsc::Sender<io::Result<Connection>>) {
    let Listener { tcp, tls, .. } = listener;
    let log = RefusalLog::default();
    let port = Arc::new(Port { tls, log });
    let arrivals = Arrivals::new(ArrivalLimits::default());
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            Some(_) = handshakes.join_next() => continue,
            () = admitted.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::error!(listener = port.tls.listener(), %error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match arrivals.enter(address.ip()) {
            Ok(place) => {
                let (port, admitted) = (Arc::clone(&port), admitted.clone());
                handshakes.spawn(async move {
                    if let Some(connection) = port.welcome(stream, address, place).await {
                        let _ = admitted.send(Ok(connection)).await;
                    }
                });
            }
            Err(crowded) => port.refused(address, None, &crowded.to_string()),
        }
    }
}

impl Port {
    /// Shakes hands with one peer; the refused are logged here.
    async fn welcome(&self, stream: TcpStream, address: SocketAddr, place: Place) -> Option<Connection> {
        let handshake = match self.tls.handshake() {
            Ok(handshake) => handshake,
            Err(error) => {
                tracing::error!(listener = self.tls.listener(), %error, "cannot configure tls");
                return None;
            }
        };
        let shaken = timeout(TIME_LIMIT, shake_in_turn(&handshake, stream, &place)).await;
        let shaken = shaken.unwrap_or_else(|_| Err(format!("no handshake within {} s", TIME_LIMIT.as_secs())));
        match shaken.and_then(|stream| admit(&self.tls, &handshake, stream, address)) {
            Ok(connection) => {
                place.admitted();
                Some(connection)
            }
            Err(reason) => {
                self.refused(address, handshake.verifier.seen(), &reason);
                None
            }
        }
    }

    fn refused(&self, address: SocketAddr, seen: Option<Seen>, reason: &str) {
        let claimed = seen
            .as_ref()
            .and_then(|seen| seen.claimed.as_ref())
            .map(tracing::field::display);
        let serial = seen.as_ref().map(|seen| seen.serial.as_str());
        let listener = self.tls.listener();
        let told = self.log.tell(reason, Instant::now());
        if let Told::Line {
            left_out: left_out @ 1..,
        } = told
        {
            tracing::warn!(listener, reason, left_out, "refusals for this reason were not logged");
        }
        if told != Told::Nothing {
            tracing::warn!(listener, peer = %address, claimed, serial, reason, "connection refused");
        }
        if told == Told::Last {
            tracing::warn!(
                listener,
                reason,
                "further refusals for this reason are counted, and logged in a minute"
            );
        }
    }
}

/// Shakes hands once the peer has said something and its address has a turn.
async fn shake_in_turn(
    handshake: &ServerHandshake,
    stream: TcpStream,
    place: &Place,
) -> Result<TlsStream<TcpStream>, String> {
    match timeout(FIRST_BYTE, stream.peek(&mut [0])).await {
        Err(_) => return Err(format!("no first byte within {} s", FIRST_BYTE.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(_)) => {}
    }
    let _turn = place.turn().await;
    shake(handshake, stream).await
}

async fn shake(handshake: &ServerHandshake, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let acceptor = TlsAcceptor::from(handshake.config.clone());
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => {
            tokio::spawn(farewell(stream));
            Err(refusal(&handshake.verifier).unwrap_or_else(|| reason(&error)))
        }
    }
}

/// Lets the peer read the alert: closing at once, with its first request unread, would reset the connection instead.
async fn farewell(mut stream: TcpStream) {
    let leave = async {
        let mut unread = [0; 4096];
        stream.shutdown().await?;
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, leave).await;
}

fn admit(
    tls: &ServerTls,
    handshake: &ServerHandshake,
    stream: TlsStream<TcpStream>,
    address: SocketAddr,
) -> Result<Connection, String> {
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        return Err(no_h2());
    }
    let chain = session.peer_certificates().unwrap_or_default();
    let chain = chain
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let verdict = handshake.verifier.seen().map(|seen| seen.verdict);
    let Some(Ok(principal)) = verdict else {
        return Err("no certificate".into());
    };
    let standing = Standing {
        material: tls.material().clone(),
        chain,
        purpose: Purpose::Client,
        generation: handshake.generation,
        listener: tls.listener(),
        peer: format!("{principal} at {address}"),
    };
    tracing::debug!(listener = tls.listener(), peer = %address, %principal, "connection admitted");
    Ok(Connection::new(Guarded::new(stream, standing), principal, address))
}

fn refusal(verifier: &Verifier) -> Option<String> {
    verifier.seen()?.verdict.err().map(|refusal| refusal.to_string())
}

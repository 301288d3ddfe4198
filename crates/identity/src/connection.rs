//! An admitted connection and the peer behind it: what a service reads from a request to know who asks.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Extensions, Request, Status};

use crate::Principal;
use crate::guard::Guarded;

/// Who is at the other end of an admitted connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The principal its certificate names; verified, and of a kind this listener admits.
    pub principal: Principal,
    /// Where it connects from.
    pub address: SocketAddr,
    /// Whether it is still there.
    pub presence: Presence,
}

/// Whether a connection is still open, for those who keep something for the peer at its other end. By default it is not.
#[derive(Clone, Debug, Default)]
pub struct Presence(Weak<()>);

impl Presence {
    /// Whether the connection is open.
    pub fn is_here(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A connection whose peer has been admitted. It breaks by itself when the peer's certificate expires or is revoked.
pub struct Connection {
    stream: Guarded<TlsStream<TcpStream>>,
    peer: Peer,
    /// Gone with the connection; what every [`Presence`] looks at.
    _here: Arc<()>,
}

impl Connection {
    pub(crate) fn new(stream: Guarded<TlsStream<TcpStream>>, principal: Principal, address: SocketAddr) -> Self {
        let here = Arc::new(());
        let presence = Presence(Arc::downgrade(&here));
        let peer = Peer {
            principal,
            address,
            presence,
        };
        Self {
            stream,
            peer,
            _here: here,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// The peer that sent `request`; `Unauthenticated` if the request did not come through a [`crate::Listener`].
// A Status is large, but it is what every handler returns.
#[allow(clippy::result_large_err)]
pub fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    peer_of(request.extensions())
}

/// The same as [`peer`], where only a request's extensions are at hand.
#[allow(clippy::result_large_err)]
pub fn peer_of(extensions: &Extensions) -> Result<Peer, Status> {
    extensions
        .get::<Peer>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("no certificate on this connection"))
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

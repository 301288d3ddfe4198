//! Keeps an open connection only as long as its peer would be admitted anew. Once a second it looks whether the peer's
//! certificate has expired or the trust has changed; then the stream breaks, in whichever direction it is used.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::certificate::Leaf;
use crate::material::Material;
use crate::{Purpose, Refusal};

/// How often an open connection is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How old the answer may be when many connections look at the same files.
const FRESH: Duration = Duration::from_millis(500);

/// What was believed of a peer when it was admitted.
pub(crate) struct Standing {
    pub material: Arc<Material>,
    /// The peer's chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the peer used it for.
    pub purpose: Purpose,
    /// The generation of the trust it was verified with.
    pub generation: u64,
    /// The end whose log reports the cut, such as `client` or `internal`.
    pub listener: &'static str,
    /// The peer's name and address, for the log.
    pub peer: String,
}

impl Standing {
    /// Whether the peer would still be admitted.
    fn review(&mut self) -> Result<(), Refusal> {
        let (leaf, intermediates) = self.chain.split_first().ok_or(Refusal::Malformed)?;
        let now = UnixTime::now();
        let trust = self.material.trust_within(FRESH);
        if trust.generation != self.generation {
            self.material
                .examine(&trust.value, leaf, intermediates, self.purpose, now)?;
            self.generation = trust.generation;
        }
        let not_after = Leaf::read(leaf)?.not_after;
        if i64::try_from(now.as_secs()).is_ok_and(|now| now <= not_after) {
            Ok(())
        } else {
            Err(Refusal::Expired)
        }
    }
}

/// A stream that breaks when its peer's standing is lost.
pub(crate) struct Guarded<S> {
    stream: S,
    standing: Standing,
    tick: Interval,
    lost: Option<Refusal>,
}

impl<S> Guarded<S> {
    /// Guards `stream`; must be called inside a runtime.
    pub fn new(stream: S, standing: Standing) -> Self {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            stream,
            standing,
            tick,
            lost: None,
        }
    }

    fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.lost.is_none() && self.tick.poll_tick(cx).is_ready() {
            if let Err(refusal) = self.standing.review() {
                let Standing { listener, peer, .. } = &self.standing;
                tracing::warn!(listener, peer, reason = %refusal, "open connection cut");
                self.lost = Some(refusal);
            }
        }
        match &self.lost {
            Some(refusal) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, refusal.clone())),
            None => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.watch(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.watch(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx)?;
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
        self.watch(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

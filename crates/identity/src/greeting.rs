//! A dialled connection whose server has spoken. In TLS 1.3 our handshake is over before the server has judged our
//! certificate; its refusal arrives in place of its first bytes. Waiting for these (an HTTP/2 server sends its settings
//! at once) turns a connection that would break at some later request into an error with a reason.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Room for the server's first words; the rest is read later.
const GREETING_MAX: usize = 512;

/// A stream of which the first bytes were read ahead.
pub(crate) struct Greeted<S> {
    stream: S,
    greeting: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin> Greeted<S> {
    /// Waits for the server's first bytes.
    pub async fn wait(mut stream: S) -> io::Result<Self> {
        let mut greeting = vec![0; GREETING_MAX];
        let read = stream.read(&mut greeting).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        greeting.truncate(read);
        Ok(Self {
            stream,
            greeting,
            taken: 0,
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ahead = &self.greeting[self.taken..];
        if ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let fits = ahead.len().min(buf.remaining());
        buf.put_slice(&ahead[..fits]);
        self.taken += fits;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
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

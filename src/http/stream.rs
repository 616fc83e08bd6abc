//! The bytes of a connection: tells when some arrive, and leaves without losing the last answer.
//!
//! Closing a socket while the peer is still sending makes the system reset the connection, and a
//! reset may overtake the answer that was just written. So after an answer to a request that was
//! not read to its end, only the writing side is closed, and what still comes is thrown away for a
//! moment (RFC 9112, section 9.6).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::activity::Activity;

/// The bytes of a connection as hyper wants them.
pub(super) struct Stream {
    wire: TokioIo<Box<dyn Wire>>,
    activity: Activity,
    leaving: Leaving,
    lingering: Option<Lingering>,
}

impl Stream {
    pub(super) fn new(wire: Box<dyn Wire>, activity: Activity, leaving: Leaving) -> Self {
        Self { wire: TokioIo::new(wire), activity, leaving, lingering: None }
    }
}

/// What carries HTTP: TCP, or TLS over it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A TCP stream of which some bytes were read already.
#[derive(Debug)]
pub(super) struct Begun {
    read: Bytes,
    tcp: TcpStream,
}

impl Begun {
    pub(super) fn new(read: Bytes, tcp: TcpStream) -> Self {
        Self { read, tcp }
    }
}

/// Whether the peer may still be sending when the connection ends. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaving(Arc<AtomicBool>);

impl Leaving {
    pub(super) fn expect_more(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn expects_more(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.wire).poll_read(cx, into))?;
        // The end of the stream counts as well; it ends the connection anyway.
        self.activity.bytes();
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { wire, leaving, lingering, .. } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *wire).poll_shutdown(cx))?;
            if !leaving.expects_more() {
                return Poll::Ready(Ok(()));
            }
        }
        lingering.get_or_insert_with(Lingering::new).poll_discard(wire, cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, slices)
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, into);
        }
        let count = self.read.len().min(into.remaining());
        into.put_slice(self.read.get(..count).unwrap_or_default());
        self.read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }
}

#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Lingering {
    fn new() -> Self {
        Self { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES }
    }

    /// Ready when the peer ended its side, or has had time or bytes enough.
    fn poll_discard(
        &mut self,
        wire: &mut TokioIo<Box<dyn Wire>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut scratch = [0; 8 * 1024];
        while self.left > 0 && self.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *wire).poll_read(cx, buffer.unfilled())) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buffer.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

/// A peer that reads its answer stops sending within a round trip or two.
const LINGER: Duration = Duration::from_secs(1);

/// A stranger's bytes are worth no more of our time than this.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

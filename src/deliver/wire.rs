//! One connection to the receiver: plain or TLS, written in large pieces, its read side watched.
//!
//! The receiver has nothing to say in this protocol but the end of its stream. What it says all
//! the same is read, because the end can only be seen behind it, and dropped, up to a limit (I7).

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::ProtocolVersion;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

use super::outstanding::outstanding;
use crate::reason::Reason;

/// An open connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    generation: u64,
    opened: Instant,
    heard: usize,
}

impl Wire {
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self::new(Stream::Plain(socket), 0)
    }

    /// Made with the certificates of this generation.
    pub(super) fn tls(stream: TlsStream<TcpStream>, generation: u64) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), generation)
    }

    fn new(stream: Stream, generation: u64) -> Self {
        Self { stream, generation, opened: Instant::now(), heard: 0 }
    }

    /// Of the certificates it was made with.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes everything and hands it to the kernel.
    ///
    /// The read side is watched meanwhile: a receiver that ended its stream reads no further,
    /// whatever its kernel still takes.
    ///
    /// # Errors
    ///
    /// [`Reason::ConnectionLost`] when the receiver is gone, [`Reason::Stalled`] when it took
    /// nothing for `patience`. The wire is of no use then.
    pub(super) async fn write(
        &mut self,
        mut bytes: &[u8],
        patience: Duration,
    ) -> Result<(), Reason> {
        while !bytes.is_empty() {
            let some = poll_fn(|cx| {
                if self.poll_ended(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                self.stream.io().poll_write(cx, bytes)
            });
            let written = progress(some, patience).await?;
            if written == 0 {
                return Err(Reason::ConnectionLost);
            }
            bytes = &bytes[written..];
        }
        let flushed = poll_fn(|cx| {
            if self.poll_ended(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            self.stream.io().poll_flush(cx)
        });
        progress(flushed, patience).await
    }

    /// Ends our side of the stream: with TLS `close_notify`, then FIN.
    ///
    /// # Errors
    ///
    /// As [`Self::write`]. In particular [`Reason::ConnectionLost`] when the receiver ended its
    /// own side first.
    pub(super) async fn end(&mut self, patience: Duration) -> Result<(), Reason> {
        let ended = poll_fn(|cx| {
            if self.poll_ended(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            // The look above sees what the runtime has been told; this one asks the kernel. What
            // is there wakes this task, so that the look comes again.
            match self.unheard() {
                Ok(true) => Poll::Pending,
                Ok(false) => self.stream.io().poll_shutdown(cx),
                Err(error) => Poll::Ready(Err(error)),
            }
        });
        progress(ended, patience).await
    }

    /// Leaves politely when nothing waits for a confirmation. Does not wait for the receiver.
    pub(super) async fn leave(mut self) {
        // Whether it worked changes nothing for anyone.
        self.end(FAREWELL).await.ok();
    }

    /// Resolves when the receiver ends its stream or the connection breaks. Cancel safe.
    pub(super) async fn ended(&mut self) -> Ending {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    /// Whether the receiver has ended its stream or the connection is broken. Does not wait.
    pub(super) async fn has_ended(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_ended(cx).is_ready())).await
    }

    /// Looks whether the receiver has ended its stream; costs a system call only when something
    /// came in since the last look.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut space = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(self.stream.io().poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Ending::Closed),
                Ok(()) => self.heard += buffer.filled().len(),
                // TLS calls it so when the FIN comes without a close_notify. Some receivers, and
                // most that die of a signal, leave that way.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ending::Closed);
                }
                Err(error) => return Poll::Ready(Ending::Failed(error)),
            }
            if self.heard > MOST_HEARD {
                let error = io::Error::new(io::ErrorKind::InvalidData, "not a syslog receiver");
                return Poll::Ready(Ending::Failed(error));
            }
        }
    }

    /// Resolves with the end of the TCP stream itself, which with TLS may come after
    /// `close_notify`.
    pub(super) async fn fin(&mut self) -> Ending {
        if let Ending::Failed(error) = self.ended().await {
            return Ending::Failed(error);
        }
        poll_fn(|cx| {
            let mut space = [0; 1024];
            let mut heard = 0;
            loop {
                let mut buffer = ReadBuf::new(&mut space);
                match ready!(Pin::new(self.stream.tcp_mut()).poll_read(cx, &mut buffer)) {
                    Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Ending::Closed),
                    Ok(()) if heard > MOST_HEARD => {
                        let kind = io::ErrorKind::InvalidData;
                        return Poll::Ready(Ending::Failed(kind.into()));
                    }
                    Ok(()) => heard += buffer.filled().len(),
                    Err(error) => return Poll::Ready(Ending::Failed(error)),
                }
            }
        })
        .await
    }

    /// Bytes the peer's TCP has not acknowledged. `None` when the connection is broken.
    pub(super) fn outstanding(&self) -> Option<u64> {
        match self.stream.tcp().take_error() {
            Ok(None) => outstanding(self.stream.tcp()).ok(),
            _ => None,
        }
    }

    /// Whether the kernel holds something from the receiver that was not read yet.
    ///
    /// # Errors
    ///
    /// When that something is the end of its stream, or a reset.
    fn unheard(&self) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit()];
        match SockRef::from(self.stream.tcp()).peek(&mut space) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is TLS on this wire.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether the receiver is known to have accepted us. In TLS 1.3 our side of the handshake
    /// ends before the server has looked at our certificate; its tickets come after that.
    pub(super) fn is_welcome(&self) -> bool {
        let Stream::Tls(stream) = &self.stream else {
            return true;
        };
        let (_, session) = stream.get_ref();
        session.protocol_version() != Some(ProtocolVersion::TLSv1_3)
            || session.tls13_tickets_received() > 0
    }

    /// For how long the connection has been open.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// How the receiver's side came to its end.
#[derive(Debug)]
pub(super) enum Ending {
    /// It ended its stream: `close_notify` or FIN.
    Closed,
    /// Reset, or a breach of the protocol.
    Failed(io::Error),
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn io(&mut self) -> Pin<&mut dyn Duplex> {
        let io: &mut dyn Duplex = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut **stream,
        };
        Pin::new(io)
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Waits for one step of writing. An error of the connection is not worth more than its reason:
/// the next dial tells the operator what is wrong.
async fn progress<T>(
    step: impl Future<Output = io::Result<T>>,
    patience: Duration,
) -> Result<T, Reason> {
    match timeout(patience, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the connection broke while writing");
            Err(Reason::ConnectionLost)
        }
        Err(_elapsed) => Err(Reason::Stalled),
    }
}

/// A receiver that talks more than this is none. TLS handshake messages do not count.
const MOST_HEARD: usize = 64 * 1024;

/// Long enough for an alert and a FIN to reach the kernel, short enough not to hold up an end.
const FAREWELL: Duration = Duration::from_secs(1);

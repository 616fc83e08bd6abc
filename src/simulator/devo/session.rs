//! Sessions of the receiver: read, count, and end the way the mode says.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{DevoMode, Receiver, arrivals::Gathered, framing::Framing};
use crate::simulator::{locked, tasks::Tasks};

/// Accepts sessions until the task is ended.
pub(super) async fn serve(receiver: Arc<Receiver>, listener: TcpListener, tasks: Tasks) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let receiver = receiver.clone();
        let acceptor = locked(&receiver.acceptor).clone();
        tasks.spawn(async move { receiver.session(stream, acceptor).await });
    }
}

impl Receiver {
    async fn session(&self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        if *self.mode.borrow() == DevoMode::Refuse {
            reset(&stream);
            self.change(|arrivals| arrivals.sessions().refused += 1);
            return;
        }
        match acceptor {
            None => {
                let mut stream = stream;
                let ending = self.receive(&mut stream).await;
                self.end(ending, &mut stream, reset).await;
            }
            Some(acceptor) => {
                let handshake = time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
                let Ok(Ok(mut stream)) = handshake else {
                    self.change(|arrivals| arrivals.sessions().refused += 1);
                    return;
                };
                let shown = stream.get_ref().1.peer_certificates();
                *locked(&self.client) = shown.and_then(<[_]>::first).map(|leaf| leaf.to_vec());
                let ending = self.receive(&mut stream).await;
                self.end(ending, &mut stream, |stream| reset(stream.get_ref().0)).await;
            }
        }
    }

    /// Reads until the session is over, and says in which way.
    async fn receive(&self, stream: &mut (impl AsyncRead + Unpin)) -> Ending {
        let mut mode = self.mode.subscribe();
        let keep_lines = self.change(|arrivals| {
            arrivals.sessions().opened += 1;
            arrivals.keeps_lines()
        });
        let mut gathered = Gathered::new(keep_lines);
        let mut framing = Framing::default();
        let mut buffer = vec![0; BUFFER];
        let mut read = 0_u64;
        let mut lost = false;
        loop {
            let present = *mode.borrow_and_update();
            // What was lost is never confirmed, whatever the mode has become.
            if lost && !matches!(present, DevoMode::ResetAfter(_)) {
                return Ending::Reset;
            }
            let length = match turn(present, &mut mode, stream.read(&mut buffer)).await {
                Turn::ModeChanged => continue,
                Turn::Idle => return Ending::Close,
                Turn::Read(Err(_)) => return Ending::Broken,
                Turn::Read(Ok(0)) if lost => return Ending::Reset,
                Turn::Read(Ok(0)) if framing.is_complete() => return Ending::Complete,
                Turn::Read(Ok(0)) => return Ending::Broken,
                Turn::Read(Ok(length)) => length,
            };
            read += length as u64;
            let before = framing.members;
            let framed = framing.take(&buffer[..length], |line| gathered.line(line));
            if let DevoMode::ResetAfter(bytes) = *mode.borrow() {
                gathered.discard();
                lost = true;
                if read >= bytes {
                    return Ending::Reset;
                }
                continue;
            }
            self.change(|arrivals| {
                arrivals.members(framing.members - before);
                arrivals.add(&mut gathered);
            });
            if framed.is_err() {
                return Ending::Broken;
            }
        }
    }

    async fn end<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        ending: Ending,
        stream: &mut S,
        reset: impl FnOnce(&S),
    ) {
        match ending {
            Ending::Complete => {
                self.change(|arrivals| arrivals.sessions().ended += 1);
                let mut mode = self.mode.subscribe();
                let closes = |mode: &DevoMode| *mode != DevoMode::NeverClose;
                let may_close = mode.wait_for(closes).await.is_ok();
                if may_close {
                    // Counted first: whoever sees the confirmation finds it counted.
                    self.change(|arrivals| arrivals.sessions().confirmed += 1);
                    close(stream).await;
                }
            }
            Ending::Close => close(stream).await,
            Ending::Broken => self.change(|arrivals| arrivals.sessions().broken += 1),
            Ending::Reset => {
                self.change(|arrivals| arrivals.sessions().broken += 1);
                reset(stream);
            }
        }
    }
}

enum Ending {
    /// Read broken, or the stream ended within a line.
    Broken,
    /// Idle for too long: we end first.
    Close,
    /// The peer ended its stream in order.
    Complete,
    Reset,
}

enum Turn {
    Idle,
    ModeChanged,
    Read(io::Result<usize>),
}

/// One read as the mode allows it, given up when the mode changes. Nothing is lost then: a read
/// that was cut off has read nothing.
async fn turn(
    present: DevoMode,
    mode: &mut watch::Receiver<DevoMode>,
    read: impl Future<Output = io::Result<usize>>,
) -> Turn {
    let idle = match present {
        DevoMode::CloseIdle(idle) => idle,
        _ => Duration::MAX,
    };
    let stalled = present == DevoMode::Stall;
    tokio::select! {
        read = read, if !stalled => Turn::Read(read),
        _ = mode.changed() => Turn::ModeChanged,
        () = time::sleep(idle), if idle < Duration::MAX => Turn::Idle,
    }
}

/// Ends our stream in order, and waits a moment for the peer so that the kernel does not answer
/// its last bytes with a reset.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let ended = time::timeout(PARTING, async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!(%error, "a session to the simulator ended out of order");
    }
}

fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection cannot be reset");
    }
}

const BUFFER: usize = 256 * 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const HANDSHAKE: Duration = Duration::from_secs(10);

const PARTING: Duration = Duration::from_secs(5);

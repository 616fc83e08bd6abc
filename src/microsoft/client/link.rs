//! Connections to the Management Activity API, each driven by whoever asks on it.
//!
//! Gigabytes come in here, and what they cost beside TLS is hand-overs: from the socket to a task
//! that reads it, from there to the one that wants the bytes, each with a wake-up, each for 16 KiB.
//! So a connection has no task of its own. The request, the bytes of the answer and the splitter
//! that takes them run in one task, and a socket is read only while somebody wants what comes, so
//! that nothing piles up behind a slow reader (I7).
//!
//! HTTP/1.1, one answer at a time: a blob that waits for Devo holds its own connection and nobody
//! else's. A connection whose answer was read to its end is kept for the next request, for a short
//! time. Nothing is asked again unseen, for every request is counted by the pace.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

mod dial;

pub use dial::DialError;
pub(super) use dial::Dialer;
use dial::Socket;

/// Asks one host, over as many connections as there are answers at a time.
#[derive(Clone, Debug)]
pub(super) struct Links(Arc<Shared>);

impl Links {
    /// Has no connection yet.
    pub(super) fn new(dialer: Dialer) -> Self {
        Self(Arc::new(Shared {
            dialer,
            dialling: Semaphore::new(1),
            idle: Mutex::default(),
            kept: Notify::new(),
        }))
    }

    /// Asks, and gives the answer as soon as it begins. Cancel safe in that a request that was given
    /// up goes with its connection.
    pub(super) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, LinkError> {
        let mut link = self.link().await?;
        let answer = link.ask(request).await?;
        Ok(answer.map(|body| AnswerBody { body, link: Some(link), links: self.clone() }))
    }

    /// A connection that is free, or becomes so while no other may be dialled, or a new one.
    async fn link(&self) -> Result<Link, LinkError> {
        // Whoever looks in vain keeps its place among those who wait to dial.
        let mut turn = pin!(self.0.dialling.acquire());
        loop {
            // Listens before it looks, so that nothing is kept unheard in between.
            let mut kept = pin!(self.0.kept.notified());
            kept.as_mut().enable();
            if let Some(link) = self.idle().await {
                return Ok(link);
            }
            tokio::select! {
                biased;
                () = kept => {}
                turn = &mut turn => {
                    return self.dial(turn.expect("it is never closed")).await;
                }
            }
        }
    }

    /// A new connection. Another one's turn comes when it is there, or takes long.
    async fn dial(&self, turn: SemaphorePermit<'_>) -> Result<Link, LinkError> {
        let mut link = pin!(async { Link::new(self.0.dialer.dial().await?).await });
        if let Ok(link) = timeout(TURN, &mut link).await {
            return link;
        }
        drop(turn);
        link.await
    }

    /// A connection that is open and free.
    async fn idle(&self) -> Option<Link> {
        loop {
            let mut link = self.pop(Instant::now())?;
            if link.is_free().await {
                return Some(link);
            }
        }
    }

    /// The connection used last, so that those no longer needed grow old. Those too old are dropped.
    fn pop(&self, now: Instant) -> Option<Link> {
        let mut idle = self.0.idle();
        idle.retain(|(_, since)| now.duration_since(*since) < IDLE);
        idle.pop().map(|(link, _)| link)
    }

    fn keep(&self, link: Link) {
        let mut idle = self.0.idle();
        if idle.len() >= MOST_IDLE {
            idle.remove(0);
        }
        idle.push((link, Instant::now()));
        self.0.kept.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    /// Whose turn it is to dial.
    dialling: Semaphore,
    /// Open connections on which nothing is asked, and since when.
    idle: Mutex<Vec<(Link, Instant)>>,
    /// Tells one who waits of the last of them.
    kept: Notify,
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Link, Instant)>> {
        self.idle.lock().expect("no holder of this lock panics")
    }
}

/// An answer's body. Read to its end it gives the connection back; dropped before, it closes it.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Incoming,
    link: Option<Link>,
    links: Links,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending()
            && let Some(link) = &mut this.link
        {
            // What it reads is there at the next look. What it fails with, the body tells as well.
            link.drive(cx);
            frame = Pin::new(&mut this.body).poll_frame(cx);
        }
        if let Poll::Ready(None) = frame
            && let Some(mut link) = this.link.take()
        {
            link.drive(cx);
            if link.sender.is_ready() {
                this.links.keep(link);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // Only the end itself gives the connection back.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One connection.
#[derive(Debug)]
struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None when it is over.
    driver: Option<Pin<Box<Driver>>>,
}

impl Link {
    async fn new(socket: Socket) -> Result<Self, LinkError> {
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_AT_ONCE))
            .handshake(TokioIo::new(socket))
            .await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, LinkError> {
        let mut answer = std::pin::pin!(self.sender.send_request(request));
        let answer = poll_fn(|cx| {
            drive(&mut self.driver, cx);
            answer.as_mut().poll(cx)
        });
        Ok(answer.await?)
    }

    /// Whether something can be asked. The other side may have closed it while nobody looked.
    async fn is_free(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(self.sender.is_ready())
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }
}

/// What reads and writes.
type Driver = http1::Connection<TokioIo<Socket>, Full<Bytes>>;

/// Reads and writes what can be. An end, good or bad, shows in what was asked.
fn drive(driver: &mut Option<Pin<Box<Driver>>>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// What HTTP cannot ask for.
    #[error("the address cannot be asked")]
    Address,
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke, or what came over it is no HTTP.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
}

/// Below the minutes after which a balancer closes what is silent.
const IDLE: Duration = Duration::from_secs(60);

/// Connections are opened one after the other: when much is to be asked all at once, what is
/// answered first makes room before everybody has shaken hands, and who comes later resumes what the
/// first agreed on. One who gets no answer holds up the next for no longer than this.
const TURN: Duration = Duration::from_millis(300);

/// As many as blobs are fetched at a time by default, and some for listings.
const MOST_IDLE: usize = 64;

/// Large enough that system calls and hand-overs cost nothing beside the bytes, small enough that
/// many connections stay a few megabytes.
const READ_AT_ONCE: usize = 64 * 1024;

#[cfg(test)]
mod tests;

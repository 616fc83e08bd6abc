//! One connection: the protocol's limits, the watch over its time, and its way out.

use std::{
    convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc, task::Context,
    task::Poll, time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use hyper::{
    Method, Request, Response, Version,
    body::{Frame, Incoming, SizeHint},
    header::{CONNECTION, CONTENT_LENGTH},
    service::service_fn,
};
use hyper_util::{
    rt::TokioTimer,
    server::{conn::auto::Builder, graceful::Watcher},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    Front, Limits, TakenBack,
    activity::Activity,
    door::Guest,
    metrics::Ending,
    peer::Peer,
    proxy,
    stream::{Begun, Leaving, Stream, Wire},
};
use crate::shutdown::Shutdown;

/// Makes connections of streams.
#[derive(Clone, Debug)]
pub(super) struct Server {
    builder: Builder<Requests>,
    requests: TaskTracker,
    front: Arc<Front>,
    limits: Limits,
    stop: Shutdown,
}

/// A connection that was given a place.
pub(super) struct Accepted {
    pub(super) tcp: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) guest: Guest,
}

impl Server {
    pub(super) fn new(limits: Limits, front: Arc<Front>, stop: Shutdown) -> Self {
        let requests = TaskTracker::new();
        let mut builder = Builder::new(Requests(requests.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            // `Activity` has the deadlines of heads, and other ones for idle connections.
            .header_read_timeout(None)
            // Without this, a client that closes right after its last byte takes with it what it
            // has sent, depending on which of the two is noticed first.
            .half_close(true)
            .max_buf_size(limits.max_head);
        let max_resets = usize::try_from(limits.max_resets).ok();
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.max_streams)
            .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
            // Streams taken back before we looked at them, and those we had to break off.
            .max_pending_accept_reset_streams(max_resets)
            .max_local_error_reset_streams(max_resets)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { builder, requests, front, limits, stop }
    }

    /// Serves one connection until its peer, a deadline, the door or the watcher ends it.
    pub(super) fn serve<S, F, B>(
        &self,
        accepted: Accepted,
        service: S,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + use<S, F, B>
    where
        S: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: super::Body,
    {
        let server = self.clone();
        let Accepted { tcp, peer, guest } = accepted;
        let guest = Arc::new(guest);
        async move {
            let activity = Activity::new(server.limits);
            // Polled only when one of them was woken: the connection is woken several times for each
            // request.
            let mut cut = FuturesUnordered::from_iter([
                activity.overdue().boxed(),
                guest.displaced().map(|()| Ending::Displaced).boxed(),
            ]);
            let ending = tokio::select! {
                biased;
                ending = server.run((tcp, peer, guest.clone()), &activity, service, watcher) => ending,
                Some(ending) = cut.next() => ending,
            };
            tracing::debug!(outcome = ending.as_str(), "connection ended");
            server.front.ended(ending);
        }
    }

    async fn run<S, F, B>(
        &self,
        (tcp, peer, guest): (TcpStream, SocketAddr, Arc<Guest>),
        activity: &Activity,
        service: S,
        watcher: Watcher,
    ) -> Ending
    where
        S: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: super::Body,
    {
        let opened = tokio::select! {
            opened = self.open(tcp, peer, &guest) => opened,
            // Nobody was promised anything yet.
            () = self.stop.requested() => return Ending::Served,
        };
        let (wire, peer) = match opened {
            Ok(opened) => opened,
            Err(ending) => return ending,
        };
        activity.opened();
        let leaving = Leaving::default();
        let stream = Stream::new(wire, activity.clone(), leaving.clone());
        let (answering, peer) = (activity.clone(), Peer::new(peer.ip(), guest));
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = answering.request(request.version());
            let (leaving, taking) = (leaving.clone(), answering.clone());
            let (version, method) = (request.version(), request.method().clone());
            // Some kilobytes, which hyper would move to where it keeps them.
            let answer = Box::pin(service(peer.clone(), request));
            async move {
                let answer = finish(answer.await, version, &method, &leaving);
                let answer = answer.map(|body| Taken { body, activity: taking });
                if answer.extensions().get::<TakenBack>().is_none() {
                    busy.answered();
                }
                Ok::<_, Infallible>(answer)
            }
        });
        match watcher.watch(self.builder.serve_connection(stream, service)).await {
            Ok(()) => Ending::Served,
            Err(error) => {
                tracing::debug!(error = &*error, "connection failed");
                Ending::Failed
            }
        }
    }

    /// What comes before HTTP: a proxy's header, and TLS.
    async fn open(
        &self,
        mut tcp: TcpStream,
        mut peer: SocketAddr,
        guest: &Guest,
    ) -> Result<(Box<dyn Wire>, SocketAddr), Ending> {
        // Answers are small and complete; waiting for more to send only delays them.
        drop(tcp.set_nodelay(true));
        let mut read = Bytes::new();
        if self.front.is_proxy(peer.ip()) {
            let header = proxy::read(&mut tcp, self.front.proxy_header).await;
            let (source, rest) = header.map_err(|_| Ending::ProxyHeader)?;
            peer = source.unwrap_or(peer);
            read = rest;
            if !guest.settle(self.front.caller(peer.ip())) {
                return Err(Ending::Full);
            }
        }
        let tcp = Begun::new(read, tcp);
        let Some(tls) = &self.front.tls else {
            return Ok((Box::new(tcp), peer));
        };
        match timeout(self.limits.tls_timeout, tls.accept(tcp)).await {
            Ok(Ok(tls)) => Ok((Box::new(tls), peer)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                Err(Ending::TlsFailed)
            }
            Err(_) => Err(Ending::TimedOut),
        }
    }

    /// Resolves when no request of any HTTP/2 connection is left. Cancel safe.
    pub(super) async fn finished(&self) {
        self.requests.close();
        self.requests.wait().await;
    }
}

/// Where hyper runs the requests of HTTP/2 connections. They end with their connection.
#[derive(Clone, Debug)]
struct Requests(TaskTracker);

impl<F> hyper::rt::Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        drop(self.0.spawn(request));
    }
}

/// Writes into the answer what hyper leaves to us.
fn finish<B: super::Body>(
    mut answer: Response<B>,
    version: Version,
    method: &Method,
    leaving: &Leaving,
) -> Response<B> {
    // hyper adds no length of zero to an answer to HEAD, nor to any on HTTP/2.
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    if version == Version::HTTP_2 {
        // There is no such header there, and streams that end early do not harm the others.
        answer.headers_mut().remove(CONNECTION);
        // On HTTP/1.1 hyper keeps the body back itself.
        if *method == Method::HEAD {
            *answer.body_mut() = B::default();
        }
    } else if answer.headers().contains_key(CONNECTION) {
        // This is how a service says that it may not have read the whole request.
        leaving.expect_more();
    }
    answer
}

/// A body whose connection is not idle while its peer takes some of it.
struct Taken<B> {
    body: B,
    activity: Activity,
}

impl<B: super::Body> hyper::body::Body for Taken<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(_))) {
            self.activity.taken();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a connection may send ahead of being read; also its share of memory.
const WINDOW: u32 = 64 * 1024;

/// Finds a vanished peer; balancers cut silent flows after about a minute.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Longer than any sane round trip.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

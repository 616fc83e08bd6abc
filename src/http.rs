//! The listener under every port we serve: HTTP/1.1 and HTTP/2 on plain TCP or TLS.
//!
//! It owns sockets, connections and their limits, and knows nothing of what is served: a service is
//! a function from a request to an answer. Every answer leaves with a `Content-Length`, but one that
//! comes in pieces.
//!
//! What a peer can make us hold is bounded (I7): the number of connections, the size of a head, the
//! streams of a connection and their windows, and the time a connection may take without getting
//! anywhere (see `activity`). At the limit `door` says who stays; nobody waits for a place, and
//! what a proxy's header or TLS take happens in the connection's own task, so neither the accept
//! loop nor the peers being served ever wait for a slow one. The body of a request is the service's
//! to bound, in size and in time.
//!
//! When asked to stop, the listener is closed first, idle connections at once, busy ones after
//! their answers; what is left after [`Limits::drain_timeout`] is cut.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    backoff::{Backoff, jitter},
    shutdown::Shutdown,
    tls,
};

mod activity;
mod connection;
mod door;
mod files;
mod metrics;
mod peer;
mod proxy;
mod stream;

use connection::Accepted;
use door::{Caller, Door};
pub use files::affordable;
use metrics::Ending;
pub use metrics::Metrics;
pub use peer::Peer;
pub use proxy::{Beginning, MAX_HEADER, ProxyHeader};

/// A bound port that is not served yet: connections wait in its backlog.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    local_addr: SocketAddr,
}

/// What peers may ask of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at a time.
    pub max_connections: usize,
    /// Those of one source none of which was authentic.
    pub max_per_source: usize,
    /// From a connection, or the first byte of a further request, to the end of the request's head.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request once it had one.
    pub idle_timeout: Duration,
    /// How long a TLS handshake may take.
    pub tls_timeout: Duration,
    /// How long requests may still take when the listener was asked to stop.
    pub drain_timeout: Duration,
    /// All headers of a request together, in bytes; at least 8 KiB.
    pub max_head: usize,
    /// Requests at a time over one HTTP/2 connection.
    pub max_streams: u32,
    /// Requests over one HTTP/2 connection that may be taken back without one being answered.
    pub max_resets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_per_source: 256,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            tls_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            max_head: 32 * 1024,
            max_streams: 32,
            max_resets: 100,
        }
    }
}

/// What stands between the network and HTTP.
#[derive(Default)]
pub struct Front {
    /// Whose PROXY header is believed, and whose connections belong to many callers.
    pub proxies: Vec<IpNet>,
    /// Whether there is such a header.
    pub proxy_header: ProxyHeader,
    /// Ends TLS; none: somebody before us does.
    pub tls: Option<tls::Acceptor>,
    /// From where authentic requests are expected; these find a place where strangers do not.
    pub expected: Option<Box<dyn Fn(IpAddr) -> bool + Send + Sync>>,
    /// Counts connections.
    pub metrics: Option<Metrics>,
}

impl Front {
    fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    fn caller(&self, address: IpAddr) -> Caller {
        let expected = self.expected.as_ref().is_some_and(|expected| expected(address));
        Caller::new(address, !self.is_proxy(address), expected)
    }

    fn ended(&self, ending: Ending) {
        if let Some(metrics) = &self.metrics {
            metrics.ended(ending);
        }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds a port.
    ///
    /// # Errors
    ///
    /// When the system refuses the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let local_addr = tcp.local_addr()?;
        Ok(Self { tcp, local_addr })
    }

    /// The address bound, with the port the system chose if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until asked to stop, then drains.
    ///
    /// The service gets the other end of the connection with each request. On HTTP/1.1 its future
    /// runs to its end even when the client goes away, so it must end by itself; on HTTP/2 it is
    /// dropped.
    pub async fn serve<S, F, B>(self, limits: Limits, front: Front, service: S, shutdown: Shutdown)
    where
        S: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body,
    {
        let service = Arc::new(service);
        let front = Arc::new(front);
        let server = connection::Server::new(limits, front.clone(), shutdown.clone());
        let door = Door::new(limits.max_connections, limits.max_per_source);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut full = false;
        let mut failures = 0;
        loop {
            let (tcp, peer) = tokio::select! {
                () = shutdown.requested() => break,
                Some(ended) = connections.join_next() => {
                    report_panic(ended);
                    continue;
                }
                accepted = self.accept(&mut failures) => accepted,
            };
            while let Some(ended) = connections.try_join_next() {
                report_panic(ended);
            }
            let place = if front.is_proxy(peer.ip()) {
                door.arrive()
            } else {
                door.enter(front.caller(peer.ip()))
            };
            let Some(guest) = place else {
                front.ended(Ending::Full);
                note_full(&mut full, limits);
                continue;
            };
            full &= connections.len() > limits.max_connections / 2;
            let service = Arc::clone(&service);
            let service = move |peer, request| service(peer, request);
            let accepted = Accepted { tcp, peer, guest };
            connections.spawn(server.serve(accepted, service, graceful.watcher()));
        }
        drop(self.tcp);
        let drained = async {
            graceful.shutdown().await;
            server.finished().await;
            while let Some(ended) = connections.join_next().await {
                report_panic(ended);
            }
        };
        if timeout(limits.drain_timeout, drained).await.is_err() {
            let count = connections.len();
            tracing::warn!(connections = count, "connections cut that did not end in time");
        }
        connections.shutdown().await;
    }

    /// Accepts the next connection, however often it takes. Cancel safe: a connection is either
    /// returned or still in the backlog.
    async fn accept(&self, failures: &mut u32) -> (TcpStream, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok(accepted) => {
                    *failures = 0;
                    return accepted;
                }
                // The peer was gone before we took it; the next one is not its fault.
                Err(error) if is_of_the_peer(&error) => {}
                // Mostly out of file descriptors: it passes as connections end.
                Err(error) => {
                    *failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures = *failures, "cannot accept a connection");
                    sleep(accept_backoff().delay(*failures, jitter())).await;
                }
            }
        }
    }
}

/// The body of an answer; the default is none.
pub trait Body:
    hyper::body::Body<Data = Bytes, Error = Infallible> + Default + Send + Unpin + 'static
{
}

impl<B> Body for B where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Default + Send + Unpin + 'static
{
}

/// In the extensions of an answer: the caller took the request back, so nobody waits for it.
#[derive(Clone, Copy, Debug)]
pub struct TakenBack;

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Said once until half of the connections are gone, for it is strangers who decide how often.
fn note_full(full: &mut bool, limits: Limits) {
    if !*full {
        *full = true;
        let limit = limits.max_connections;
        tracing::warn!(limit, "connection limit reached, closing new connections");
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request panicked");
    }
}

fn accept_backoff() -> Backoff {
    Backoff::try_new(ACCEPT_AGAIN_MIN, ACCEPT_AGAIN_MAX)
        .expect("the least delay is above zero and below the greatest")
}

/// Long enough not to spin, short enough not to be noticed.
const ACCEPT_AGAIN_MIN: Duration = Duration::from_millis(10);

/// A load balancer tries about every second; waiting longer helps nobody.
const ACCEPT_AGAIN_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

//! One connection: the protocol's limits, the watch over its time, and its way out.

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, Version,
    body::{Body as _, Incoming},
    header::{CONNECTION, CONTENT_LENGTH},
    service::service_fn,
};
use hyper_util::{
    rt::TokioTimer,
    server::{conn::auto::Builder, graceful::Watcher},
};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::{
    Limits,
    activity::Activity,
    stream::{Leaving, Stream},
};

/// Makes connections of streams.
#[derive(Clone, Debug)]
pub(super) struct Server {
    builder: Builder<Requests>,
    requests: TaskTracker,
    limits: Limits,
}

impl Server {
    pub(super) fn new(limits: Limits) -> Self {
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
            .max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { builder, requests, limits }
    }

    /// Serves one stream until its peer, a deadline or the watcher ends it.
    pub(super) fn serve<S, F>(
        &self,
        tcp: TcpStream,
        service: S,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + use<S, F>
    where
        S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let Self { builder, limits, .. } = self.clone();
        let activity = Activity::new();
        let leaving = Leaving::default();
        async move {
            // Answers are small and complete; waiting for more to send only delays them.
            drop(tcp.set_nodelay(true));
            let stream = Stream::new(tcp, activity.clone(), leaving.clone());
            let answering = activity.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let busy = answering.request(request.version());
                let leaving = leaving.clone();
                let (version, method) = (request.version(), request.method().clone());
                let answer = service(request);
                async move {
                    let answer = finish(answer.await, version, &method, &leaving);
                    drop(busy);
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = watcher.watch(builder.serve_connection(stream, service));
            let ended = tokio::select! {
                ended = connection => ended,
                () = activity.overdue(limits) => {
                    tracing::debug!("connection closed for taking too long");
                    return;
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = &*error, "connection failed");
            }
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
fn finish(
    mut answer: Response<Full<Bytes>>,
    version: Version,
    method: &Method,
    leaving: &Leaving,
) -> Response<Full<Bytes>> {
    // hyper adds no length of zero to an answer to HEAD, nor to any on HTTP/2.
    let length = answer.body().size_hint().exact();
    let length = length.expect("a full body knows its size").into();
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    if version == Version::HTTP_2 {
        // There is no such header there, and streams that end early do not harm the others.
        answer.headers_mut().remove(CONNECTION);
        // On HTTP/1.1 hyper keeps the body back itself.
        if *method == Method::HEAD {
            *answer.body_mut() = Full::default();
        }
    } else if answer.headers().contains_key(CONNECTION) {
        // This is how a service says that it did not read the whole request.
        leaving.expect_more();
    }
    answer
}

/// All headers of a request together on HTTP/1.1. Microsoft's, behind proxies, need a fraction.
const MAX_HEAD: usize = 32 * 1024;

/// The same for HTTP/2, by that protocol's way of counting.
const MAX_HEADER_LIST: u32 = 32 * 1024;

/// A balancer spreads requests over several connections; this many on each is plenty.
const MAX_STREAMS: u32 = 32;

/// What a connection may send ahead of being read; also its share of memory.
const WINDOW: u32 = 64 * 1024;

/// Finds a vanished peer; balancers cut silent flows after about a minute.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Longer than any sane round trip.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

//! Posting to webhooks: over the edge when there is one, else to the address itself.
//!
//! Connections are kept and used again, as Microsoft's are; a request that was never written to a
//! kept connection is written to a fresh one.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::simulator::{Edge, locked, tasks::Tasks};

/// What a webhook answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it is sane.
    pub body: Bytes,
}

pub(super) struct Poster {
    edge: Mutex<Option<Edge>>,
    connector: TlsConnector,
    idle: Mutex<HashMap<Target, Vec<Connection>>>,
    timeout: Duration,
    tasks: Tasks,
}

impl Poster {
    pub(super) fn new(
        edge: Option<Edge>,
        tls: ClientConfig,
        timeout: Duration,
        tasks: Tasks,
    ) -> Self {
        Self {
            edge: Mutex::new(edge),
            connector: TlsConnector::from(Arc::new(tls)),
            idle: Mutex::default(),
            timeout,
            tasks,
        }
    }

    pub(super) fn set_edge(&self, edge: Option<Edge>) {
        *locked(&self.edge) = edge;
    }

    pub(super) async fn post(
        &self,
        address: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> io::Result<Answer> {
        time::timeout(self.timeout, self.exchange(address, headers, body))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn exchange(&self, address: &Url, headers: HeaderMap, body: Bytes) -> io::Result<Answer> {
        let target = self.target(address)?;
        let request = || request(address, headers.clone(), body.clone());
        let kept = locked(&self.idle).get_mut(&target).and_then(Vec::pop);
        if let Some(mut kept) = kept
            && kept.ready().await.is_ok()
        {
            match kept.send_request(request()?).await {
                Ok(response) => return self.finish(target, kept, response).await,
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let mut fresh = self.connect(&target).await?;
        let response = fresh.send_request(request()?).await;
        self.finish(target, fresh, response.map_err(io::Error::other)?).await
    }

    async fn finish(
        &self,
        target: Target,
        connection: Connection,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> io::Result<Answer> {
        let (parts, body) = response.into_parts();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        let mut idle = locked(&self.idle);
        let idle = idle.entry(target).or_default();
        if idle.len() < MOST_IDLE && !connection.is_closed() {
            idle.push(connection);
        }
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    async fn connect(&self, target: &Target) -> io::Result<Connection> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        if !target.tls {
            return self.handshake(stream).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
        self.handshake(self.connector.connect(name, stream).await?).await
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<Connection> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a webhook broke");
            }
        });
        Ok(sender)
    }

    fn target(&self, address: &Url) -> io::Result<Target> {
        let edge = *locked(&self.edge);
        let socket = |socket: std::net::SocketAddr, tls| Target {
            host: socket.ip().to_string(),
            port: socket.port(),
            tls,
        };
        match edge {
            Some(Edge::Plain(address)) => Ok(socket(address, false)),
            Some(Edge::Tls(address)) => Ok(socket(address, true)),
            None => {
                let (host, port) = (address.host_str(), address.port_or_known_default());
                let (Some(host), Some(port)) = (host, port) else {
                    return Err(io::ErrorKind::InvalidInput.into());
                };
                Ok(Target {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port,
                    tls: address.scheme() == "https",
                })
            }
        }
    }
}

fn request(address: &Url, headers: HeaderMap, body: Bytes) -> io::Result<Request<Full<Bytes>>> {
    let path = match address.query() {
        Some(query) => format!("{}?{query}", address.path()),
        None => address.path().to_owned(),
    };
    let host = match (address.host_str(), address.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(io::Error::other)?;
    *request.headers_mut() = headers;
    let host = HeaderValue::try_from(host).map_err(io::Error::other)?;
    request.headers_mut().entry(HOST).or_insert(host);
    Ok(request)
}

type Connection = SendRequest<Full<Bytes>>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Target {
    host: String,
    port: u16,
    tls: bool,
}

/// As many as the notifier has requests under way.
const MOST_IDLE: usize = super::notifier::MOST_UNDER_WAY;

/// A webhook answers with nothing; this is for error pages.
const LONGEST_ANSWER: usize = 64 * 1024;

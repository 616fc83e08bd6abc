//! A collector in miniature: an HTTPS client with a token, and a webhook that records calls.

use std::{
    collections::VecDeque,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, client::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use url::Url;

use super::{DEADLINE, application, eventually, id, tenant};
use crate::{
    content::ContentType,
    simulator::{Simulator, locked, microsoft::Entry},
    tls,
};

/// An answer read whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn gunzipped(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut plain).unwrap();
        plain
    }
}

pub(super) struct Client {
    connector: TlsConnector,
    root: Url,
    token: String,
    connections: Mutex<JoinSet<()>>,
}

impl Client {
    /// A client with a token.
    pub(super) async fn new(simulator: &Simulator) -> Self {
        let mut client = Self::stranger(simulator);
        let reply = client.token(&tenant().client_secret).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        client.token = reply.json()["access_token"].as_str().unwrap().to_owned();
        client
    }

    /// A client that has no token yet.
    pub(super) fn stranger(simulator: &Simulator) -> Self {
        let roots = tls::certificates(simulator.ca_path()).unwrap();
        Self {
            connector: TlsConnector::from(Arc::new(tls::client(Some(roots), None).unwrap())),
            root: simulator.management_url(),
            token: String::new(),
            connections: Mutex::default(),
        }
    }

    pub(super) async fn token(&self, secret: &str) -> Reply {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("resource", self.root.as_str())
            .append_pair("client_id", &application().to_string())
            .append_pair("client_secret", secret)
            .finish();
        let path = format!("/{}/oauth2/token", id());
        self.send(Method::POST, &path, form).await.unwrap()
    }

    pub(super) async fn list(&self) -> serde_json::Value {
        let reply = self.feed(Method::GET, "subscriptions/list?", "").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub(super) async fn start(&self, content_type: ContentType, body: &str) -> Reply {
        let path = format!("subscriptions/start?contentType={content_type}&");
        self.feed(Method::POST, &path, body).await
    }

    pub(super) async fn content(&self, content_type: ContentType, more: &str) -> Reply {
        let path = format!("subscriptions/content?contentType={content_type}{more}&");
        self.feed(Method::GET, &path, "").await
    }

    pub(super) async fn blob(&self, id: &str) -> Reply {
        self.feed(Method::GET, &format!("audit/{id}?"), "").await
    }

    /// A blob over HTTP/2; `None` when that is not offered or the body breaks off.
    pub(super) async fn blob_over_http2(&self, id: &str) -> Option<Vec<u8>> {
        let mut config = (**self.connector.config()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let port = self.root.port().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect("127.0.0.1".try_into().unwrap(), stream)
            .await
            .ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .ok()?;
        locked(&self.connections).spawn(async move {
            let _ended = connection.await;
        });
        let path = format!("api/v1.0/{}/activity/feed/audit/{id}", super::id());
        let request = Request::builder()
            .uri(self.root.join(&path).unwrap().as_str())
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::new(Bytes::new()))
            .unwrap();
        let exchange = async {
            let response = sender.send_request(request).await?;
            #[expect(clippy::disallowed_methods, reason = "the peer is our own")]
            let body = response.into_body().collect().await?;
            Ok::<_, hyper::Error>(body.to_bytes().to_vec())
        };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap().ok()
    }

    pub(super) async fn feed(&self, method: Method, path: &str, body: &str) -> Reply {
        let id = id();
        let path = format!("/api/v1.0/{id}/activity/feed/{path}PublisherIdentifier={id}");
        self.send(method, &path, body.to_owned()).await.unwrap()
    }

    /// A GET that may be left without an answer.
    pub(super) async fn feed_or_break(&self, path: &str) -> Result<Reply, hyper::Error> {
        let path = format!("/api/v1.0/{}/activity/feed/{path}", id());
        self.send(Method::GET, &path, String::new()).await
    }

    /// Sends one request on a connection of its own; an error is an answer that broke off.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Reply, hyper::Error> {
        let port = self.root.port().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let stream = self.connector.connect(name, stream).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        locked(&self.connections).spawn(async move {
            let _ended = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("accept-encoding", "gzip")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let exchange = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            #[expect(clippy::disallowed_methods, reason = "the peer is our own")]
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap()
    }
}

/// One call of a webhook.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn entries(&self) -> Vec<Entry> {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A webhook behind the simulator's edge.
pub(super) struct Webhook {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    /// Statuses for the next calls; 200 after them.
    statuses: Mutex<VecDeque<u16>>,
    /// While set, calls are recorded and wait.
    gate: Mutex<Option<Arc<Notify>>>,
}

impl Webhook {
    pub(super) async fn new() -> Self {
        Self::behind(None).await
    }

    /// A webhook that ends TLS and requires a certificate of Microsoft's side.
    pub(super) async fn secured(simulator: &Simulator) -> Self {
        let material = simulator.material();
        let mut roots = RootCertStore::empty();
        for authority in tls::certificates(material.microsoft_ca()).unwrap() {
            roots.add(authority).unwrap();
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
                .build()
                .unwrap();
        let identity = tls::Identity::load(material.server_cert(), material.server_key());
        let (chain, key) = identity.unwrap().into_parts();
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        Self::behind(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn behind(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        let shared = state.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ended = match acceptor {
                        None => http.serve_connection(TokioIo::new(stream), service).await,
                        Some(acceptor) => {
                            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                            http.serve_connection(stream, service).await
                        }
                    };
                });
            }
        });
        Self { address, state, _tasks: tasks }
    }

    pub(super) fn answer_next(&self, statuses: &[u16]) {
        locked(&self.state.statuses).extend(statuses);
    }

    /// Holds calls back until the returned gate is notified.
    pub(super) fn hold(&self) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        *locked(&self.state.gate) = Some(gate.clone());
        gate
    }

    pub(super) fn release(&self, gate: &Notify) {
        *locked(&self.state.gate) = None;
        gate.notify_one();
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        locked(&self.state.calls).clone()
    }

    /// The calls, once there are so many.
    pub(super) async fn wait_for(&self, calls: usize) -> Vec<Call> {
        eventually("calls of the webhook", || Some(self.calls()).filter(|made| made.len() >= calls))
            .await
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the peer is our own")]
    let body = body.collect().await?.to_bytes();
    locked(&state.calls).push(Call { path: parts.uri.to_string(), headers: parts.headers, body });
    let gate = locked(&state.gate).clone();
    if let Some(gate) = gate {
        gate.notified().await;
    }
    let status = locked(&state.statuses).pop_front().unwrap_or(200);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

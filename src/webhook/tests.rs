use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    StatusCode,
    body::Frame,
    client::conn,
    header::{CONTENT_LENGTH, HeaderMap},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    content::{ContentType, Tenant},
    http::ProxyHeader,
    ledger::{self, LedgerError, Writer},
    outcomes::Announced,
    reason::Reason,
    secret::Secret,
};

mod limits;
mod recording;
mod table;

const AUTH_ID: &str = "0123456789abcdef-current";
const TENANT: &str = "41463f53-8812-40f4-890f-865bf6e35190";
const CLIENT: &str = "1d7cd7d4-5b6e-4a2e-8a4d-0c4a4b3a2b1c";
/// The one that is asked, and the one Microsoft writes.
const ROOTS: [&str; 2] = ["https://proxy.example.com", "https://manage.office.com"];
/// So many entries need more room than a new ledger has in its pages.
const MANY: usize = 120;
const SOON: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A served public port, and the ledger behind it in a file of its own.
struct Port {
    address: SocketAddr,
    ledger: Ledger,
    registry: Registry,
    edge: Edge,
    stop: Shutdown,
    task: JoinSet<()>,
    may_commit: Arc<Notify>,
    _writer: JoinSet<Result<(), LedgerError>>,
    _directory: TempDir,
}

impl Port {
    async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let port = Self::waiting(change).await;
        port.commit();
        port
    }

    /// With a ledger that answers nobody until [`Self::commit`].
    async fn waiting(change: impl FnOnce(&mut Config)) -> Self {
        Self::serve(change, Some).await
    }

    /// With a ledger whose writer has ended.
    async fn without_ledger() -> Self {
        Self::serve(|_| (), |_| None).await
    }

    /// With a ledger whose file cannot grow: what fits into its pages is committed, but not what
    /// needs another one, such as [`MANY`] entries.
    async fn on_full_disk() -> Self {
        let port = Self::serve(|_| (), |writer| Some(ledger::tests::with_room(writer, 1))).await;
        port.commit();
        port
    }

    async fn serve(
        change: impl FnOnce(&mut Config),
        writer: impl FnOnce(Writer) -> Option<Writer>,
    ) -> Self {
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            address: "https://m365.example.com/webhook".parse().unwrap(),
            auth_id: Secret::fixed(AUTH_ID),
            previous_auth_id: None,
            min_auth_id: MIN_AUTH_ID,
            max_body: 64 * 1024,
            max_connections: 16,
            max_connections_per_source: 16,
            max_header: 32 * 1024,
            max_streams: 32,
            max_resets: 100,
            header_timeout: SOON,
            body_timeout: SOON,
            request_timeout: SOON,
            idle_timeout: SOON,
            handshake_timeout: SOON,
            drain_delay: Duration::ZERO,
            trusted_proxies: vec![],
            proxy_header: ProxyHeader::Auto,
            allowed_sources: vec![],
            allowed_tag: None,
            consent_callback: false,
            tls: None,
            client_certificate: None,
        };
        change(&mut config);
        let tenants: Tenants = [Tenant {
            id: TENANT.parse().unwrap(),
            client_id: CLIENT.parse().unwrap(),
            name: "contoso".into(),
            content_types: vec![ContentType::Exchange, ContentType::General],
        }]
        .into_iter()
        .collect();
        let registry = Registry::new();
        let outcomes = Outcomes::register(&registry, &tenants).unwrap();
        let announced = Announced::register(&registry, &tenants).unwrap();
        let metrics = Metrics::register(&registry, announced).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let opened = Ledger::open(&ledger::tests::config(directory.path())).await.unwrap();
        let (ledger, may_commit) = (opened.0, Arc::new(Notify::new()));
        let mut writing = JoinSet::new();
        if let Some(writer) = writer(opened.1) {
            let may_commit = Arc::clone(&may_commit);
            writing.spawn(async move {
                may_commit.notified().await;
                writer.run(Shutdown::new()).await
            });
        }
        let webhook = Webhook::bind(
            config,
            tenants,
            ROOTS.map(|root| root.parse().unwrap()).into(),
            ledger.clone(),
            Clock::system(),
            metrics,
            outcomes,
        );
        let webhook = webhook.await.unwrap();
        let (address, edge) = (webhook.local_addr(), webhook.edge());
        let stop = Shutdown::new();
        let mut task = JoinSet::new();
        task.spawn(webhook.run(stop.clone()));
        Self {
            address,
            ledger,
            registry,
            edge,
            stop,
            task,
            may_commit,
            _writer: writing,
            _directory: directory,
        }
    }

    /// Lets the ledger write what it was told, from now on.
    fn commit(&self) {
        self.may_commit.notify_one();
    }

    /// How many contents are in the ledger, committed.
    async fn recorded(&self) -> u64 {
        let depth = in_time(self.ledger.depth()).await.unwrap();
        depth.iter().map(|depth| depth.waiting).sum()
    }

    /// How often requests had the outcome.
    fn requests(&self, outcome: &str) -> f64 {
        self.value("m365_webhook_requests_total", &[("outcome", outcome)])
    }

    fn announced(&self, content_type: &str) -> f64 {
        let labels = [("tenant", "contoso"), ("content_type", content_type), ("via", "webhook")];
        self.value("m365_content_announced_total", &labels)
    }

    fn refused(&self, tenant: &str, reason: Reason) -> f64 {
        let labels = [("tenant", tenant), ("stage", "notification"), ("reason", reason.as_str())];
        self.value("m365_messages_unsuccessfully_processed_total", &labels)
    }

    /// The value of a series, which must exist.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let series = family.unwrap().get_metric().iter().find(|series| {
            labels.iter().all(|(name, value)| {
                let mut pairs = series.get_label().iter();
                pairs.any(|pair| pair.name() == *name && pair.value() == *value)
            })
        });
        let series = series.unwrap_or_else(|| panic!("no series {name} {labels:?}"));
        series.get_counter().get_value()
    }
}

type Sent = Request<BoxBody<Bytes, Infallible>>;

/// What came back, headers and body.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A connection that can ask several times.
enum Client {
    Http1(conn::http1::SendRequest<BoxBody<Bytes, Infallible>>, JoinSet<()>),
    Http2(conn::http2::SendRequest<BoxBody<Bytes, Infallible>>, JoinSet<()>),
}

impl Client {
    async fn connect(address: SocketAddr, protocol: Protocol) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let mut task = JoinSet::new();
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = conn::http1::handshake(io).await.unwrap();
                task.spawn(async { drop(connection.await) });
                Self::Http1(sender, task)
            }
            Protocol::Http2 => {
                let handshake = conn::http2::handshake(TokioExecutor::new(), io);
                let (sender, connection) = handshake.await.unwrap();
                task.spawn(async { drop(connection.await) });
                Self::Http2(sender, task)
            }
        }
    }

    async fn ask(&mut self, request: Sent) -> Answer {
        let answer = async {
            let answer = match self {
                Self::Http1(sender, _) => sender.send_request(request).await,
                Self::Http2(sender, _) => sender.send_request(request).await,
            };
            let (head, mut body) = answer.unwrap().into_parts();
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                read.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            Answer { status: head.status, headers: head.headers, body: read.into() }
        };
        in_time(answer).await
    }

    /// Resolves when the server has closed the connection.
    async fn closed(&mut self) {
        let (Self::Http1(_, task) | Self::Http2(_, task)) = self;
        in_time(task.join_next()).await.unwrap().unwrap();
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("this takes no time")
}

/// Waits until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    in_time(async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn ask(port: &Port, protocol: Protocol, request: Sent) -> Answer {
    let mut client = in_time(Client::connect(port.address, protocol)).await;
    client.ask(request).await
}

/// Asks, and checks what holds for every answer.
async fn status(port: &Port, protocol: Protocol, request: Sent) -> u16 {
    let answer = ask(port, protocol, request).await;
    assert_eq!(answer.headers[CONTENT_LENGTH], "0", "{protocol:?} {answer:?}");
    assert!(answer.body.is_empty(), "{protocol:?} {answer:?}");
    answer.status.as_u16()
}

/// A request to the right path with the right auth id.
fn post(body: impl Into<Bytes>) -> Sent {
    with_body(Full::new(body.into()).boxed())
}

/// The same in chunks, so that no length is declared.
fn post_chunks(chunks: impl IntoIterator<Item = Bytes> + Send + 'static) -> Sent
where
    <Vec<Bytes> as IntoIterator>::IntoIter: Send,
{
    let chunks: Vec<_> = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk))).collect();
    with_body(StreamBody::new(stream::iter(chunks)).boxed())
}

fn with_body(body: BoxBody<Bytes, Infallible>) -> Sent {
    Request::post("http://m365.example.com/webhook")
        .header("host", "m365.example.com")
        .header("webhook-authid", AUTH_ID)
        .header("content-type", "application/json; utf-8")
        .body(body)
        .unwrap()
}

fn without(mut request: Sent, header: &str) -> Sent {
    request.headers_mut().remove(header).unwrap();
    request
}

fn with(mut request: Sent, header: &'static str, value: &str) -> Sent {
    request.headers_mut().insert(header, value.parse().unwrap());
    request
}

fn entry(id: &str) -> String {
    entry_of("Audit.Exchange", id)
}

fn entry_of(content_type: &str, id: &str) -> String {
    format!(
        r#"{{"tenantId":"{TENANT}","clientId":"{CLIENT}","contentType":"{content_type}","contentId":"{id}","contentUri":"https://manage.office.com/api/v1.0/{TENANT}/activity/feed/audit/{id}","contentCreated":"2026-06-01T11:58:00.000Z","contentExpiration":"2026-06-08T11:58:00.000Z"}}"#
    )
}

/// Good entries, followed by commas.
fn many() -> String {
    (0..MANY).map(|n| entry(&format!("many{n}")) + ",").collect()
}

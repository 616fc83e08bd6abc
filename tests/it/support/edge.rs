//! Speaking to the public port as Microsoft, a load balancer or a stranger would.
//!
//! Every answer read here is checked for what holds for all of them: it has no body, says so in
//! `Content-Length`, and repeats nothing of the request.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use m365_collector::content::{ContentId, TenantId};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::{Service, metrics::labelled, within};

/// The path of the registered address.
pub const PATH: &str = "/webhook";

/// Put into whatever strangers control, and never seen in an answer.
pub const MARKER: &str = "echo-me-7f3a";

#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// A request to the public port, right in every respect until something is changed.
#[derive(Clone, Debug)]
pub struct Post {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// What is said of the answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| &**value)
    }
}

impl Post {
    pub fn new(auth_id: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let headers = vec![
            ("webhook-authid", auth_id.into()),
            // As Microsoft's own sample has it; strict parsers refuse it.
            ("content-type", "application/json; utf-8".to_owned()),
            ("x-request-id", MARKER.to_owned()),
        ];
        Self { method: "POST", path: PATH.to_owned(), headers, body: body.into() }
    }

    pub fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }

    /// The bytes of the request in HTTP/1.1.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes += &format!("content-length: {}\r\n\r\n", self.body.len());
        [bytes.as_bytes(), &self.body].concat()
    }

    /// The same without a declared length.
    pub fn chunked(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in self.body.chunks(100) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {MARKER}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    /// Asks on a connection of its own.
    pub async fn ask(&self, port: SocketAddr, protocol: Protocol) -> Answer {
        match protocol {
            Protocol::Http1 => raw(port, &self.bytes()).await,
            Protocol::Http2 => within(SOON, "an answer over HTTP/2", self.ask_http2(port)).await,
        }
    }

    async fn ask_http2(&self, port: SocketAddr) -> Answer {
        let io = TokioIo::new(TcpStream::connect(port).await.expect("the port is open"));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2 is spoken");
        let mut task = JoinSet::new();
        task.spawn(async { drop(connection.await) });
        let uri = format!("http://{MARKER}{}", self.path);
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.body.clone())).expect("it is a request");
        let (head, mut body) = sender.send_request(request).await.expect("an answer").into_parts();
        assert!(body.frame().await.is_none(), "no answer has a body");
        let headers = head.headers.iter().map(|(name, value)| {
            (name.to_string(), value.to_str().expect("headers are text").to_owned())
        });
        checked(Answer { status: head.status.as_u16(), headers: headers.collect() })
    }
}

/// Sends these bytes and reads one answer of HTTP/1.1, to the end of the connection if the answer
/// says that it ends.
pub async fn raw(port: SocketAddr, request: &[u8]) -> Answer {
    within(SOON, "an answer over HTTP/1.1", async {
        let mut stream = TcpStream::connect(port).await.expect("the port is open");
        stream.write_all(request).await.expect("the request is taken");
        read(&mut stream).await
    })
    .await
}

/// Reads one answer.
pub async fn read(stream: &mut TcpStream) -> Answer {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.expect("the answer has a whole head");
        answer.push(byte);
    }
    let text = String::from_utf8(answer).expect("the head is text");
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let answer = Answer {
        status: status.expect("there is a status line"),
        headers: headers.map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect(),
    };
    if answer.header("connection") == Some("close") {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("the connection ends in order");
        assert!(rest.is_empty(), "no answer has a body");
    }
    checked(answer)
}

fn checked(answer: Answer) -> Answer {
    assert_eq!(answer.header("content-length"), Some("0"), "{answer:?}");
    let echoed = answer.headers.iter().any(|(n, v)| n.contains(MARKER) || v.contains(MARKER));
    assert!(!echoed, "an answer repeats nothing: {answer:?}");
    answer
}

impl Service {
    /// The auth id that was registered.
    pub fn auth_id(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("auth-id")).expect("the demo wrote it")
    }

    /// A request with the right auth id.
    pub fn post(&self, body: impl Into<Bytes>) -> Post {
        Post::new(self.auth_id(), body)
    }

    /// The entry that announces a content of a tenant, as JSON to be changed.
    pub fn entry(&self, tenant: TenantId, id: &ContentId) -> Value {
        let form = m365_collector::simulator::microsoft::IdForm::Listed;
        let entry = self.simulator.microsoft().entry(tenant, id, form);
        json!(entry.expect("the content is published"))
    }

    /// How many requests on the public port ended so.
    pub async fn outcome(&self, outcome: &str) -> f64 {
        self.metric(&labelled("m365_webhook_requests_total", &[("outcome", outcome)])).await
    }
}

/// A notification of these entries.
pub fn notification(entries: &[Value]) -> Vec<u8> {
    serde_json::to_vec(entries).expect("entries are JSON")
}

const SOON: Duration = Duration::from_secs(20);

//! A receiver of spans: OTLP by HTTP, and as much of its protobuf as a test wants to know.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A running receiver. Dropping it ends it.
pub struct Receiver {
    pub address: SocketAddr,
    bodies: Bodies,
    _serving: JoinSet<()>,
}

type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let bodies = Bodies::default();
        let mut serving = JoinSet::new();
        let received = bodies.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.expect("the port stays open");
                connections.spawn(serve(connection, received.clone()));
            }
        });
        Self { address, bodies, _serving: serving }
    }

    /// Every span that was exported so far.
    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().expect("no holder panics");
        bodies.iter().flat_map(|body| spans(body)).collect()
    }

    /// All that was exported, for what should not be in it.
    pub fn told(&self) -> String {
        let bodies = self.bodies.lock().expect("no holder panics");
        bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

/// What a test wants to know of a span; ids as `traceparent` spells them.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
}

impl Span {
    pub fn has(&self, attribute: &str, value: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|found| found == value)
    }
}

/// Takes one request after the other.
async fn serve(mut connection: TcpStream, bodies: Bodies) {
    let mut read = Vec::new();
    loop {
        let head = read.windows(4).position(|end| end == b"\r\n\r\n");
        let whole = head.and_then(|head| {
            let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
            assert!(text.starts_with("post /v1/traces http/1.1\r\n"), "{text}");
            assert!(text.contains("content-type: application/x-protobuf"), "{text}");
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = head + 4 + length.expect("it has a length").parse::<usize>().unwrap();
            (read.len() >= end).then_some((head + 4, end))
        });
        if let Some((start, end)) = whole {
            bodies.lock().expect("no holder panics").push(read[start..end].to_vec());
            read.drain(..end);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if connection.write_all(answer).await.is_err() {
                return;
            }
        } else if connection.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in messages(request, 1) {
        let resource: BTreeMap<_, _> =
            messages(of_resource, 1).flat_map(|resource| attributes(resource, 1)).collect();
        for span in messages(of_resource, 2).flat_map(|scope| messages(scope, 2)) {
            let id = |field| -> String {
                let bytes = messages(span, field).next().unwrap_or_default();
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            };
            spans.push(Span {
                trace: id(1),
                id: id(2),
                parent: id(4),
                name: text(messages(span, 5).next().expect("a span has a name")),
                attributes: attributes(span, 9).collect(),
                resource: resource.clone(),
            });
        }
    }
    spans
}

/// The attributes that are texts.
fn attributes(message: &[u8], field: u64) -> impl Iterator<Item = (String, String)> {
    messages(message, field).filter_map(|attribute| {
        let key = text(messages(attribute, 1).next()?);
        let value = messages(attribute, 2).next()?;
        Some((key, text(messages(value, 1).next()?)))
    })
}

/// What a message holds under a number, of what has a length.
fn messages(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            let length = match tag & 7 {
                0 => {
                    varint(&mut rest);
                    continue;
                }
                1 => 8,
                2 => usize::try_from(varint(&mut rest)).unwrap(),
                5 => 4,
                other => panic!("no wire type: {other}"),
            };
            let (value, after) = rest.split_at(length);
            rest = after;
            if tag & 7 == 2 && tag >> 3 == wanted {
                return Some(value);
            }
        }
        None
    })
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, after) = rest.split_first().expect("a number ends");
        *rest = after;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is a text")
}

//! Honest callers: notifications over kept connections, and how long each took.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use m365_collector::clock::Clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::collector::{AUTH_ID, CLIENT, Collector, PATH, TENANT};

/// How callers go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The next one when the last one was answered.
    AsFastAsAnswered,
    /// So many a second by all connections together, each at its time.
    PerSecond(u32),
}

/// What callers saw.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) time: Duration,
}

/// The notifications: each announces one content that was never announced before.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    next: Arc<AtomicU64>,
    root: Arc<str>,
    created: Arc<str>,
}

impl Announced {
    pub(crate) fn new(collector: &Collector) -> Self {
        let now = Clock::system().now();
        let created = format!("{now:.3}").into();
        Self { next: Arc::default(), root: collector.management.as_str().into(), created }
    }

    /// Writes the next request.
    fn write(&self, request: &mut Vec<u8>, body: &mut Vec<u8>) {
        let Self { root, created, .. } = self;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id =
            format!("20260105{number:012}$20260105094512345$audit_exchange$Audit_Exchange$na0017");
        body.clear();
        request.clear();
        write!(
            body,
            r#"[{{"tenantId":"{TENANT}","clientId":"{CLIENT}","contentType":"Audit.Exchange","contentId":"{id}","contentUri":"{root}/api/v1.0/{TENANT}/activity/feed/audit/{id}","contentCreated":"{created}"}}]"#
        )
        .and_then(|()| {
            write!(
                request,
                "POST {PATH} HTTP/1.1\r\nhost: collector.example.com\r\n\
                 content-type: application/json; utf-8\r\nwebhook-authid: {AUTH_ID}\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            )
        })
        .expect("memory takes it");
        request.extend_from_slice(body);
    }
}

/// Asks for that long.
pub(crate) async fn ask(
    address: SocketAddr,
    announced: &Announced,
    connections: usize,
    pace: Pace,
    time: Duration,
) -> Ran {
    let mut opened = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is TCP");
        opened.push(stream);
    }
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for (index, stream) in opened.into_iter().enumerate() {
        let times = Times::new(pace, began, index, connections);
        callers.spawn(call(stream, announced.clone(), times, began + time));
    }
    let latencies = callers.join_all().await.concat();
    Ran { latencies, time: began.elapsed() }
}

/// Calls until the end, and returns how long each call took.
async fn call(
    mut stream: TcpStream,
    announced: Announced,
    mut times: Times,
    end: Instant,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let (mut request, mut body, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        announced.write(&mut request, &mut body);
        let due = times.next();
        if due >= end {
            return latencies;
        }
        if due > Instant::now() {
            sleep_until(due).await;
        }
        stream.write_all(&request).await.expect("the server reads");
        answer.clear();
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read_buf(&mut answer).await.expect("the server answers");
            assert_ne!(read, 0, "the server keeps the connection");
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        latencies.push(due.elapsed());
    }
}

/// When a caller is to call.
struct Times {
    due: Option<Instant>,
    step: Duration,
}

impl Times {
    fn new(pace: Pace, began: Instant, caller: usize, callers: usize) -> Self {
        match pace {
            Pace::AsFastAsAnswered => Self { due: None, step: Duration::ZERO },
            Pace::PerSecond(rate) => {
                let step = Duration::from_secs_f64(callers as f64 / f64::from(rate));
                let first = began + step.mul_f64(caller as f64 / callers as f64);
                Self { due: Some(first), step }
            }
        }
    }

    fn next(&mut self) -> Instant {
        match &mut self.due {
            None => Instant::now(),
            Some(due) => {
                let now = *due;
                *due += self.step;
                now
            }
        }
    }
}

use std::{convert::Infallible, future::pending};

use http_body_util::BodyExt as _;
use hyper::{Method, client::conn, header::CONTENT_LENGTH};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn limits() -> Limits {
    Limits {
        max_connections: 8,
        header_timeout: SOON,
        idle_timeout: SOON,
        drain_timeout: SOON,
        ..Limits::default()
    }
}

struct Server {
    address: SocketAddr,
    stop: Shutdown,
    /// Told when a request to `/wait` has arrived.
    arrived: Arc<Notify>,
    /// Lets one request to `/wait` end per permit.
    release: Arc<Semaphore>,
    task: JoinSet<()>,
}

impl Server {
    /// Answers with the path; `/wait` waits, `/close` does not read, `/forever` never answers.
    async fn start(limits: Limits) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let stop = Shutdown::new();
        let address = listener.local_addr();
        let mut task = JoinSet::new();
        let (shutdown, events) = (stop.clone(), (arrived.clone(), release.clone()));
        let service = move |_: Peer, request: Request<Incoming>| {
            let (arrived, release) = events.clone();
            async move {
                let path = request.uri().path().to_owned();
                match &*path {
                    "/wait" => {
                        arrived.notify_one();
                        release.acquire().await.unwrap().forget();
                    }
                    "/forever" => {
                        arrived.notify_one();
                        pending::<()>().await;
                    }
                    "/close" => {
                        let mut answer = empty(StatusCode::UNAUTHORIZED);
                        let close = hyper::header::HeaderValue::from_static("close");
                        answer.headers_mut().insert(hyper::header::CONNECTION, close);
                        return answer;
                    }
                    "/empty" => return empty(StatusCode::OK),
                    _ => {}
                }
                Response::new(path.into_bytes().into())
            }
        };
        task.spawn(listener.serve(limits, Front::default(), service, shutdown));
        Self { address, stop, arrived, release, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(&mut self) {
        in_time(self.task.join_next()).await.unwrap().unwrap();
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("this takes no time")
}

/// Reads one answer without a body, or nothing if the server closes.
async fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match in_time(stream.read_u8()).await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).unwrap()
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    head(stream).await
}

/// Resolves with what still came when the server closed the stream.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match in_time(stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => return rest,
            Ok(count) => rest.extend_from_slice(&buffer[..count]),
        }
    }
}

async fn h2(server: &Server, tasks: &mut JoinSet<()>) -> conn::http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(server.connect().await);
    let handshake = conn::http2::handshake(TokioExecutor::new(), io);
    let (sender, connection) = in_time(handshake).await.unwrap();
    tasks.spawn(async { drop(connection.await) });
    sender
}

fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://x{path}");
    let request = Request::builder().method(method).uri(uri);
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn every_answer_has_its_length_on_both_protocols_and_for_head() {
    let server = Server::start(limits()).await;
    let mut stream = server.connect().await;
    for (method, path, length) in
        [("HEAD", "/empty", "0"), ("HEAD", "/abc", "4"), ("GET", "/empty", "0")]
    {
        let head_only = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(head_only.as_bytes()).await.unwrap();
        let answer = head(&mut stream).await.to_lowercase();
        assert!(
            answer.contains(&format!("\r\ncontent-length: {length}\r\n")),
            "{method} {path}: {answer}"
        );
    }

    let mut tasks = JoinSet::new();
    let mut sender = h2(&server, &mut tasks).await;
    for (method, path, length, body) in [
        (Method::HEAD, "/empty", "0", ""),
        (Method::HEAD, "/abc", "4", ""),
        (Method::GET, "/empty", "0", ""),
        (Method::GET, "/abc", "4", "/abc"),
        (Method::GET, "/close", "0", ""),
    ] {
        let answer = in_time(sender.send_request(request(method.clone(), path)));
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.headers()[CONTENT_LENGTH], length, "{method} {path}");
        let frame = in_time(answer.frame()).await;
        let data = frame.map(|frame| frame.unwrap().into_data().unwrap());
        assert_eq!(data.unwrap_or_default(), body, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_length() {
    let server = Server::start(limits()).await;
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    for (sent, status) in [("nonsense\r\n\r\n", "400"), (&large, "431")] {
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = head(&mut stream).await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert!(answer.contains("content-length: 0\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_head_must_end_in_time_from_the_first_byte_on() {
    let header_timeout = Duration::from_millis(200);
    let server = Server::start(Limits { header_timeout, ..limits() }).await;
    // Nothing at all, half of the HTTP/2 preface, and half of a head.
    for begin in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost:"] {
        let mut stream = server.connect().await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        assert!(closed(&mut stream).await.is_empty(), "{begin}");
    }
    // A further request on the same connection may begin late, but not take longer.
    let mut stream = server.connect().await;
    assert!(ask(&mut stream, "/empty").await.contains(" 200 "));
    let idle = timeout(header_timeout * 2, stream.read_u8()).await;
    assert!(idle.is_err(), "an idle connection is kept: {idle:?}");
    assert!(ask(&mut stream, "/empty").await.contains(" 200 "));
    stream.write_all(b"GET / HT").await.unwrap();
    assert!(closed(&mut stream).await.is_empty());
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_as_well() {
    let server =
        Server::start(Limits { header_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let trickled = in_time(async {
        while stream.write_all(b"a: b\r\n").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    trickled.await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let server =
        Server::start(Limits { idle_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stream = server.connect().await;
    assert!(ask(&mut stream, "/empty").await.contains(" 200 "));
    assert!(closed(&mut stream).await.is_empty());

    let mut tasks = JoinSet::new();
    let mut sender = h2(&server, &mut tasks).await;
    in_time(sender.send_request(request(Method::GET, "/empty"))).await.unwrap();
    in_time(tasks.join_next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_is_not_cut_however_long_the_service_takes() {
    let short = Duration::from_millis(100);
    let server =
        Server::start(Limits { header_timeout: short, idle_timeout: short, ..limits() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let early = timeout(short * 4, stream.read_u8()).await;
    assert!(early.is_err(), "cut or answered: {early:?}");
    server.release.add_permits(1);
    assert!(head(&mut stream).await.contains(" 200 "));
}

#[tokio::test]
async fn at_the_limit_the_newest_connection_is_closed_and_the_others_are_served() {
    let server = Server::start(Limits { max_connections: 2, ..limits() }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    assert!(ask(&mut first, "/empty").await.contains(" 200 "));
    assert!(ask(&mut second, "/empty").await.contains(" 200 "));
    let mut third = server.connect().await;
    assert!(closed(&mut third).await.is_empty());
    assert!(ask(&mut first, "/empty").await.contains(" 200 "));

    drop(second);
    let free = in_time(async {
        loop {
            let mut stream = server.connect().await;
            let request = b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n";
            drop(stream.write_all(request).await);
            if head(&mut stream).await.contains(" 200 ") {
                break;
            }
        }
    });
    free.await;
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_not_read_is_not_lost() {
    let server = Server::start(limits()).await;
    let mut stream = server.connect().await;
    let head_only = b"POST /close HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n";
    stream.write_all(head_only).await.unwrap();
    let answer = head(&mut stream).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 401"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    // A client that goes on sending is not reset, or else it might never look at its answer.
    for _ in 0..20 {
        stream.write_all(&[b'x'; 1024]).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    // But not for ever.
    let cut = in_time(async {
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    cut.await;
}

#[tokio::test]
async fn draining_closes_idle_connections_finishes_requests_and_refuses_new_ones() {
    let mut server = Server::start(limits()).await;
    let mut idle = server.connect().await;
    assert!(ask(&mut idle, "/empty").await.contains(" 200 "));
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    in_time(server.arrived.notified()).await;
    let mut tasks = JoinSet::new();
    let mut sender = h2(&server, &mut tasks).await;
    let multiplexed = sender.send_request(request(Method::GET, "/wait"));
    tasks.spawn(async move {
        assert_eq!(multiplexed.await.unwrap().status(), StatusCode::OK);
    });
    in_time(server.arrived.notified()).await;

    let begin = Instant::now();
    server.stop.request();
    assert!(closed(&mut idle).await.is_empty());
    assert!(begin.elapsed() < SOON / 2, "idle connections do not wait for busy ones");
    assert!(TcpStream::connect(server.address).await.is_err());
    server.release.add_permits(2);
    assert!(head(&mut busy).await.contains(" 200 "));
    server.ended().await;
    while let Some(ended) = in_time(tasks.join_next()).await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn draining_is_bounded() {
    let mut server =
        Server::start(Limits { drain_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /forever HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    in_time(server.arrived.notified()).await;
    let mut tasks = JoinSet::new();
    let mut sender = h2(&server, &mut tasks).await;
    let forever = sender.send_request(request(Method::GET, "/forever"));
    in_time(server.arrived.notified()).await;
    server.stop.request();
    server.ended().await;
    assert!(closed(&mut stuck).await.is_empty());
    assert!(in_time(forever).await.is_err());
}

#[tokio::test]
async fn a_panic_costs_one_connection() {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr();
    let service = |_: Peer, request: Request<Incoming>| async move {
        assert_ne!(request.uri().path(), "/panic");
        empty(StatusCode::OK)
    };
    let mut task: JoinSet<Infallible> = JoinSet::new();
    task.spawn(async move {
        listener.serve(limits(), Front::default(), service, Shutdown::new()).await;
        unreachable!("nobody asked it to stop")
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask(&mut stream, "/panic").await, "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut stream, "/fine").await.contains(" 200 "));
}

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use url::Url;

use super::*;

/// A server on loopback that answers every request on a connection with the same bytes.
struct Server {
    links: Links,
    /// Connections so far.
    accepted: Arc<AtomicUsize>,
    /// A word for each connection that the other side ended.
    ended: mpsc::Receiver<()>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Ends each connection after as many answers as `patience` says.
    async fn start(answer: impl Into<Vec<u8>>, patience: usize) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        let (report, ended) = mpsc::channel(100);
        let count = accepted.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (answer, report) = (answer.clone(), report.clone());
                connections.spawn(async move {
                    if serve(stream, &answer, patience).await.is_err() {
                        report.try_send(()).ok();
                    }
                });
            }
        });
        let tls = crate::tls::client(None, None).unwrap();
        let links = Links::new(Dialer::new(&root, tls, BOUND).unwrap());
        Self { links, accepted, ended, _tasks: tasks }
    }

    async fn ask(&self) -> Result<AnswerBody, LinkError> {
        let request = Request::new(Full::default());
        let answer = timeout(BOUND, self.links.ask(request)).await.expect("it answers");
        answer.map(Response::into_body)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// An error when the other side left before we did.
async fn serve(stream: TcpStream, answer: &[u8], patience: usize) -> Result<(), ()> {
    let mut stream = BufReader::new(stream);
    for _ in 0..patience {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return Err(());
            }
        }
        stream.get_mut().write_all(answer).await.map_err(drop)?;
    }
    Ok(())
}

async fn read(mut body: AnswerBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(frame) = timeout(BOUND, body.frame()).await.expect("it goes on") {
        bytes.extend(frame.unwrap().into_data().unwrap());
    }
    bytes
}

const SHORT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";

#[tokio::test]
async fn an_answer_read_to_its_end_gives_its_connection_back() {
    let server = Server::start(SHORT, usize::MAX).await;
    for _ in 0..3 {
        assert_eq!(read(server.ask().await.unwrap()).await, b"[]");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn answers_at_the_same_time_have_connections_of_their_own() {
    let server = Server::start(SHORT, usize::MAX).await;
    let (one, other) = (server.ask().await.unwrap(), server.ask().await.unwrap());
    assert_eq!(server.accepted(), 2);
    assert_eq!([read(one).await, read(other).await], [b"[]", b"[]"]);
    read(server.ask().await.unwrap()).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn who_may_not_dial_waits_for_a_connection_that_becomes_free() {
    let server = Server::start(SHORT, usize::MAX).await;
    let first = server.ask().await.unwrap();
    let another_dials = server.links.0.dialling.acquire().await.unwrap();
    let mut second = std::pin::pin!(server.ask());
    assert!(timeout(Duration::from_millis(100), &mut second).await.is_err());
    read(first).await;
    read(second.await.unwrap()).await;
    assert_eq!(server.accepted(), 1);
    drop(another_dials);
    let (_third, _fourth) = (server.ask().await.unwrap(), server.ask().await.unwrap());
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn who_gets_no_answer_to_a_handshake_holds_nobody_up_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root: Url = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
    let tls = crate::tls::client(None, None).unwrap();
    let links = Links::new(Dialer::new(&root, tls, BOUND).unwrap());
    let mut asking = JoinSet::new();
    for _ in 0..2 {
        let links = links.clone();
        asking.spawn(async move { links.ask(Request::new(Full::default())).await.map(drop) });
    }
    let both = async { (silent.accept().await.unwrap(), silent.accept().await.unwrap()) };
    timeout(BOUND / 2, both).await.expect("the second one dials as well");
    assert!(asking.try_join_next().is_none(), "nobody was answered");
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_ends_its_connection() {
    let mut server = Server::start(SHORT, usize::MAX).await;
    drop(server.ask().await.unwrap());
    timeout(BOUND, server.ended.recv()).await.expect("the connection is ended");
    read(server.ask().await.unwrap()).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_its_connection() {
    let mut server = Server::start("HTTP/1.1 200 OK\r\n", usize::MAX).await;
    let request = Request::new(Full::default());
    let asked = timeout(Duration::from_millis(100), server.links.ask(request)).await;
    assert!(asked.is_err(), "the head never ends");
    timeout(BOUND, server.ended.recv()).await.expect("the connection is ended");
}

#[tokio::test]
async fn what_the_other_side_closed_meanwhile_is_not_asked() {
    let server = Server::start(SHORT, 1).await;
    for connections in 1..4 {
        read(server.ask().await.unwrap()).await;
        assert_eq!(server.accepted(), connections);
        // The end of the stream is on its way.
        let closed = async {
            while let Some(mut link) = server.links.pop(Instant::now()) {
                if !link.is_free().await {
                    break;
                }
                server.links.keep(link);
                tokio::task::yield_now().await;
            }
        };
        timeout(BOUND, closed).await.expect("it is noticed");
    }
}

#[tokio::test]
async fn connections_are_kept_for_a_while_and_not_without_end() {
    let server = Server::start(SHORT, usize::MAX).await;
    let mut answers = Vec::new();
    for _ in 0..MOST_IDLE + 3 {
        answers.push(server.ask().await.unwrap());
    }
    for answer in answers {
        read(answer).await;
    }
    assert_eq!(server.links.0.idle().len(), MOST_IDLE);
    assert!(server.links.pop(Instant::now()).is_some());
    assert!(server.links.pop(Instant::now() + IDLE).is_none());
    assert!(server.links.0.idle().is_empty());
}

#[tokio::test]
async fn a_large_body_comes_in_pieces_however_it_is_framed() {
    let text = vec![b'x'; 3 * 1024 * 1024];
    let whole = [format!("content-length: {}\r\n\r\n", text.len()).as_bytes(), &text].concat();
    let mut chunked = b"transfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in text.chunks(100_000) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    for framed in [whole, chunked] {
        let answer = [b"HTTP/1.1 200 OK\r\n".as_slice(), &framed].concat();
        let server = Server::start(answer, usize::MAX).await;
        for _ in 0..2 {
            let mut body = server.ask().await.unwrap();
            let mut length = 0;
            while let Some(frame) = timeout(BOUND, body.frame()).await.expect("it goes on") {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() <= READ_AT_ONCE, "{}", piece.len());
                assert!(piece.iter().all(|byte| *byte == b'x'));
                length += piece.len();
            }
            assert_eq!(length, text.len());
        }
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error_and_so_is_nobody() {
    let server = Server::start("220 mail.example ESMTP\r\n", 1).await;
    assert!(matches!(server.ask().await, Err(LinkError::Broken(_))));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody: Url = format!("http://{nobody}").parse().unwrap();
    let tls = crate::tls::client(None, None).unwrap();
    let links = Links::new(Dialer::new(&nobody, tls, BOUND).unwrap());
    let asked = links.ask(Request::new(Full::default())).await;
    assert!(matches!(asked, Err(LinkError::Dial(DialError::Connect(_)))));
}

/// For everything that happens at once.
const BOUND: Duration = Duration::from_secs(20);

//! Sizes, times and the way out.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Sends bytes as they are and returns the answer's text when the server has closed.
async fn raw(port: &Port, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    answer.to_lowercase()
}

fn head(auth_id: &str, more: &str) -> String {
    format!("POST /webhook HTTP/1.1\r\nhost: x\r\nwebhook-authid: {auth_id}\r\n{more}\r\n\r\n")
}

fn filler(size: usize) -> Vec<u8> {
    let mut body = b"[{\"x\":\"".to_vec();
    body.resize(size - 3, b'x');
    body.extend_from_slice(b"\"}]");
    body
}

#[tokio::test]
async fn a_wrong_auth_id_is_told_before_the_body_is_read() {
    let port = Port::open().await;
    // No byte of the body is there, and the client even waits to be asked for it.
    let length = format!("content-length: {}", 1_u64 << 40);
    for more in [
        length.clone(),
        format!("{length}\r\nexpect: 100-continue"),
        "transfer-encoding: chunked".into(),
    ] {
        let answer = raw(&port, head("0123456789abcdef-wrong", &more).as_bytes()).await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    // A client that sends it all the same still gets its answer.
    for protocol in PROTOCOLS {
        let huge = with(post(filler(1024 * 1024)), "webhook-authid", "0123456789abcdef-wrong");
        assert_eq!(status(&port, protocol, huge).await, 401);
    }
}

#[tokio::test]
async fn bodies_up_to_the_cap_are_read_and_larger_ones_are_not() {
    let max = 64 * 1024;
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        let chunked = |size| {
            let body = filler(size);
            let chunks: Vec<_> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
            post_chunks(chunks)
        };
        assert_eq!(status(&port, protocol, post(filler(max))).await, 200);
        assert_eq!(status(&port, protocol, chunked(max)).await, 200);
        assert_eq!(status(&port, protocol, post(filler(max + 1))).await, 413);
        assert_eq!(status(&port, protocol, chunked(max + 1)).await, 413);
        assert_eq!(status(&port, protocol, chunked(max * 20)).await, 413);
        assert_eq!(port.requests("too_large"), 3.0);
    }
}

#[tokio::test]
async fn a_declared_length_over_the_cap_is_refused_at_once() {
    let port = Port::open().await;
    let more = "content-length: 65537\r\nexpect: 100-continue";
    let answer = raw(&port, head(AUTH_ID, more).as_bytes()).await;
    assert!(answer.starts_with("http/1.1 413"), "{answer}");
    assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let port = Port::open_with(|config| {
        config.header_timeout = Duration::from_millis(200);
    })
    .await;
    assert_eq!(raw(&port, b"POST /webhook HTTP/1.1\r\nhost:").await, "");
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let port = Port::open_with(|config| {
        config.request_timeout = Duration::from_millis(200);
    })
    .await;
    let request = head(AUTH_ID, "content-length: 100") + "[{";
    let answer = raw(&port, request.as_bytes()).await;
    assert!(answer.starts_with("http/1.1 408"), "{answer}");
    assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");

    let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"[{")))]);
    let endless = futures_util::StreamExt::chain(begun, stream::pending());
    let request = with_body(StreamBody::new(endless).boxed());
    assert_eq!(status(&port, Protocol::Http2, request).await, 408);
    assert_eq!(port.requests("timed_out"), 2.0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_notification() {
    let port = Port::open().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let request = head(AUTH_ID, "content-length: 100") + "[]";
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    until(|| port.requests("aborted") == 1.0).await;
    let request = head(AUTH_ID, "transfer-encoding: chunked") + "x\r\n";
    raw(&port, request.as_bytes()).await;
    until(|| port.requests("aborted") == 2.0).await;
}

#[tokio::test]
async fn i7_no_more_bodies_are_read_at_a_time_than_connections_are_allowed() {
    let port = Port::waiting(|config| config.max_connections = 1).await;
    let Client::Http2(sender, _task) = Client::connect(port.address, Protocol::Http2).await else {
        panic!("asked for HTTP/2");
    };
    let send = |body: String| {
        let mut sender = sender.clone();
        async move { in_time(sender.send_request(post(body))).await.unwrap().status() }
    };
    let mut first = Box::pin(send(format!("[{}]", entry("a"))));
    let early = timeout(Duration::from_millis(100), &mut first).await;
    assert!(early.is_err(), "nothing is recorded yet: {early:?}");
    // This one needs no ledger, but its body has no place as long as the other one's is held.
    let mut second = Box::pin(send("no notification".into()));
    let early = timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "read beside another one: {early:?}");
    port.commit();
    assert_eq!(first.await, 200);
    assert_eq!(second.await, 400);
}

#[tokio::test]
async fn connections_are_kept_for_further_requests() {
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        let mut client = Client::connect(port.address, protocol).await;
        for id in ["a", "b", "c"] {
            let answer = client.ask(post(format!("[{}]", entry(id)))).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers[CONTENT_LENGTH], "0");
        }
        assert_eq!(port.recorded().await, 3);
    }
}

#[tokio::test]
async fn draining_goes_on_for_its_delay_then_finishes_what_was_begun() {
    for protocol in PROTOCOLS {
        let drain_delay = Duration::from_secs(1);
        let mut port = Port::waiting(|config| config.drain_delay = drain_delay).await;
        let mut idle = Client::connect(port.address, protocol).await;
        assert_eq!(idle.ask(post("[]")).await.status, 200);
        port.stop.request();
        // The balancer has not noticed yet, and is told where the protocol has a word for it.
        let mut late = Client::connect(port.address, protocol).await;
        let answer = late.ask(post("[]")).await;
        assert_eq!(answer.status, 200);
        let told = answer.headers.get(CONNECTION).map(|word| word.as_bytes());
        let word = (!matches!(protocol, Protocol::Http2)).then_some(b"close".as_slice());
        assert_eq!(told, word);

        let mut busy = Client::connect(port.address, protocol).await;
        let mut answer = Box::pin(busy.ask(post(format!("[{}]", entry("a")))));
        let early = timeout(Duration::from_millis(100), &mut answer).await;
        assert!(early.is_err(), "nothing to answer yet: {early:?}");
        idle.closed().await;
        assert!(TcpStream::connect(port.address).await.is_err());
        assert!(!port.task.is_empty());
        port.commit();
        assert_eq!(answer.await.status, 200);
        in_time(port.task.join_next()).await.unwrap().unwrap();
        assert_eq!(port.recorded().await, 1);
    }
}

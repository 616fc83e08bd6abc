//! Requests inside requests, through a real nginx and a real `HAProxy` and without either.
//!
//! Where a proxy and we disagree about the end of a request, the rest of an attacker's becomes the
//! beginning of an honest one. So the hidden request asks for a path of its own, and nobody must
//! ever see it asked for.

use std::net::SocketAddr;

use super::{
    proxies::Proxy,
    target::{Rude, Target},
};
use crate::support::edge::Protocol;

/// Heads of which some reader may believe that the body ends early.
const TRICKS: &[&str] = &[
    "Content-Length: {long}",
    "Content-Length: {long}\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: {long}",
    "Content-Length: {short}\r\nContent-Length: {long}",
    "Content-Length: {short}, {long}",
    "Content-Length: +{short}",
    "Content-Length: 0x5",
    "Content-Length: {short}\r\nTransfer-Encoding: xchunked",
    "Content-Length: {short}\r\nTransfer-Encoding: chunked, identity",
    "Content-Length: {short}\r\nTransfer-Encoding: identity, chunked",
    "Content-Length: {short}\r\nTransfer-Encoding:\tchunked",
    "Content-Length: {short}\r\nTransfer-Encoding : chunked",
    "Content-Length: {short}\r\n Transfer-Encoding: chunked",
    "Content-Length: {short}\r\nTransfer-Encoding: \x0bchunked",
    "Content-Length: {short}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Content-Length: {short}\r\nTransfer_Encoding: chunked",
    "Content-Length: {short}\r\nX: y\nTransfer-Encoding: chunked",
    "Content-Length: {short}\r\nX: y\rTransfer-Encoding: chunked",
    "Content-Length: {short}\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding",
    "Content-Length: {short}\r\nExpect: 100-continue",
    "Content-Length: {short}\r\nContent-Length: {short}",
    "Content-Length: {short}\r\nContent-Length : {long}",
    "Content-Length: {short}\r\n\tContent-Length: {long}",
    "Content-Length: {short}\r\nContent_Length: {long}",
    "Content-Length: {short}\r\n {long}",
    "Content-Length: {short}\r\nContent-Length\0: {long}",
    "Content-Length: -1",
    "Content-Length: {short}\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
    CHUNKED,
];

/// Beginnings of bodies of which some reader may believe that they end early, or late.
const CHUNKS: &[&str] = &[
    "0\n\r\n",
    "0\n\n",
    "0;x\n\r\n",
    "0;\"\r\n\"\r\n\r\n",
    "0 \r\n\r\n",
    " 0\r\n\r\n",
    "0x0\r\n\r\n",
    "+0\r\n\r\n",
    "-0\r\n\r\n",
    "000000000000000000000\r\n\r\n",
    "2\r\n[]0\r\n\r\n",
    "2\n[]\n0\n\n",
    "2\r[]\r0\r\r",
    "10000000000000002\r\n[]\r\n0\r\n\r\n",
    "2;\0\r\n[]\r\n0\r\n\r\n",
    "2\r\n[]\r\n0\r\nContent-Length: 5\r\n\r\n",
    "2\r\n[]\r\n0\r\nWebhook-AuthID: x\n\r\n",
];

/// How a request may begin: the two must not disagree about where it goes either.
const LINES: &[&str] = &[
    "POST /webhook HTTP/1.1\r\nHost: x",
    "POST http://x/webhook HTTP/1.1\r\nHost: y",
    "POST http://x@y/webhook HTTP/1.1\r\nHost: x",
    "POST /webhook HTTP/1.0\r\nHost: x\r\nConnection: keep-alive",
    "POST  /webhook HTTP/1.1\r\nHost: x",
    "POST /webhook\tHTTP/1.1\r\nHost: x",
    "POST /webhook HTTP/1.1\r\nHost: x\r\nHost: y",
    "\r\nPOST /webhook HTTP/1.1\r\nHost: x",
];

const CHUNKED: &str = "Transfer-Encoding: chunked";

const END: &str = "0\r\n\r\n";

/// Every trick with a body that some take for one in chunks that is over at once, and every such
/// body; each by itself, because the first fault of a request hides what comes after it.
fn attacks(auth_id: &str) -> Vec<String> {
    let tricks = TRICKS.iter().map(|trick| (LINES[0], *trick, END));
    let chunks = CHUNKS.iter().map(|chunks| (LINES[0], CHUNKED, *chunks));
    let lines = LINES.iter().flat_map(|line| {
        [CHUNKED, "Content-Length: {short}\r\nTransfer-Encoding: chunked"]
            .map(|trick| (*line, trick, END))
    });
    let attack = |(line, trick, begin): (&str, &str, &str)| {
        // Never ended, so that it does nothing by itself, but swallows what follows.
        let body = format!("{begin}GET /hidden HTTP/1.1\r\nX: y");
        let trick = trick.replace("{long}", &body.len().to_string()).replace("{short}", "5");
        // As a validation whatever its body is, so that no reading of it ends the connection.
        format!(
            "{line}\r\nWebhook-AuthID: {auth_id}\r\nWebhook-ValidationCode: x\r\n{trick}\r\n\r\n{body}"
        )
    };
    tricks.chain(chunks).chain(lines).map(attack).collect()
}

async fn check(target: &Target, port: SocketAddr) {
    let mut validated = 0;
    // Also by somebody who knows the auth id, whose connections are kept for further requests.
    for auth_id in [target.auth_id(), "0123456789abcdef-wrong".to_owned()] {
        for attack in attacks(&auth_id) {
            let accepted = target.requests("accepted").await;
            let mut rude = Rude::connect(port).await;
            rude.send(&attack).await;
            // Whoever waits for more is told by our time for bodies, or the proxy's for heads.
            let status = rude.status().await;
            drop(rude);
            // What an honest caller gets next, over whatever connection the proxy kept, is his own.
            for _ in 0..3 {
                let answer = target.post("[]").ask(port, Protocol::Http1).await;
                assert_eq!(answer.status, 200, "after {attack:?}, which got {status:?}");
            }
            let grown = target.requests("accepted").await - accepted;
            assert_eq!(grown, 3.0, "after {attack:?}, which got {status:?}");
            validated += usize::from(status == Some(200));
        }
    }
    assert_eq!(target.requests("method_not_allowed").await, 0.0);
    assert_eq!(target.requests("not_found").await, 0.0, "the hidden request was asked");
    assert!(validated >= 5, "only {validated} came through as a whole request");
}

async fn target() -> Target {
    Target::start(&[
        ("webhook.trusted_proxies", r#"["127.0.0.0/8"]"#),
        ("webhook.body_timeout", "500ms"),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn header_smuggling_through_nginx() {
    let target = target().await;
    let proxy = Proxy::nginx(target.site.webhook).await;
    check(&target, proxy.port).await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_smuggling_through_haproxy() {
    let target = target().await;
    let proxy = Proxy::haproxy_with_header(target.site.webhook).await;
    check(&target, proxy.port).await;
    target.finish().await;
}

/// Without a proxy who pipelines only fools himself; but he must not fool us about the auth id.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_the_last_of_its_connection() {
    let target = target().await;
    let right = target.post("[]").bytes();
    let wrong = crate::support::edge::Post::new("0123456789abcdef-wrong", "[]").bytes();
    let mut rude = Rude::connect(target.site.webhook).await;
    rude.send([wrong, right].concat()).await;
    assert_eq!(rude.status().await, Some(401));
    assert_eq!(rude.status().await, None, "nothing after a refusal is looked at");
    assert_eq!(target.requests("accepted").await, 0.0);
    target.finish().await;
}

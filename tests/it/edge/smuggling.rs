//! Requests inside requests, through a real nginx and a real `HAProxy` and without either.
//!
//! Where a proxy and we disagree about the end of a request, the rest of an attacker's becomes the
//! beginning of an honest one. So the hidden request asks for a path of its own, and nobody must
//! ever see it asked for.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::target::{Rude, Target};
use crate::support::{edge::Protocol, eventually, ports, processes::Process};

/// Heads of which some reader may believe that the body ends early.
const TRICKS: &[&str] = &[
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
    "Transfer-Encoding: chunked",
];

/// A chunked body that is over at once, or a body of a length that goes on: then the hidden one.
fn attack(trick: &str, auth_id: &str) -> Vec<u8> {
    let hidden = "GET /hidden HTTP/1.1\r\nX: y";
    let body = format!("0\r\n\r\n{hidden}");
    let trick = trick.replace("{long}", &body.len().to_string()).replace("{short}", "5");
    format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nWebhook-AuthID: {auth_id}\r\n{trick}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn check(target: &Target, port: SocketAddr) {
    let mut honest = target.requests("accepted").await;
    for trick in TRICKS {
        // Also by somebody who knows the auth id, whose connections are kept for further requests.
        for auth_id in [target.auth_id(), "0123456789abcdef-wrong".to_owned()] {
            let accepted = target.requests("accepted").await;
            let mut rude = Rude::connect(port).await;
            rude.send(attack(trick, &auth_id)).await;
            let status = rude.status().await;
            drop(rude);
            // What an honest caller gets next, over whatever connection the proxy kept, is his own.
            for _ in 0..3 {
                let answer = target.post("[]").ask(port, Protocol::Http1).await;
                assert_eq!(answer.status, 200, "after {trick:?}, which got {status:?}");
            }
            let grown = target.requests("accepted").await - accepted;
            assert!((3.0..=4.0).contains(&grown), "{grown} were accepted after {trick:?}");
            honest += 3.0;
        }
    }
    assert_eq!(target.requests("method_not_allowed").await, 0.0);
    assert!(target.requests("accepted").await >= honest);
}

/// A proxy in front of the collector.
struct Proxy {
    port: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    async fn start(
        program: &str,
        package: &str,
        config: impl Fn(SocketAddr, &Path) -> String,
    ) -> Self {
        assert!(Path::new(program).exists(), "{program} is missing: install the package {package}");
        let (port, folder) = (ports::free(), tempfile::tempdir().unwrap());
        let file = folder.path().join("config");
        fs::write(&file, config(port, folder.path())).unwrap();
        let mut command = Command::new(program);
        let flag = if program.ends_with("nginx") { "-c" } else { "-f" };
        command.arg(flag).arg(&file).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        eventually("the proxy listens", async || TcpStream::connect(port).await.is_ok()).await;
        Self { port, _process: process, _folder: folder }
    }

    async fn nginx(to: SocketAddr) -> Self {
        Self::start("/usr/sbin/nginx", "nginx-light", |port, folder| {
            let folder = folder.display();
            format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
                 events {{}}
                 http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                   fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                   upstream collector {{ server {to}; keepalive 4; }}
                   server {{ listen {port};
                     location / {{ proxy_pass http://collector; proxy_http_version 1.1;
                       proxy_set_header Connection \"\"; proxy_request_buffering off;
                       proxy_set_header X-Forwarded-For $remote_addr; }} }} }}"
            )
        })
        .await
    }

    async fn haproxy(to: SocketAddr) -> Self {
        Self::start("/usr/sbin/haproxy", "haproxy", |port, _| {
            format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 10s\n \
                 http-reuse always\n\
                 frontend f\n bind {port}\n default_backend b\n\
                 backend b\n server s {to} send-proxy-v2\n"
            )
        })
        .await
    }
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
    assert_eq!(target.requests("not_found").await, 0.0, "the hidden request was asked");
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_smuggling_through_haproxy() {
    let target = target().await;
    let proxy = Proxy::haproxy(target.site.webhook).await;
    check(&target, proxy.port).await;
    assert_eq!(target.requests("not_found").await, 0.0, "the hidden request was asked");
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

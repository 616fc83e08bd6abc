//! What only a trusted proxy may say, said by its callers: through a real nginx and a real
//! `HAProxy`, in every spelling by which a header might slip past one and be understood by the
//! other.

use std::{fs, net::Ipv4Addr};

use super::{
    proxies::{CERTIFICATE, Proxy},
    target::{Rude, Target},
};
use crate::support::collector::Site;

/// Ways to write a header of this name and value into a request.
const SPELLINGS: &[&str] = &[
    "{name}: {value}",
    "{lower}:{value}",
    "{upper}:\t{value}",
    "{name}: {value}\r\n{name}: {value}",
    "{name}: {value}, {value}",
    "{name} : {value}",
    "{name}\t: {value}",
    " {name}: {value}",
    "X: y\r\n {name}: {value}",
    "X: y\r\n\t{name}: {value}",
    "X: y\n{name}: {value}",
    "X: y\r{name}: {value}",
    "X: y\0\r\n{name}: {value}",
    "{name}\0: {value}",
    "{name}:\x0b{value}",
    "{name}: x,\r\n {value}",
    "{name}: \r\n {value}",
    "{under}: {value}",
    "{under}: {value}\r\n{name}: {value}",
    "Connection: {name}\r\n{name}: {value}",
    "Connection: close, {name}",
    "Connection: {name}, Forwarded\r\n{under}: {value}",
    "Forwarded: for={value}",
    "X-Real-IP: {value}",
    "True-Client-IP: {value}",
    "Via: 1.1 {value}\r\n{name}: {value}",
];

fn spelled(spelling: &str, name: &str, value: &str) -> String {
    spelling
        .replace("{name}", name)
        .replace("{lower}", &name.to_lowercase())
        .replace("{upper}", &name.to_uppercase())
        .replace("{under}", &name.replace('-', "_"))
        .replace("{value}", value)
}

/// Requests with the right auth id in which a header is forged, in the head or behind a body.
fn forged(auth_id: &str, name: &str, value: &str) -> Vec<String> {
    let spellings = SPELLINGS.iter().map(|spelling| spelled(spelling, name, value));
    let mut forged = Vec::new();
    for lines in spellings {
        // Before and behind the others: what goes wrong with one line may reach the next.
        forged.push(format!(
            "POST /webhook HTTP/1.1\r\n{lines}\r\nHost: x\r\nWebhook-AuthID: {auth_id}\r\n\
             Content-Length: 2\r\n\r\n[]"
        ));
        forged.push(format!(
            "POST http://x/webhook HTTP/1.1\r\nHost: x\r\nWebhook-AuthID: {auth_id}\r\n\
             Content-Length: 2\r\n{lines}\r\n\r\n[]"
        ));
    }
    forged.push(format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nWebhook-AuthID: {auth_id}\r\nTrailer: {name}\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n{name}: {value}\r\n\r\n"
    ));
    forged
}

async fn ask(proxy: &Proxy, source: Ipv4Addr, request: impl AsRef<[u8]>) -> Option<u16> {
    let mut rude = Rude::from(proxy.port, source).await.unwrap();
    rude.send(request).await;
    rude.status().await
}

async fn forged_source(target: Target, proxy: Proxy) {
    // Who is allowed gets in, also with a forged header in which he is somebody else.
    let request = target.post("[]");
    assert_eq!(ask(&proxy, ALLOWED, request.bytes()).await, Some(200));
    let humble = request.clone().with("x-forwarded-for", STRANGER.to_string());
    assert_eq!(ask(&proxy, ALLOWED, humble.bytes()).await, Some(200));
    assert_eq!(ask(&proxy, STRANGER, request.bytes()).await, Some(403));
    let before = target.requests("accepted").await;
    let allowed = ALLOWED.to_string();
    let mut requests = forged(&target.auth_id(), "X-Forwarded-For", &allowed);
    let text = format!("PROXY TCP4 {allowed} 127.0.0.1 4711 8080\r\n");
    let binary = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\x07\x01\x7f\0\0\x01\x12\x67\x1f\x50";
    for header in [&text, binary] {
        let request = String::from_utf8(request.bytes()).unwrap();
        requests.push(format!("{header}{request}"));
    }
    let mut reached = 0;
    for request in requests {
        let status = ask(&proxy, STRANGER, &request).await;
        assert_ne!(status, Some(200), "{request:?}");
        reached += usize::from(status == Some(403));
        // Nor does what is left on a kept connection make somebody else of the next caller.
        let next = ask(&proxy, STRANGER, target.post("[]").bytes()).await;
        assert_eq!(next, Some(403), "after {request:?}");
    }
    assert!(reached >= 15, "only {reached} came through to be refused by us");
    assert_eq!(target.requests("accepted").await, before);
    target.gone().await;
}

async fn source_target(required: bool) -> Target {
    Target::start(&[
        ("webhook.trusted_proxies", r#"["127.0.0.1/32"]"#),
        ("webhook.proxy_protocol", if required { "required" } else { "auto" }),
        ("webhook.allowed_sources", &format!(r#"["{ALLOWED}/32"]"#)),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_source_through_nginx() {
    let target = source_target(false).await;
    let proxy = Proxy::nginx(target.site.webhook).await;
    forged_source(target, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_source_through_haproxy() {
    let target = source_target(false).await;
    let proxy = Proxy::haproxy(target.site.webhook).await;
    forged_source(target, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_source_through_haproxy_that_writes_a_proxy_header() {
    let target = source_target(true).await;
    let proxy = Proxy::haproxy_with_header(target.site.webhook).await;
    forged_source(target, proxy).await;
}

/// Certificates are public: with a good one in the header, whoever gets it past the proxy is in.
async fn forged_certificate(front: impl AsyncFnOnce(std::net::SocketAddr) -> Proxy) {
    let mut site = Site::start(1, None, |_| ()).await;
    let material = site.simulator.material();
    let pem = fs::read_to_string(material.notifier_cert()).unwrap();
    let escaped = pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
    let ca = material.microsoft_ca().display().to_string();
    site.set("webhook.trusted_proxies", r#"["127.0.0.1/32"]"#);
    site.set("webhook.client_certificate.header", CERTIFICATE);
    site.set("webhook.client_certificate.ca", &ca);
    let target = Target::of(site).await;
    let proxy = front(target.site.webhook).await;
    // From the proxy itself it would be believed.
    let mut direct = Rude::connect(target.site.webhook).await;
    direct.send(target.post("[]").with("x-ssl-client-cert", &*escaped).bytes()).await;
    assert_eq!(direct.status().await, Some(200));
    for request in forged(&target.auth_id(), CERTIFICATE, &escaped) {
        let status = ask(&proxy, STRANGER, &request).await;
        assert_ne!(status, Some(200), "{request:?}");
    }
    assert_eq!(target.requests("accepted").await, 1.0);
    assert!(target.requests("certificate").await >= 15.0, "they came through without it");
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_certificate_through_nginx() {
    forged_certificate(Proxy::nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_certificate_through_haproxy() {
    forged_certificate(Proxy::haproxy).await;
}

/// Who may call, as the proxy sees him.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 7, 1);

/// Who may not.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 6, 1);

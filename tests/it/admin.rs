//! The admin port from outside: probes, the status page, and in [`series`] the metrics.

use std::time::Duration;

use m365_collector::{content::ContentType, simulator::DevoMode};
use serde::Deserialize;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::support::{Service, collector::Site, eventually, get, records};

mod series;

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_are_closed_sets() {
    let service = Service::builder().start().await;
    let address = service.admin;
    assert_eq!(get(address, "/livez").await, (200, "alive\n".to_owned()));
    let elsewhere = ["/metrics/", "/readyz/x", "/favicon.ico", "//", "/api", "/../etc/passwd"];
    let unknown =
        ["/?x=y", "/?tenant=b", "/api/events?tenant=0b2f7d5e-0000-4000-8000-000000000000"];
    for path in elsewhere.into_iter().chain(unknown) {
        assert_eq!(get(address, path).await, (404, String::new()), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        for path in ["/", "/metrics", "/livez", "/readyz", "/api/status", "/api/events"] {
            let answer = exchange(address, method, path).await;
            assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
        }
    }
    for (path, media) in [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4"),
        ("/readyz", "application/json"),
        ("/api/status", "application/json"),
    ] {
        let answer = exchange(address, "GET", path).await.to_lowercase();
        assert!(answer.contains(&format!("content-type: {media}\r\n")), "{path}: {answer}");
        assert!(answer.contains("content-length: "), "{path}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_ready_or_degraded_and_why() {
    let mut service = Service::builder().with("devo.confirm_timeout", "300ms").start().await;
    let health = ready_when(&service, "ready").await;
    let names: Vec<_> = health.parts.iter().map(|part| &*part.name).collect();
    assert_eq!(names, ["webhook", "ledger", "devo", "microsoft"]);
    assert!(health.parts.iter().all(|part| part.state == "ok"));

    // A receiver that takes everything and never confirms: still 200, with the remedy.
    service.simulator.devo().behave(DevoMode::NeverClose);
    let sent = records(1, service.tenant(0), ContentType::Exchange, 5);
    let tenant = service.tenant(0);
    service.simulator.microsoft().publish(tenant, ContentType::Exchange, &sent);
    let health = ready_when(&service, "degraded").await;
    let devo = health.parts.iter().find(|part| part.name == "devo").unwrap();
    assert_eq!(devo.state, "degraded");
    assert!(devo.detail.contains("devo.confirm = \"tcp\""), "{}", devo.detail);

    let (status, text) = service.admin("/api/status").await;
    assert_eq!(status, 200);
    let shown: Shown = serde_json::from_str(&text).expect("the status is JSON");
    assert_eq!(shown.readiness, "degraded");
    let [tenant] = &shown.tenants[..] else { panic!("one tenant") };
    assert_eq!((&*tenant.name, tenant.waiting), ("tenant-0", 1));
    assert!(tenant.expiry_seconds.is_some_and(|seconds| seconds > 6 * 24 * 3600));
    assert_eq!(tenant.subscriptions.len(), 5);
    assert!(tenant.subscriptions.iter().all(|subscription| subscription.ok), "{text}");

    // The page says the same, and what comes from elsewhere is escaped.
    let (status, page) = service.admin("/").await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<!DOCTYPE html>"));
    for text in ["takes records but never ends its stream", "tenant-0", "Audit.Exchange"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("devo.confirm = &quot;tcp&quot;") && !page.contains("\"tcp\""), "{page}");

    service.simulator.devo().behave(DevoMode::Normal);
    ready_when(&service, "ready").await;
    service.settled().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_process_is_not_ready_and_still_serves() {
    let mut site = Site::start(1, None, |_| ()).await;
    site.set("webhook.drain_delay", "10s");
    let collector = site.run().await;
    site.registered(5).await;
    collector.process.terminate();
    let mut health = None;
    eventually("it is not ready", async || {
        let (status, text) = get(site.admin, "/readyz").await;
        health = (status == 503).then_some(text);
        health.is_some()
    })
    .await;
    let health: Health = serde_json::from_str(&health.unwrap()).expect("readiness is JSON");
    assert_eq!((&*health.status, &*health.parts[0].state), ("not_ready", "failed"));
    assert!(health.parts[0].detail.contains("draining"), "{}", health.parts[0].detail);
    assert_eq!(get(site.admin, "/livez").await.0, 200);
    // The balancer has not noticed yet: what it still sends is accepted.
    let tenant = site.tenant(0);
    let sent = records(1, tenant, ContentType::General, 3);
    site.simulator.microsoft().publish(tenant, ContentType::General, &sent);
    eventually("a notification is accepted", async || {
        site.simulator.microsoft().attempts().iter().any(|attempt| attempt.status == Some(200))
    })
    .await;
    assert_eq!(collector.said().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_commit_is_not_ready_until_it_can() {
    let mut service = Service::builder()
        .world(|world| world.notification_retries = vec![Duration::from_millis(100); 100])
        .start()
        .await;
    ready_when(&service, "ready").await;
    // Somebody else's transaction on the file, longer than anybody waits for it.
    let path = service.folder.path().join("ledger.db");
    let options = SqliteConnectOptions::new().filename(path);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let sent = records(1, service.tenant(0), ContentType::Exchange, 3);
    service.publish(0, ContentType::Exchange, &sent);
    eventually("the notification is refused", async || {
        let attempts = service.simulator.microsoft().attempts();
        attempts.iter().any(|attempt| attempt.status == Some(503))
    })
    .await;
    // Somebody who probes gives up after a few seconds, and would take no answer for a crash.
    let asked = Instant::now();
    let (status, text) = service.admin("/readyz").await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(status, 503, "{text}");
    let health: Health = serde_json::from_str(&text).expect("readiness is JSON");
    let ledger = health.parts.iter().find(|part| part.name == "ledger").unwrap();
    assert_eq!((&*health.status, &*ledger.state), ("not_ready", "failed"));
    assert!(ledger.detail.contains("cannot commit"), "{}", ledger.detail);
    assert_eq!(service.admin("/metrics").await.0, 200, "what waits can still be read");
    assert_eq!(service.metric("m365_ledger_writable").await, 0.0);

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    eventually("it is ready again", async || service.admin("/readyz").await.0 == 200).await;
    assert_eq!(service.metric("m365_ledger_writable").await, 1.0);
    service.delivered().await;
    service.finish().await;
}

/// The answer of `/readyz` once it says this; 200 in any case.
async fn ready_when(service: &Service, wanted: &str) -> Health {
    let mut health = None;
    eventually("readiness changes", async || {
        let (status, text) = service.admin("/readyz").await;
        assert_eq!(status, 200, "{text}");
        let found: Health = serde_json::from_str(&text).expect("readiness is JSON");
        let is_wanted = found.status == wanted;
        health = Some(found);
        is_wanted
    })
    .await;
    health.unwrap()
}

async fn exchange(address: std::net::SocketAddr, method: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[derive(Deserialize)]
struct Health {
    status: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    state: String,
    detail: String,
}

#[derive(Deserialize)]
struct Shown {
    readiness: String,
    tenants: Vec<ShownTenant>,
}

#[derive(Deserialize)]
struct ShownTenant {
    name: String,
    waiting: u64,
    expiry_seconds: Option<i64>,
    subscriptions: Vec<ShownSubscription>,
}

#[derive(Deserialize)]
struct ShownSubscription {
    ok: bool,
}

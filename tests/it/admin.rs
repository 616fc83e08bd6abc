//! The admin port from outside: metrics, probes and the status page.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use expect_test::expect;
use m365_collector::{
    content::{ContentType, Via},
    reason::{Reason, Stage},
    simulator::DevoMode,
    webhook::Outcome,
};
use serde::Deserialize;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::support::{
    Service,
    collector::Site,
    eventually, get, ports, records,
    series::{Scrape, outline},
};

/// The metrics of the contract's table that exist so far, with the values of their labels. Those
/// of tables and histograms' buckets are left out.
fn expected_at_start(tenants: &[&str]) -> BTreeMap<String, f64> {
    let mut expected = BTreeMap::new();
    let mut zero = |name: &str, labels: &[(&str, &str)]| {
        expected.insert(spell(name, labels.iter().copied()), 0.0);
    };
    for tenant in tenants.iter().copied().chain([""]) {
        for reason in Reason::ALL {
            let labels = [
                ("tenant", tenant),
                ("stage", reason.stage().as_str()),
                ("reason", reason.as_str()),
            ];
            // Only what is refused at the door may belong to nobody, and that is final.
            let at_the_door = reason.stage() == Stage::Notification;
            if at_the_door || !tenant.is_empty() {
                zero("m365_messages_unsuccessfully_processed_total", &labels);
            }
            if !at_the_door && !tenant.is_empty() {
                zero("m365_attempts_failed_total", &labels);
            }
        }
    }
    for tenant in tenants {
        let tenant = ("tenant", *tenant);
        for name in [
            "m365_records_duplicate_total",
            "m365_records_unremembered_total",
            "m365_content_pending",
            "m365_oldest_pending_seconds",
            "m365_pending_expiry_seconds",
            "m365_delivery_lag_seconds_sum",
            "m365_delivery_lag_seconds_count",
            "m365_throttled_total",
            "m365_subscriptions_checked_timestamp_seconds",
        ] {
            zero(name, &[tenant]);
        }
        for outcome in ["complete", "failed", "refused"] {
            zero("m365_sweep_windows_total", &[tenant, ("outcome", outcome)]);
        }
        for content_type in ContentType::ALL {
            let content_type = ("content_type", content_type.as_str());
            for name in [
                "m365_messages_successfully_processed_total",
                "m365_subscription_enabled",
                "m365_webhook_enabled",
                "m365_last_success_timestamp_seconds",
                "m365_sweep_last_complete_timestamp_seconds",
            ] {
                zero(name, &[tenant, content_type]);
            }
            for via in Via::ALL {
                let via = ("via", via.as_str());
                zero("m365_content_announced_total", &[tenant, content_type, via]);
            }
            for outcome in ["delivered", "dead", "expired"] {
                let outcome = ("outcome", outcome);
                zero("m365_content_settled_total", &[tenant, content_type, outcome]);
            }
        }
    }
    for outcome in Outcome::ALL {
        zero("m365_webhook_requests_total", &[("outcome", outcome.as_str())]);
    }
    let endings = "displaced failed full proxy_header resets served timed_out tls_failed";
    for outcome in endings.split(' ') {
        zero("m365_webhook_connections_total", &[("outcome", outcome)]);
    }
    zero("m365_webhook_to_confirm_seconds_sum", &[]);
    zero("m365_webhook_to_confirm_seconds_count", &[]);
    zero("m365_devo_connected", &[]);
    zero("m365_ledger_disk_free_bytes", &[]);
    zero("m365_ledger_disk_size_bytes", &[]);
    let build = [("revision", "unknown"), ("version", env!("CARGO_PKG_VERSION"))];
    expected.insert(spell("m365_build_info", build), 1.0);
    expected.insert(spell("m365_ledger_writable", []), 1.0);
    expected.insert(spell("m365_webhook_configured", []), 1.0);
    expected
}

/// Families whose values depend on the moment or the machine.
const EARLY: [&str; 3] =
    ["m365_sweep_windows_total", "m365_subscriptions_checked_", "m365_ledger_disk_"];

/// A time that there is none of without a certificate, and zero would be one.
const NO_CERTIFICATE: &str = "m365_credential_expiry_timestamp_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn every_series_is_there_from_the_start_with_zero() {
    let service = Service::builder()
        .tenants(2)
        .with("subscriptions.manage", false)
        .devo(format!("tcp://{}", ports::free()))
        .start_unregistered()
        .await;
    let (status, text) = service.admin("/metrics").await;
    assert_eq!(status, 200);
    let found: BTreeMap<_, _> = Scrape::parse(&text)
        .0
        .into_iter()
        .filter(|series| series.name.starts_with("m365_") && !series.name.ends_with("_bucket"))
        .map(|series| {
            let labels = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            // Nobody subscribes, and the first look and the first sweep may have been told so
            // already. A disk has the size it has.
            let early = EARLY.iter().any(|early| series.name.starts_with(early));
            (spell(&series.name, labels), if early { 0.0 } else { series.value })
        })
        .collect();
    let expected = expected_at_start(&["tenant-0", "tenant-1"]);
    let missing: Vec<_> = expected.keys().filter(|series| !found.contains_key(*series)).collect();
    let extra: Vec<_> = found.keys().filter(|series| !expected.contains_key(*series)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
    assert_eq!(found, expected);
    assert!(!text.contains(NO_CERTIFICATE), "{text}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_these_names_and_labels_and_please_promtool() {
    let mut service = Service::builder().start().await;
    let records = records(1, service.tenant(0), ContentType::Exchange, 5);
    service.publish(0, ContentType::Exchange, &records);
    service.delivered().await;
    let (_, text) = service.admin("/metrics").await;
    expect![[r#"
        m365_attempts_failed_total counter {reason, stage, tenant}
        m365_build_info gauge {revision, version}
        m365_content_announced_total counter {content_type, tenant, via}
        m365_content_pending gauge {tenant}
        m365_content_settled_total counter {content_type, outcome, tenant}
        m365_credential_expiry_timestamp_seconds gauge {kind, tenant}
        m365_delivery_lag_seconds histogram {le, tenant}
        m365_devo_connected gauge {}
        m365_last_success_timestamp_seconds gauge {content_type, tenant}
        m365_ledger_disk_free_bytes gauge {}
        m365_ledger_disk_size_bytes gauge {}
        m365_ledger_writable gauge {}
        m365_messages_successfully_processed_total counter {content_type, tenant}
        m365_messages_unsuccessfully_processed_total counter {reason, stage, tenant}
        m365_oldest_pending_seconds gauge {tenant}
        m365_pending_expiry_seconds gauge {tenant}
        m365_records_delivered_total counter {table}
        m365_records_duplicate_total counter {tenant}
        m365_records_unremembered_total counter {tenant}
        m365_subscription_enabled gauge {content_type, tenant}
        m365_subscriptions_checked_timestamp_seconds gauge {tenant}
        m365_sweep_last_complete_timestamp_seconds gauge {content_type, tenant}
        m365_sweep_windows_total counter {outcome, tenant}
        m365_throttled_total counter {tenant}
        m365_webhook_configured gauge {}
        m365_webhook_connections_total counter {outcome}
        m365_webhook_enabled gauge {content_type, tenant}
        m365_webhook_requests_total counter {outcome}
        m365_webhook_to_confirm_seconds histogram {le}
        process_cpu_seconds_total counter {}
        process_max_fds gauge {}
        process_open_fds gauge {}
        process_resident_memory_bytes gauge {}
        process_start_time_seconds gauge {}
        process_threads gauge {}
        process_virtual_memory_bytes gauge {}
    "#]]
    .assert_eq(&outline(&text));

    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool is missing: install the package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.is_empty() && err.is_empty(), "{out}{err}");
    service.finish().await;
}

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

fn spell<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels: BTreeMap<_, _> = labels.into_iter().collect();
    format!("{name}{labels:?}")
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

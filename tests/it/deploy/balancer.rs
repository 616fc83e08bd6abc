//! The load balancers: their configurations in the real programs, before one collector.

use std::{net::SocketAddr, process::Command};

use serde_json::json;

use crate::support::{
    balancer::{Balancer, Kind},
    collector::Site,
    eventually, get,
};

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_passes_the_webhook_on_with_who_calls_and_nothing_else() {
    passes_the_webhook_on(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_the_webhook_on_with_who_calls_and_nothing_else() {
    passes_the_webhook_on(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_passes_tls_through_with_who_calls() {
    passes_the_webhook_on(Kind::Passthrough).await;
}

async fn passes_the_webhook_on(kind: Kind) {
    let mut site = Site::start(1, None, |_| ()).await;
    // What the balancer says is believed, and shows in who may call.
    site.set("webhook.trusted_proxies", &json!(["127.0.0.1/32"]));
    site.set("webhook.allowed_sources", &json!([ALLOWED]));
    let simulator = &site.simulator;
    let certificate = (simulator.devo_cert_path(), simulator.devo_key_path());
    let (keys, folder, admin) = (kind.keys(certificate), site.folder.path(), site.admin);
    let behind = [site.webhook];
    let balancer = Balancer::start(kind, folder, certificate, &behind, admin.port()).await;
    for (key, value) in keys {
        site.set(key, &value);
    }
    let port = balancer.port;
    let allowed = |path: &str, more: &[&str]| post(port, ALLOWED, path, more);
    // Before there is a collector it says so.
    let nobody = match kind {
        Kind::Haproxy => "503",
        Kind::Nginx => "502",
        Kind::Passthrough => "000",
    };
    eventually("nobody is there", async || allowed("/webhook", &[]).starts_with(nobody)).await;
    let collector = site.run().await;
    eventually("it finds the collector", async || allowed("/webhook", &[]).starts_with("401"))
        .await;
    assert_eq!(allowed("/webhook", &["--http2"]), "401 2");
    assert_eq!(allowed("/webhook", &["--http1.1"]), "401 1.1");
    for path in ["/", "/readyz", "/metrics", "/webhook/x"] {
        assert_eq!(allowed(path, &[]), "404 2", "{path}");
    }
    // Somebody else, and what he says of himself.
    let forged = ["--header", &format!("X-Forwarded-For: {ALLOWED}")];
    assert_eq!(post(port, OTHER, "/webhook", &[]), "403 2");
    assert_eq!(post(port, OTHER, "/webhook", &forged), "403 2");
    assert_eq!(get(admin, "/readyz").await.0, 200);
    collector.stop().await;
    drop(balancer);
}

/// The status of a request without an auth id, and the version of HTTP it came over.
fn post(port: SocketAddr, from: &str, path: &str, more: &[&str]) -> String {
    let said = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "20", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code} %{http_version}", "--request", "POST"])
        .args(["--interface", from])
        .args(more)
        .arg(format!("https://{port}{path}"))
        .output()
        .expect("curl is missing: tests/run installs it");
    String::from_utf8(said.stdout).unwrap()
}

/// Who may call.
const ALLOWED: &str = "127.0.0.9";

/// Who may not.
const OTHER: &str = "127.0.0.10";

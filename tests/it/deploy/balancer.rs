//! The load balancer of `compose.yaml`: its configuration in the real `HAProxy`.

use std::{net::SocketAddr, process::Command};

use serde_json::json;

use crate::support::{collector::Site, eventually, get, haproxy::Haproxy};

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_webhook_on_with_who_calls_and_nothing_else() {
    let mut site = Site::start(1, None, |_| ()).await;
    // What the balancer says is believed, and shows in who may call.
    site.set("webhook.trusted_proxies", &json!(["127.0.0.1/32"]));
    site.set("webhook.proxy_protocol", "required");
    let simulator = &site.simulator;
    let certificate = (simulator.devo_cert_path(), simulator.devo_key_path());
    let folder = site.folder.path();
    let haproxy = Haproxy::start(folder, certificate, &[site.webhook], site.admin.port()).await;
    let port = haproxy.port;
    // Before there is a collector it says so.
    eventually("it knows that nobody is there", async || post(port, "/webhook") == "503").await;
    let collector = site.run().await;
    eventually("it finds the collector", async || post(port, "/webhook") == "401").await;
    for path in ["/", "/readyz", "/metrics", "/webhook/x"] {
        assert_eq!(post(port, path), "404", "{path}");
    }
    assert_eq!(get(site.admin, "/readyz").await.0, 200);
    collector.stop().await;
    drop(haproxy);
}

/// The status of a request without an auth id.
fn post(port: SocketAddr, path: &str) -> String {
    let said = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "20", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--request", "POST"])
        .arg(format!("https://{port}{path}"))
        .output()
        .expect("curl is missing: tests/run installs it");
    String::from_utf8(said.stdout).unwrap()
}

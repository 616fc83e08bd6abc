//! The load balancer of `compose.yaml`: its configuration in the real `HAProxy`.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use tokio::net::TcpStream;

use super::deployed;
use crate::support::{collector::Site, eventually, get, ports, processes::Process};

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_webhook_on_with_who_calls_and_nothing_else() {
    let mut site = Site::start(1, None, |_| ()).await;
    // What the balancer says is believed, and shows in who may call.
    site.set("webhook.trusted_proxies", &json!(["127.0.0.1/32"]));
    site.set("webhook.proxy_protocol", "required");
    let certificate = site.folder.path().join("certificate.pem");
    let mut both = fs::read(site.simulator.devo_cert_path()).unwrap();
    both.extend(fs::read(site.simulator.devo_key_path()).unwrap());
    fs::write(&certificate, both).unwrap();
    let port = ports::free();
    let mut haproxy = Command::new("/usr/sbin/haproxy");
    haproxy
        .arg("-db")
        .arg("-f")
        .arg(deployed("compose/haproxy.cfg"))
        .env("M365_BIND", port.to_string())
        .env("M365_CERTIFICATE", &certificate)
        .env("M365_WEBHOOK", site.webhook.to_string())
        .env("M365_ADMIN_PORT", site.admin.port().to_string())
        .stdout(fs::File::create(site.folder.path().join("haproxy.out")).unwrap())
        .stderr(fs::File::create(site.folder.path().join("haproxy.err")).unwrap());
    let haproxy = Process::start(&mut haproxy);
    eventually("haproxy listens", async || TcpStream::connect(port).await.is_ok()).await;
    // Before there is a collector it says so.
    eventually("it knows that nobody is there", async || {
        post(&certificate, port, "/webhook") == "503"
    })
    .await;
    let collector = site.run().await;
    eventually("it finds the collector", async || post(&certificate, port, "/webhook") == "401")
        .await;
    for path in ["/", "/readyz", "/metrics", "/webhook/x"] {
        assert_eq!(post(&certificate, port, path), "404", "{path}");
    }
    assert_eq!(get(site.admin, "/readyz").await.0, 200);
    collector.stop().await;
    drop(haproxy);
}

/// The status of a request without an auth id.
fn post(certificate: &Path, port: std::net::SocketAddr, path: &str) -> String {
    let said = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "20", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--request", "POST"])
        .arg(format!("https://{port}{path}"))
        .current_dir(certificate.parent().unwrap())
        .output()
        .expect("curl is missing: tests/run installs it");
    String::from_utf8(said.stdout).unwrap()
}

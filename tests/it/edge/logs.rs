//! What callers say in the log: nothing, and nothing that would be somebody else's line.

use serde_json::json;
use uuid::Uuid;

use super::target::{Rude, Target};
use crate::support::{
    edge::{Post, Protocol},
    get,
};

const EVIL: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{202e}\u{85}";

async fn attacked(format: &str) -> String {
    let target = Target::start(&[
        ("log.filter", "trace"),
        ("log.format", format),
        ("webhook.trusted_proxies", r#"["127.0.0.0/8"]"#),
    ])
    .await;
    let port = target.site.webhook;
    let secret = || Uuid::new_v4().simple().to_string();
    let mut hidden: Vec<String> = (0..10).map(|_| secret()).collect();
    hidden.push(target.auth_id());
    let mut entry = target.entry(EVIL);
    target.forge(&[entry.clone()]).await;
    for field in ["tenantId", "clientId", "contentType", "contentUri"] {
        entry[field] = json!(format!("{EVIL}{}", hidden[0]));
        target.forge(&[entry.clone()]).await;
    }
    for protocol in Protocol::ALL {
        for post in [
            Post::new(hidden[1].clone(), hidden[2].clone()),
            target.post(hidden[3].clone()),
            target.post("[]").with("x-forwarded-for", hidden[4].clone()),
            target.post("[]").path(format!("/{}%0aERROR%20forged", hidden[5])),
            target.post("[]").with("webhook-validationcode", hidden[6].clone()),
            target.post("[]").with("cookie", hidden[7].clone()),
        ] {
            post.ask(port, protocol).await;
        }
    }
    for raw in [
        format!("POST /webhook HTTP/1.1\r\nhost: x\r\nx: {}\u{1b}[2J\u{85}\r\n\r\n", hidden[8]),
        format!("PROXY TCP4 {EVIL} {}\r\n", hidden[9]),
        EVIL.repeat(100),
    ] {
        let mut rude = Rude::connect(port).await;
        rude.send(raw).await;
        rude.closed().await;
    }
    let mut shown = Vec::new();
    for page in ["/metrics", "/api/status", "/", "/readyz"] {
        shown.push(get(target.site.admin, page).await.1);
    }
    let said = target.finish().await;
    shown.extend([said.out, said.err.clone()]);
    for text in &shown {
        for hidden in &hidden {
            let line = text.lines().find(|line| line.contains(hidden.as_str()));
            assert_eq!(line, None, "something a caller said");
        }
        assert!(!text.contains("forged"), "a line that a caller wrote");
    }
    said.err
}

#[tokio::test(flavor = "multi_thread")]
async fn log_injection_in_text() {
    let log = attacked("text").await;
    for line in log.lines() {
        // A line that is none of ours begins with the time, and holds nothing a terminal obeys.
        assert!(line.starts_with("20") && line.as_bytes().get(4) == Some(&b'-'), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 16 * 1024, "{} bytes", line.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_injection_in_json() {
    let log = attacked("json").await;
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        assert!(event.get("level").is_some(), "{line}");
    }
}

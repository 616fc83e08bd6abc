//! What callers say in the log: nothing, and nothing that would be somebody else's line.

use m365_collector::simulator::{Fault, Operation};
use serde_json::json;
use uuid::Uuid;

use super::target::{Rude, Target};
use crate::support::{
    edge::{Post, Protocol},
    get,
};

const EVIL: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{202e}\u{2066}\u{85}\u{9b}31m\u{2028}\u{7f}\u{feff}";

/// What changes a terminal, a line, or the order in which a line is read.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || "\u{2028}\u{2029}\u{feff}\u{200e}\u{200f}".contains(character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

async fn attacked(format: &str) -> String {
    let target = Target::start(&[
        ("log.filter", "trace"),
        ("log.format", format),
        ("webhook.trusted_proxies", r#"["127.0.0.0/8"]"#),
    ])
    .await;
    let port = target.site.webhook;
    let secret = || Uuid::new_v4().simple().to_string();
    let mut hidden: Vec<String> = (0..20).map(|_| secret()).collect();
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
    // Every part of a request that a caller may fill, as far as HTTP lets him.
    let tame: String = EVIL.chars().filter(|c| !c.is_ascii_control()).collect();
    for (n, raw) in [
        "{} /webhook HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /{} HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /webhook?{} HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST http://{}/webhook HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /webhook HTTP/{}\r\nhost: x\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nhost: {}\r\nuser-agent: {}\r\nreferer: {}\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nhost: x\r\n{}: {}\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {}\r\nforwarded: {}\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nhost: x\r\nwebhook-authid: {}\r\nwebhook-validationcode: {}\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        for text in [&hidden[10 + n], &format!("{EVIL}{}", hidden[10 + n]), &format!("{tame}{}", hidden[10 + n])] {
            let mut rude = Rude::connect(port).await;
            rude.send(raw.replace("{}", text)).await;
            rude.status().await;
        }
    }
    // Microsoft's side is not trusted with our log either.
    let microsoft = target.site.simulator.microsoft();
    let error = json!({"error": {"code": format!("AF20023{EVIL}"), "message": format!("{EVIL}{}", hidden[19])}});
    for (operation, status) in [
        (Operation::Blob, 400),
        (Operation::Blob, 500),
        (Operation::List, 403),
        (Operation::Token, 400),
    ] {
        let headers = vec![("retry-after".to_owned(), hidden[19].clone())];
        microsoft.fail(
            operation,
            Fault::Status { status, headers, body: error.to_string().into_bytes() },
            1,
        );
    }
    microsoft.forget_tokens();
    target.forge(&[]).await;
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
        assert!(!line.chars().any(is_harmful), "{line:?}");
        assert!(line.len() < 16 * 1024, "{} bytes", line.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_injection_in_json() {
    let log = attacked("json").await;
    for line in log.lines() {
        assert!(!line.chars().any(is_harmful), "{line:?}");
        assert!(line.len() < 16 * 1024, "{} bytes", line.len());
        let event: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        assert!(event.get("level").is_some(), "{line}");
    }
}

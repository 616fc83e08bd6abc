//! Who may call: addresses, proxies, and the auth id while it is rotated.

use std::{fs, net::SocketAddr};

use crate::support::{
    Service,
    edge::{Post, Protocol},
};

async fn ask(port: SocketAddr, request: &Post, expected: u16) {
    for protocol in Protocol::ALL {
        let answer = request.ask(port, protocol).await;
        assert_eq!(answer.status, expected, "{protocol:?} {request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_are_not_allowed_are_refused_before_anything_else_is_looked_at() {
    let service = Service::builder()
        .with("webhook.allowed_sources", r#"["192.0.2.0/24"]"#)
        .start_unregistered()
        .await;
    let port = service.webhook;
    ask(port, &service.post("[]"), 403).await;
    ask(port, &Post::new("wrong", "[]"), 403).await;
    // Nobody is a proxy here, so nobody's word counts.
    ask(port, &service.post("[]").with("x-forwarded-for", "192.0.2.7"), 403).await;
    assert!(service.outcome("forbidden").await >= 6.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_a_trusted_proxy_counts_and_only_its_last_hop() {
    let service = Service::builder()
        .with("webhook.allowed_sources", r#"["192.0.2.0/24", "2001:db8::/32"]"#)
        .with("webhook.trusted_proxies", r#"["127.0.0.0/8", "10.0.0.0/8"]"#)
        .start_unregistered()
        .await;
    let port = service.webhook;
    let from = |hops: &str| service.post("[]").with("x-forwarded-for", hops);
    ask(port, &from("192.0.2.7"), 200).await;
    ask(port, &from("192.0.2.7:4711"), 200).await;
    ask(port, &from("[2001:db8::7]:4711"), 200).await;
    ask(port, &from("203.0.113.9, 192.0.2.7, 10.1.2.3"), 200).await;
    // What stands left of the last hop we do not trust may be made up by it.
    ask(port, &from("192.0.2.7, 203.0.113.9"), 403).await;
    ask(port, &from("192.0.2.7").with("x-forwarded-for", "203.0.113.9"), 403).await;
    ask(port, &from("unknown"), 403).await;
    ask(port, &from(""), 403).await;
    ask(port, &service.post("[]"), 403).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_auth_ids_are_right_while_they_are_rotated() {
    let previous = "the-auth-id-of-last-year";
    let service = Service::builder().with("webhook.previous_auth_id", previous).start().await;
    let port = service.webhook;
    ask(port, &Post::new(previous, "[]"), 200).await;
    ask(port, &service.post("[]"), 200).await;
    ask(port, &Post::new("the-auth-id-of-next-year", "[]"), 401).await;
    // Microsoft is told the new one only.
    for (feed, subscription) in service.simulator.microsoft().subscriptions() {
        let auth_id = subscription.webhook.and_then(|webhook| webhook.auth_id);
        assert_eq!(auth_id, Some(service.auth_id()), "{feed:?}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_id_is_read_again_when_its_file_changes() {
    let service = Service::builder().start().await;
    let port = service.webhook;
    let old = service.auth_id();
    fs::write(service.folder.path().join("auth-id"), "another-auth-id-of-this-machine").unwrap();
    crate::support::eventually("the new auth id is right", async || {
        service.post("[]").ask(port, Protocol::Http1).await.status == 200
    })
    .await;
    ask(port, &Post::new(old, "[]"), 401).await;
    service.finish().await;
}

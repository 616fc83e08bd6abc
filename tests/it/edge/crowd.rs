//! More connections than places.

use std::{net::Ipv4Addr, time::Duration};

use super::target::{Rude, Target};
use crate::support::{collector::Site, eventually};

/// Slow strangers from several addresses hold every place; who is known gets one all the same.
#[tokio::test(flavor = "multi_thread")]
async fn connection_flood() {
    let target = Target::start(&[
        ("webhook.max_connections", "40"),
        ("webhook.max_connections_per_source", "10"),
        ("webhook.header_timeout", "60s"),
    ])
    .await;
    let port = target.site.webhook;
    // Microsoft was here, and keeps a connection.
    let mut kept = Rude::connect(port).await;
    kept.send(target.post("[]").bytes()).await;
    assert_eq!(kept.status().await, Some(200));

    let mut slow = Vec::new();
    for n in 0..300_u16 {
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 10).unwrap() + 1);
        if let Ok(mut rude) = Rude::from(port, source).await {
            rude.send("POST /webhook HTTP/1.1\r\nhost:").await;
            slow.push(rude);
        }
    }
    eventually("strangers were refused or displaced", async || {
        target.connections("full").await + target.connections("displaced").await >= 250.0
    })
    .await;
    // A new stranger finds no place.
    let mut late = Rude::from(port, Ipv4Addr::new(127, 0, 2, 1)).await.unwrap();
    late.send(target.post("[]").bytes()).await;
    assert_eq!(late.status().await, None, "the newest stranger is refused");
    for _ in 0..30 {
        assert_eq!(target.honest().await, 200, "whose source is known gets a place");
    }
    kept.send(target.post("[]").bytes()).await;
    assert_eq!(kept.status().await, Some(200), "who is authentic keeps his place");
    drop(slow);
    target.finish().await;
}

/// One source that takes all it can get harms only its own oldest connections.
#[tokio::test(flavor = "multi_thread")]
async fn connection_flood_from_one_source() {
    let target = Target::start(&[
        ("webhook.max_connections", "100"),
        ("webhook.max_connections_per_source", "10"),
        ("webhook.header_timeout", "60s"),
    ])
    .await;
    let port = target.site.webhook;
    let mut other = Rude::from(port, Ipv4Addr::new(127, 0, 3, 2)).await.unwrap();
    let flooding = Ipv4Addr::new(127, 0, 3, 1);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut rude = Rude::from(port, flooding).await.unwrap();
        rude.send("POST /webhook HTTP/1.1\r\nhost:").await;
        slow.push(rude);
    }
    eventually("all but ten are displaced", async || {
        target.connections("displaced").await == 190.0
    })
    .await;
    assert_eq!(target.connections("full").await, 0.0);
    assert!(other.is_open().await, "another source is not touched");
    // Even a caller behind the same address is heard, since he does not dawdle.
    let mut honest = Rude::from(port, flooding).await.unwrap();
    honest.send(target.post("[]").bytes()).await;
    assert_eq!(honest.status().await, Some(200));
    drop(slow);
    target.finish().await;
}

/// A flood from the address of an honest caller, as behind a shared gateway, takes every place it
/// finds, but not his: he was let in, and has not said yet who he is.
#[tokio::test(flavor = "multi_thread")]
async fn connection_flood_from_the_address_of_an_honest_caller() {
    let target = Target::start(&[
        ("webhook.max_connections", "40"),
        ("webhook.max_connections_per_source", "100"),
        ("webhook.header_timeout", "60s"),
    ])
    .await;
    let port = target.site.webhook;
    // Since then, the address is known.
    assert_eq!(target.honest().await, 200);
    let whole = String::from_utf8(target.post("[]").bytes()).unwrap();
    let (begin, rest) = whole.split_once("webhook-authid").expect("it has an auth id");
    let rest = format!("webhook-authid{rest}");
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut honest = Rude::connect(port).await;
        honest.send(begin).await;
        for _ in 0..30 {
            let mut rude = Rude::connect(port).await;
            rude.send(begin).await;
            slow.push(rude);
        }
        honest.send(&rest).await;
        assert_eq!(honest.status().await, Some(200), "after {} of the flood", slow.len());
    }
    assert_eq!(target.connections("full").await, 0.0);
    assert!(target.connections("displaced").await >= 500.0);
    drop(slow);
    target.finish().await;
}

/// A connection takes an open file, and where there are no more of those nobody can be accepted.
#[tokio::test(flavor = "multi_thread")]
async fn connection_flood_beyond_the_limit_of_open_files() {
    let mut site = Site::start(1, None, |_| ()).await;
    site.set("webhook.header_timeout", "60s");
    let collector = site.run_after("ulimit -n 240").await;
    let target = Target::at(site, collector);
    assert_eq!(target.honest().await, 200);
    let mut slow = Vec::new();
    for n in 0..400_u16 {
        let source = Ipv4Addr::new(127, 0, 10, u8::try_from(n % 100).unwrap() + 1);
        let mut rude = Rude::from(target.site.webhook, source).await.unwrap();
        rude.send("POST /webhook HTTP/1.1\r\nhost:").await;
        slow.push(rude);
    }
    for _ in 0..20 {
        let answered = tokio::time::timeout(Duration::from_secs(5), target.honest()).await;
        assert_eq!(answered.expect("he is accepted"), 200);
    }
    drop(slow);
    let said = target.finish().await;
    assert!(said.err.contains("raise the limit of open files"), "{}", said.err);
    assert!(!said.err.contains("cannot accept a connection"), "{}", said.err);
}

/// A peer that says nothing keeps nobody from being accepted.
#[tokio::test(flavor = "multi_thread")]
async fn slow_peers_do_not_hold_up_the_others() {
    let target = Target::start(&[("webhook.trusted_proxies", r#"["127.0.9.0/24"]"#)]).await;
    let mut silent = Vec::new();
    for n in 1..=50 {
        // As a proxy that never writes its header, and as a stranger.
        for network in [9, 8] {
            let source = Ipv4Addr::new(127, 0, network, n);
            let mut rude = Rude::from(target.site.webhook, source).await.unwrap();
            rude.send("P").await;
            silent.push(rude);
        }
    }
    let answered = tokio::time::timeout(Duration::from_secs(5), target.honest()).await;
    assert_eq!(answered.expect("nobody waits for them"), 200);
    drop(silent);
    target.finish().await;
}

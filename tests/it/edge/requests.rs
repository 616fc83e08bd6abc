//! What a request is before anybody looks at its body.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::target::{Rude, Target};
use crate::support::{
    edge::{PATH, Post, Protocol},
    eventually, patience,
};

fn head(auth_id: &str, more: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nhost: x\r\nwebhook-authid: {auth_id}\r\n{more}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_missing_auth_id() {
    let target = Target::start(&[]).await;
    let right = target.auth_id();
    let wrong = [
        String::new(),
        "x".repeat(right.len()),
        right[..right.len() - 1].to_owned(),
        format!("{right}0"),
        right.to_uppercase() + "x",
        "x".repeat(4096),
    ];
    for wrong in wrong {
        assert_eq!(target.ask(&Post::new(wrong, "[]")).await, 401);
    }
    assert_eq!(target.ask(&target.post("[]").without("webhook-authid")).await, 401);
    // It would be up to a proxy which of them counts.
    assert_eq!(target.ask(&target.post("[]").with("webhook-authid", "x")).await, 401);
    assert_eq!(target.requests("accepted").await, 0.0);

    // Nothing of a body is waited for: not one byte of it is there.
    let mut rude = Rude::connect(target.site.webhook).await;
    rude.send(head("0123456789abcdef-wrong", "content-length: 1000000")).await;
    assert_eq!(rude.status().await, Some(401));
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_id_whose_file_becomes_short_opens_nothing() {
    let target = Target::start(&[]).await;
    let file = target.site.folder.path().join("auth-id");
    let right = target.auth_id();
    std::fs::write(&file, "short").unwrap();
    eventually("the file is read again", async || target.honest().await != 401).await;
    assert_eq!(target.ask(&Post::new("short", "[]")).await, 503);
    assert_eq!(target.ask(&Post::new("", "[]")).await, 503);
    std::fs::write(&file, right).unwrap();
    eventually("the right one is back", async || target.honest().await == 200).await;
    target.finish().await;
}

/// The id is rotated by starts alone, and whoever still sends the old one is heard meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_needs_no_stop() {
    use m365_collector::simulator::Operation;

    let mut site = crate::support::collector::Site::start(1, None, |world| {
        world.start_interval = Duration::from_millis(1);
    })
    .await;
    site.set("subscriptions.check_interval", "1s");
    site.set("subscriptions.restart_after", "1s");
    let old = std::fs::read_to_string(site.folder.path().join("auth-id")).unwrap();
    std::fs::write(site.folder.path().join("previous"), &old).unwrap();
    site.set("webhook.previous_auth_id", "{ file = \"previous\" }");
    let target = Target::of(site).await;
    target.site.registered(5).await;

    let printed = target.site.command(&["config", "auth-id"]).await.out;
    let new = printed.trim();
    assert_eq!(new.len(), 64);
    std::fs::write(target.site.folder.path().join("auth-id"), &printed).unwrap();
    let microsoft = target.site.simulator.microsoft();
    eventually("Microsoft sends the new one", async || {
        // At no moment is either of them refused.
        assert_eq!(target.ask(&Post::new(&old, "[]")).await, 200);
        let subscriptions = microsoft.subscriptions();
        subscriptions.iter().all(|(_, subscription)| {
            let webhook = subscription.webhook.as_ref();
            webhook.and_then(|webhook| webhook.auth_id.as_deref()) == Some(new)
        })
    })
    .await;
    assert_eq!(target.honest().await, 200);
    assert_eq!(microsoft.count(None, &Operation::Stop), 0);
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize() {
    let target = Target::start(&[("webhook.max_body", "64 KiB")]).await;
    let large = target.post(vec![b' '; 64 * 1024 + 1]);
    assert_eq!(target.ask(&large).await, 413);
    let answer = crate::support::edge::raw(target.site.webhook, &large.chunked()).await;
    assert_eq!(answer.status, 413, "without a declared length, too");
    // Declared only: refused before a byte of it was sent.
    let mut rude = Rude::connect(target.site.webhook).await;
    rude.send(head(&target.auth_id(), "content-length: 1099511627776")).await;
    assert_eq!(rude.status().await, Some(413));
    // A head beyond its cap.
    let mut rude = Rude::connect(target.site.webhook).await;
    let header = format!("x: {}", "x".repeat(64 * 1024));
    rude.send(head(&target.auth_id(), &header)).await;
    assert_eq!(rude.status().await, Some(431));
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_header() {
    let target = Target::start(&[("webhook.header_timeout", "500ms")]).await;
    for begin in ["", "P", "POST /webhook HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let start = Instant::now();
        let mut rude = Rude::connect(target.site.webhook).await;
        rude.send(begin).await;
        // A byte now and then is progress of a kind, for as long as anybody takes it.
        while begin.starts_with("POST") && rude.send("x").await {
            assert!(start.elapsed() < patience(), "a byte now and then keeps it open");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        rude.closed().await;
    }
    target.ended(4.0, &["timed_out"]).await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_body() {
    let target = Target::start(&[("webhook.body_timeout", "500ms")]).await;
    let mut rude = Rude::connect(target.site.webhook).await;
    rude.send(head(&target.auth_id(), "content-length: 1000")).await;
    let mut sent = 0;
    while timeout(Duration::from_millis(20), rude.0.peek(&mut [0])).await.is_err() {
        rude.send(" ").await;
        sent += 1;
        assert!(sent < 1000, "a byte now and then is waited for");
    }
    assert_eq!(rude.status().await, Some(408));
    assert_eq!(target.requests("timed_out").await, 1.0);
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_stay_for_ever() {
    let target = Target::start(&[("webhook.idle_timeout", "300ms")]).await;
    let mut rude = Rude::connect(target.site.webhook).await;
    rude.send(target.post("[]").bytes()).await;
    assert_eq!(rude.status().await, Some(200));
    rude.closed().await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset() {
    use hyper::Request;
    use tokio::{net::TcpStream, task::JoinSet};

    let target = Target::start(&[("webhook.max_resets", "50")]).await;
    // Requests that were begun to be served, and those that nobody had a look at yet.
    for pause in [20, 0] {
        let tcp = TcpStream::connect(target.site.webhook).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async { drop(connection.await) });
        let mut sent = 0;
        while let Ok(ready) = sender.clone().ready().await {
            sender = ready;
            assert!(sent < 5_000, "nobody minds {sent} requests taken back");
            let mut open = Vec::new();
            for _ in 0..10 {
                let request = Request::post("http://x/webhook");
                let request = request.header("webhook-authid", target.auth_id()).body(());
                if let Ok((_, stream)) = sender.send_request(request.unwrap(), false) {
                    open.push(stream);
                    sent += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            for mut stream in open {
                stream.send_reset(h2::Reason::CANCEL);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(sent >= 50, "an honest proxy takes back some: {sent}");
    }
    target.ended(2.0, &["resets", "failed"]).await;
    assert!(target.connections("resets").await >= 1.0);
    // Another connection is not touched by it.
    assert_eq!(target.post("[]").ask(target.site.webhook, Protocol::Http2).await.status, 200);
    target.finish().await;
}

//! Small things that want to become large (I7), against a process that may not.

use std::{io::Write as _, net::Ipv4Addr};

use flate2::{Compression, write::GzEncoder};
use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};

use super::target::{MEMORY_KIB, Rude, Target};
use crate::support::{collector::Site, edge::Protocol, eventually};

/// Gzip of so many megabytes of blanks, in members of one each.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    encoder.finish().unwrap().repeat(megabytes)
}

/// The system itself refuses to give it more than this.
async fn limited(settings: &[(&str, &str)]) -> Target {
    let mut site = Site::start(1, None, |_| ()).await;
    for (key, value) in settings {
        site.set(key, *value);
    }
    let collector = site.run_after(&format!("ulimit -d {}", 2 * MEMORY_KIB)).await;
    Target::at(site, collector)
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_bombs_in_answers() {
    let often = ["sweep.interval", "subscriptions.check_interval"].map(|key| (key, "1s"));
    let target = limited(&often).await;
    target.site.registered(5).await;
    let microsoft = target.site.simulator.microsoft();
    let packed = |status, megabytes| Fault::Status {
        status,
        headers: vec![("content-encoding".into(), "gzip".into())],
        body: bomb(megabytes),
    };
    microsoft.fail(Operation::Blob, packed(200, 2_000), 2);
    microsoft.publish(target.site.tenant(0), ContentType::Exchange, &[r#"{"Id":"1"}"#]);
    let failed = async |reason: &str| {
        target.count("m365_attempts_failed_total", &[("reason", reason)]).await
    };
    eventually("the bomb is broken off", async || failed("bad_answer").await >= 2.0).await;
    eventually("the true answer is read", async || {
        target.site.simulator.devo().times_received(br#"{"Id":"1"}"#) == 1
    })
    .await;
    // In an error, in listings, and in a token.
    microsoft.fail(Operation::Blob, packed(500, 500), 1);
    microsoft.publish(target.site.tenant(0), ContentType::Exchange, &[r#"{"Id":"2"}"#]);
    eventually("an error is read up to its cap", async || failed("server_error").await >= 1.0)
        .await;
    let windows = async |outcome: &str| {
        target.count("m365_sweep_windows_total", &[("outcome", outcome)]).await
    };
    microsoft.fail(Operation::Content, packed(200, 500), 2);
    eventually("a listing of content is given up", async || windows("failed").await >= 1.0).await;
    let complete = windows("complete").await;
    eventually("true ones are read", async || windows("complete").await > complete).await;
    let listed = || {
        let requests = microsoft.requests();
        requests.iter().filter(|request| request.operation == Operation::List).count()
    };
    let before = listed();
    microsoft.fail(Operation::List, packed(200, 500), 2);
    eventually("subscriptions are listed again", async || listed() > before + 2).await;
    microsoft.fail(Operation::Token, packed(200, 500), 1);
    microsoft.forget_tokens();
    target.forge(&[]).await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_json_and_countless_entries() {
    let target = limited(&[]).await;
    let million = 1 << 20;
    let deep = [vec![b'['; million], r#"[{"a":"#.repeat(million / 6).into_bytes()];
    let close = |open: usize| [vec![b'['; open], vec![b']'; open]].concat();
    let objects = format!("[{}]", vec!["{}"; million / 3 - 1].join(","));
    let mut bodies = deep.to_vec();
    // Well-formed, and one entry: nothing is wrong with it but its depth.
    let nested = [b"[{\"a\":".as_slice(), &close(million / 2 - 10), b"}]"].concat();
    bodies.extend([close(million / 2), close(40), nested, objects.into_bytes()]);
    let wide = format!(r#"[{{"a":[{}]}}]"#, vec!["0"; million / 2 - 100].join(","));
    for _ in 0..5 {
        for body in &bodies {
            let status = target.post(body.clone()).ask(target.site.webhook, Protocol::Http1).await;
            assert_eq!(status.status, 400, "{:?}", &body[..20]);
        }
        let status = target.post(wide.clone()).ask(target.site.webhook, Protocol::Http2).await;
        assert_eq!(status.status, 200, "one entry, and it is malformed");
    }
    assert_eq!(target.refused("malformed_entry").await, 5.0);
    target.finish().await;
}

/// Heads as large as they may be, on every connection there is, and never an end; then larger ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_and_large_heads() {
    let target = limited(&[]).await;
    let source = |n: u16| Ipv4Addr::new(127, 0, 4, u8::try_from(n % 100).unwrap() + 1);
    let head = |size: usize| format!("POST /webhook HTTP/1.1\r\nx: {}", "x".repeat(size));
    let (allowed, large) = (head(30_000), head(1 << 20));
    let mut slow = Vec::new();
    for n in 0..1_000_u16 {
        if let Ok(mut rude) = Rude::from(target.site.webhook, source(n)).await {
            rude.send(&allowed).await;
            slow.push(rude);
        }
    }
    assert_eq!(target.honest().await, 200);
    slow.clear();
    for n in 0..200_u16 {
        let mut rude = Rude::from(target.site.webhook, source(n)).await.unwrap();
        rude.send(&large).await;
        slow.push(rude);
    }
    for rude in &mut slow {
        assert_eq!(rude.status().await, Some(431));
    }
    drop(slow);
    target.finish().await;
}

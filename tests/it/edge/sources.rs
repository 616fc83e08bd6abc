//! Who is calling, and who only says so.

use std::fs;

use super::target::{Rude, Target};
use crate::support::{collector::Site, eventually};

const ALLOWED: (&str, &str) = ("webhook.allowed_sources", r#"["192.0.2.0/24", "2001:db8::/32"]"#);
const TRUSTED: (&str, &str) = ("webhook.trusted_proxies", r#"["127.0.0.0/8"]"#);

async fn through(target: &Target, header: &[u8]) -> Option<u16> {
    let mut proxy = Rude::connect(target.site.webhook).await;
    // In two pieces, as the network may deliver it.
    let (begin, end) = header.split_at(header.len() / 2);
    proxy.send(begin).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    proxy.send([end, &target.post("[]").bytes()].concat()).await;
    proxy.status().await
}

fn binary(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1, 0x12, 0x67, 0x1f, 0x90]);
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_protocol_of_a_trusted_proxy_names_the_caller() {
    let target = Target::start(&[TRUSTED]).await;
    assert_eq!(through(&target, b"PROXY UNKNOWN\r\n").await, Some(200));
    assert_eq!(through(&target, b"PROXY TCP4 1.2.3.4 nonsense\r\n").await, None);
    target.ended(1.0, &["proxy_header"]).await;
    target.finish().await;

    let target = limited(&[TRUSTED, ALLOWED]).await;
    let (allowed, other) = ("192.0.2.7", "203.0.113.9");
    for (source, status) in [(allowed, 200), (other, 403)] {
        let text = format!("PROXY TCP4 {source} 127.0.0.1 4711 8080\r\n");
        assert_eq!(through(&target, text.as_bytes()).await, Some(status), "{source}");
    }
    let text = b"PROXY TCP6 2001:db8::7 ::1 4711 8080\r\n";
    assert_eq!(through(&target, text).await, Some(200));
    assert_eq!(through(&target, &binary([192, 0, 2, 7])).await, Some(200));
    assert_eq!(through(&target, &binary([203, 0, 113, 9])).await, Some(403));
    // Its own probe: the proxy speaks for itself, and is not among the sources.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(through(&target, local).await, Some(403));
    // Whom the proxy names may not name others in turn.
    let mut proxy = Rude::connect(target.site.webhook).await;
    let text = format!("PROXY TCP4 {other} 127.0.0.1 4711 8080\r\n");
    let request = target.post("[]").with("x-forwarded-for", allowed);
    proxy.send([text.as_bytes(), &request.bytes()].concat()).await;
    assert_eq!(proxy.status().await, Some(403));
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_protocol_of_a_stranger_is_not_believed() {
    let target = limited(&[("webhook.trusted_proxies", "[]"), ALLOWED]).await;
    for header in
        [b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 8080\r\n".as_slice(), &binary([192, 0, 2, 7])]
    {
        assert_ne!(through(&target, header).await, Some(200));
    }
    assert_eq!(target.requests("accepted").await, 0.0);
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_header_is_required() {
    let required = ("webhook.proxy_protocol", "required");
    let target = limited(&[TRUSTED, required]).await;
    // Neither as a request, nor over HTTP/2, nor as the beginning of TLS.
    for begin in
        [&target.post("[]").bytes()[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"]
    {
        let mut rude = Rude::connect(target.site.webhook).await;
        rude.send(begin).await;
        assert_eq!(rude.status().await, None);
    }
    // The simulated Microsoft, who writes none either, is among them.
    target.ended(3.0, &["proxy_header"]).await;
    assert_eq!(target.requests("accepted").await, 0.0);
    // Both versions do, and one that names nobody as well.
    for header in [
        &b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"[..],
        b"PROXY UNKNOWN\r\n",
        &binary([192, 0, 2, 7]),
    ] {
        assert_eq!(through(&target, header).await, Some(200));
    }
    assert_eq!(target.requests("accepted").await, 3.0);
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_x_forwarded_for() {
    let target = limited(&[TRUSTED, ALLOWED]).await;
    let from = |hops: &str| target.post("[]").with("x-forwarded-for", hops);
    assert_eq!(target.ask(&from("192.0.2.7")).await, 200);
    assert_eq!(target.ask(&from("192.0.2.7, 203.0.113.9")).await, 403);
    assert_eq!(target.ask(&from("203.0.113.9, 192.0.2.7")).await, 200);
    assert_eq!(target.ask(&from("192.0.2.7 ,\t")).await, 403);
    assert_eq!(target.ask(&from("192.0.2.7%0d%0a")).await, 403);
    assert_eq!(target.ask(&from("localhost")).await, 403);
    assert!(target.requests("forbidden").await >= 8.0, "every refusal is counted");
    target.gone().await;
}

/// Microsoft's file of service tags, replaced while the service runs.
#[tokio::test(flavor = "multi_thread")]
async fn service_tags_are_read_again() {
    let mut site = Site::start(1, None, |_| ()).await;
    let file = site.folder.path().join("tags.json");
    let tags = |range: &str| {
        format!(
            r#"{{"changeNumber":7,"cloud":"Public","values":[{{"name":"Storage","id":"Storage","properties":{{"addressPrefixes":["0.0.0.0/0"]}}}},
            {{"name":"M365ManagementActivityApiWebhook","id":"x","properties":{{"platform":"Azure","addressPrefixes":["{range}"]}}}}]}}"#
        )
    };
    fs::write(&file, tags("192.0.2.0/24")).unwrap();
    site.set("webhook.allowed_sources_file", file.to_str().unwrap());
    let target = Target::of(site).await;
    assert_eq!(target.honest().await, 403);
    fs::write(&file, tags("127.0.0.0/8")).unwrap();
    eventually("the new ranges count", async || target.honest().await == 200).await;
    // Half-written, of another form, without our tag, without a range of it, and gone: whatever is
    // wrong with the file, the last ranges serve, and that is said once each.
    let none = tags("").replace(r#""addressPrefixes":[""]"#, r#""addressPrefixes":[]"#);
    let other = tags("0.0.0.0/0").replace("M365", "M366");
    let broken = [Some("{"), Some(&*other), Some("[]"), Some(&*none), None];
    for (said, text) in (1..).zip(broken) {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        eventually("it is said that the last ranges serve", async || {
            assert_eq!(target.honest().await, 200, "{text:?} changes nothing");
            target.collector.stderr().matches("the last one serves").count() == said
        })
        .await;
        for _ in 0..5 {
            assert_eq!(target.honest().await, 200);
        }
    }
    fs::write(&file, tags("192.0.2.0/24")).unwrap();
    eventually("the mended file counts", async || target.honest().await == 403).await;
    assert_eq!(target.collector.stderr().matches("the last one serves").count(), 5);
    target.gone().await;
}

/// Where not even this machine may call, so that the simulated Microsoft cannot either.
async fn limited(settings: &[(&str, &str)]) -> Target {
    Target::start(settings).await
}

//! What a notification says about content.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::target::{ELSEWHERE, Target};
use crate::support::eventually;

fn uris(target: &Target, uris: impl IntoIterator<Item = String>) -> Vec<Value> {
    let with = |uri| {
        let mut entry = target.entry("forged");
        entry["contentUri"] = json!(uri);
        entry
    };
    uris.into_iter().map(with).collect()
}

async fn check(target: &Target, entries: &[Value], reason: &str) {
    let (before, fetched) = (target.refused(reason).await, target.fetched());
    target.forge(entries).await;
    let refused = target.refused(reason).await - before;
    assert_eq!(refused, entries.len() as f64, "{reason}: {entries:#?}");
    assert_eq!(target.fetched(), fetched, "only the honest one is fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_host_and_http_downgrade() {
    let target = Target::start(&[]).await;
    let (bait, honest) = (target.bait.address, target.uri("forged"));
    let root = target.site.simulator.management_url();
    let port = root.port().expect("it is one of this machine");
    let at = |host: &str| honest.replace(root.as_str(), &format!("{host}/"));
    let forged = [
        at(&format!("https://{bait}")),
        at(&format!("http://{bait}")),
        at(&format!("http://localhost:{}", bait.port())),
        at("https://169.254.169.254"),
        at("https://manage.office.com.evil.example"),
        at("https://evil.example"),
        at(&format!("https://[::1]:{}", bait.port())),
        at(&format!("https://{ELSEWHERE}:{port}")),
        at(&format!("https://{ELSEWHERE}:{}", target.site.admin.port())),
    ];
    check(&target, &uris(&target, forged), "foreign_uri").await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tenant() {
    let target = Target::start(&[]).await;
    let (own, other) = (target.site.tenant(0).to_string(), Uuid::new_v4().to_string());
    let uri = target.uri("forged").replace(&own, &other);
    check(&target, &uris(&target, [uri]), "foreign_uri").await;
    let mut entry = target.entry("forged");
    entry["tenantId"] = json!(other);
    check(&target, &[entry], "unknown_tenant").await;
    let mut entry = target.entry("forged");
    entry["clientId"] = json!(other);
    check(&target, &[entry], "other_client").await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_signs_userinfo_encoded_slashes_and_traversal_in_the_address() {
    let target = Target::start(&[]).await;
    let (bait, honest) = (target.bait.address, target.uri("forged"));
    let root = target.site.simulator.management_url();
    let own = format!("{}:{}", root.host_str().unwrap(), root.port().unwrap());
    let forged = [
        honest.replace(&own, &format!("{own}@{bait}")),
        honest.replace(&own, &format!("user:word@{bait}")),
        honest.replace(&own, &format!("@{own}")),
        honest.replace("://", ":\\\\"),
        honest.replace(&own, &format!("{own}\\@{bait}")),
        honest.replace("/audit/", "/audit%2F..%2F"),
        honest.replace("/audit/", "/audit/../subscriptions/"),
        honest.replace("/audit/forged", "/audit/x/..%2Fforged"),
        format!("{honest}/.."),
        honest.replace("/api/", "//"),
        honest.replace(&own, &format!("{bait}#{own}")),
        format!("javascript:{honest}"),
        format!("file://{honest}"),
    ];
    let entries = uris(&target, forged);
    let (malformed, foreign) =
        (target.refused("malformed_uri").await, target.refused("foreign_uri").await);
    target.forge(&entries).await;
    let malformed = target.refused("malformed_uri").await - malformed;
    let foreign = target.refused("foreign_uri").await - foreign;
    assert_eq!(malformed + foreign, entries.len() as f64, "every one is refused");
    assert!(malformed >= 10.0, "{malformed} of them for their form");
    assert_eq!(target.fetched(), 0);
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unicode_tricks_and_control_characters_in_ids() {
    let target = Target::start(&[]).await;
    let ids = [
        "..",
        ".",
        "",
        "a\u{202e}b",
        "a\nb",
        "a\0b",
        "\u{ff0e}\u{ff0e}\u{ff0f}x",
        "a\u{200b}",
        "é",
        "e\u{301}",
        "a b",
        "\u{1f4a9}",
        &"x".repeat(1025),
    ];
    let entries: Vec<_> = ids.iter().map(|id| target.entry(id)).collect();
    check(&target, &entries, "malformed_id").await;
    let mut kelvin = target.entry("forged");
    // Folded to ASCII by some, this would be a type we know.
    kelvin["contentType"] = json!("Audit.\u{ff25}xchange");
    check(&target, &[kelvin], "unknown_type").await;
    let mut digits = target.entry("forged");
    digits["tenantId"] = json!(target.site.tenant(0).to_string().replace('-', "\u{2010}"));
    check(&target, &[digits], "malformed_entry").await;
    let host = target.uri("forged").replace("https://", "https://m\u{430}nage.");
    check(&target, &uris(&target, [host]), "malformed_uri").await;
    target.finish().await;
}

/// An id with a path in it is one segment of ours, whatever it says.
#[tokio::test(flavor = "multi_thread")]
async fn traversal_in_the_id_stays_one_segment() {
    let target = Target::start(&[]).await;
    let microsoft = target.site.simulator.microsoft();
    let stops = microsoft.count(None, &Operation::Stop);
    for id in ["../subscriptions/stop", "..%2F..%2Fx", "a/../b?contentType=DLP.All#c", "//x"] {
        let mut entry = target.entry(id);
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        entry["contentUri"] = json!(target.uri(&escaped));
        let refused = target.refused("malformed_uri").await;
        target.forge(&[entry]).await;
        // It is asked for by its whole id, or refused at the door; nothing else is asked.
        eventually("both are decided", async || {
            let asked = microsoft.requests().into_iter().any(|request| {
                matches!(&request.operation, Operation::BlobOf(asked) if asked.as_str() == id)
            });
            asked || target.refused("malformed_uri").await > refused
        })
        .await;
    }
    assert_eq!(microsoft.count(None, &Operation::Stop), stops, "no other operation is reached");
    target.finish().await;
}

/// A token never follows a redirect.
#[tokio::test(flavor = "multi_thread")]
async fn redirect() {
    let target = Target::start(&[]).await;
    target.site.registered(5).await;
    let microsoft = target.site.simulator.microsoft();
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://{}/", target.bait.address);
        let headers = vec![("location".to_owned(), to)];
        let fault = Fault::Status { status, headers, body: Vec::new() };
        microsoft.fail(Operation::Blob, fault, 1);
        microsoft.publish(target.site.tenant(0), ContentType::Exchange, &[r#"{"Id":"1"}"#]);
    }
    eventually("every redirect was met and not followed", async || {
        target.count("m365_attempts_failed_total", &[("reason", "bad_answer")]).await >= 5.0
    })
    .await;
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replay() {
    let target = Target::start(&[]).await;
    target.site.registered(5).await;
    let microsoft = target.site.simulator.microsoft();
    let id = microsoft.publish(target.site.tenant(0), ContentType::Exchange, &[r#"{"Id":"once"}"#]);
    let arrived = || target.site.simulator.devo().times_received(br#"{"Id":"once"}"#);
    eventually("it arrived", async || arrived() == 1).await;
    let form = m365_collector::simulator::microsoft::IdForm::MarkedNumbered;
    let entry = microsoft.entry(target.site.tenant(0), &id, form).expect("it is published");
    let notification = serde_json::to_vec(&vec![json!(entry); 50]).unwrap();
    for _ in 0..20 {
        assert_eq!(target.ask(&target.post(notification.clone())).await, 200);
    }
    // Another one, posted after them, comes through; what the replays would cause came before.
    target.forge(&[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(arrived(), 1);
    assert_eq!(target.fetched(), 1);
    target.finish().await;
}
